"""How robust a classifier is: its AUC under attack against the size of the attack, noise of the same size beside it.

The attack aims at all known labels of a film at once. So with several findings, an attack on one of them alone may
reach a lower AUC. Every number is of one kind of attack: a stronger attack may lower it.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from torch import nn

from radcommons.classify.attacked import LabelledFilms, aucs, noise_scores, pgd_scores
from radcommons.classify.gradient_masking import falling_check, masking_checks, require_change
from radcommons.classify.pgd import WHITE, AttackSettings
from radcommons.errors import SettingRefused
from radcommons.metrics.bootstrap import bootstrap_auc, bootstrap_mean, percentile_interval
from radcommons.progress import Track, silent
from radcommons.records import Estimate, MaskingCheck, RobustComparison, RobustCurve, RobustDifference, RobustPoint
from radcommons.seeds import numpy_stream

BOOTSTRAP_SAMPLES = 1_000


def compare(
    networks: Mapping[str, nn.Module],
    films: LabelledFilms,
    epsilons: Sequence[float],
    settings: AttackSettings,
    *,
    seed: int = 0,
    batch_size: int = 64,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    track: Track = silent,
) -> RobustComparison:
    """Curves and checks of one or two networks on the same films, and the difference of the two.

    Args:
        networks: one or two by name, with the films' findings; each gives the other's transfer attack.
        films: to attack, at the networks' side.
        epsilons: grey levels, [0, 255]; 0 and that of the settings are added.
        settings: the attack; the checks are made at its epsilon, > 0.
        seed, batch_size: they determine every random number; memory grows with the batch.
        bootstrap_samples: of patients, behind the intervals.
    Raises:
        SettingRefused: an epsilon out of range, or that of the settings is 0.
    """
    require_change(settings)
    sizes = _sizes([*epsilons, settings.epsilon])
    curves, checks, attacked = {}, {}, []
    for name, network in networks.items():
        by_attack, by_noise = _scores(network, films, sizes, settings, seed, batch_size, track)
        attacked.append(by_attack)
        curves[name] = _curve(films, sizes, settings, by_attack, by_noise, bootstrap_samples)
        other = next((n for n in networks.values() if n is not network), None)
        checks[name] = (
            *masking_checks(network, films, settings, seed=seed, batch_size=batch_size, other=other, track=track),
            falling_check(sizes, [point.mean_auc.value for point in curves[name].points]),
        )
    differences = (
        _differences(films, sizes, *attacked, bootstrap_samples=bootstrap_samples) if len(attacked) == 2 else ()
    )
    return RobustComparison(
        epsilon=settings.epsilon,
        curves=curves,
        checks=checks,
        differences=differences,
        statement=_statement(checks, differences, settings),
    )


def _sizes(epsilons: Sequence[float]) -> list[float]:
    for epsilon in epsilons:
        if not 0 <= epsilon <= WHITE:
            raise SettingRefused(f"epsilon is {epsilon:g} grey levels; give it between 0 and {WHITE:g}")
    return sorted({0.0, *map(float, epsilons)})


def _scores(
    network: nn.Module,
    films: LabelledFilms,
    sizes: Sequence[float],
    settings: AttackSettings,
    seed: int,
    batch_size: int,
    track: Track,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Logits (n, evaluated) at each epsilon, under attack and under noise."""
    at = [settings.model_copy(update={"epsilon": size}) for size in sizes]
    with track("Attacking", total=2 * len(sizes) * len(films)) as advance:
        pgd = partial(pgd_scores, network, films, seed=seed, batch_size=batch_size, advance=advance)
        noisy = partial(noise_scores, network, films, seed=seed, batch_size=batch_size, advance=advance)
        return [pgd(one) for one in at], [noisy(one) for one in at]


def _curve(
    films: LabelledFilms,
    sizes: Sequence[float],
    settings: AttackSettings,
    attacked: Sequence[np.ndarray],
    noisy: Sequence[np.ndarray],
    bootstrap_samples: int,
) -> RobustCurve:
    points = []
    for size, by_attack, by_noise in zip(sizes, attacked, noisy, strict=True):
        under_attack, under_noise = aucs(by_attack, films), aucs(by_noise, films)
        resampled = _resampled(by_attack, films, bootstrap_samples)
        points.append(
            RobustPoint(
                epsilon=size,
                auc=dict(zip(films.names, under_attack.tolist(), strict=True)),
                mean_auc=_mean(under_attack, resampled),
                noise_auc=dict(zip(films.names, under_noise.tolist(), strict=True)),
                noise_mean_auc=float(under_noise.mean()),
            )
        )
    return RobustCurve(
        attack=settings.model_dump(exclude={"epsilon"}),
        films=len(films),
        patients=len(np.unique(films.patients)),
        findings=films.names,
        left_out=films.left_out,
        points=tuple(points),
    )


def _differences(
    films: LabelledFilms,
    sizes: Sequence[float],
    first: list[np.ndarray],
    second: list[np.ndarray],
    *,
    bootstrap_samples: int,
) -> tuple[RobustDifference, ...]:
    """Second minus first at each epsilon, both in the same bootstrap samples."""
    found = []
    for size, one, other in zip(sizes, first, second, strict=True):
        values = aucs(other, films) - aucs(one, films)
        resampled = _resampled(other, films, bootstrap_samples) - _resampled(one, films, bootstrap_samples)
        found.append(RobustDifference(epsilon=size, mean_auc=_mean(values, resampled)))
    return tuple(found)


def _resampled(scores: np.ndarray, films: LabelledFilms, bootstrap_samples: int) -> np.ndarray:
    """AUCs in bootstrap samples of patients, (bootstrap_samples, evaluated); the samples are the same at every call."""
    labels = films.labels[:, list(films.evaluated)]
    rng = numpy_stream(0, "redraws")
    return bootstrap_auc(scores, labels, films.patients, bootstrap_samples=bootstrap_samples, rng=rng)


def _mean(values: np.ndarray, resampled: np.ndarray) -> Estimate:
    """Mean over findings of values (evaluated,), with its interval from bootstrap samples (r, evaluated).

    A bootstrap sample without both classes of a finding is left out for that finding.
    """
    low, high = percentile_interval(bootstrap_mean(resampled))
    return Estimate(value=float(values.mean()), low=low, high=high)


def _statement(
    checks: Mapping[str, Sequence[MaskingCheck]], differences: Sequence[RobustDifference], settings: AttackSettings
) -> str:
    """What the numbers support: one network is called better only where the interval and all checks agree."""
    failed = {name: [check.name for check in found if not check.passed] for name, found in checks.items()}
    parts = []
    if differences:
        first, second = checks
        for epsilon, where in ((0.0, "On films as they are"), (settings.epsilon, _under(settings))):
            (at,) = (d.mean_auc for d in differences if d.epsilon == epsilon)
            assert at.low is not None and at.high is not None
            said = at.text("+.3f")
            ahead = second if at.low > 0 else first if at.high < 0 else None
            if ahead is None:
                parts.append(f"{where} {second} and {first} cannot be told apart: difference of mean AUC {said}.")
            elif epsilon and failed[ahead]:
                parts.append(
                    f"{where} these data do not show which of {second} and {first} is better: the difference of mean "
                    f"AUC is {said}, but the attack may have missed a weakness of {ahead}."
                )
            else:
                order = "higher" if ahead == second else "lower"
                parts.append(f"{where} the mean AUC of {second} is {order} than that of {first}: {said}.")
    for name, found in checks.items():
        if failed[name]:
            parts.append(
                f"The attack on {name} failed {len(failed[name])} of {len(found)} checks ({', '.join(failed[name])}): "
                f"{name} may be less robust than its curve says."
            )
        else:
            parts.append(
                f"The attack on {name} passed all {len(found)} checks, which does not prove that no stronger attack "
                "exists."
            )
    return " ".join(parts)


def _under(settings: AttackSettings) -> str:
    size = "up to" if settings.norm == "linf" else "root mean square"
    return f"Under an attack of {size} {settings.epsilon:g} grey levels"
