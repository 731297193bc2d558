"""How robust a classifier is: its AUC under attack against the size of the attack, noise of the same size beside it.

The attack aims at all known labels of a film at once. So with several findings, an attack on one of them alone may
reach a lower AUC. Every number is of one kind of attack: a stronger attack may lower it.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from torch import nn

from radcommons.classify.attacked import attacked_findings, aucs, scores_under
from radcommons.classify.gradient_masking import falling_check, masking_checks, require_change
from radcommons.classify.intervals import estimate
from radcommons.classify.pgd import WHITE, AttackSettings
from radcommons.classify.training_data import Mixture
from radcommons.errors import SettingRefused
from radcommons.metrics.bootstrap import bootstrap_auc, bootstrap_mean
from radcommons.progress import Track, silent
from radcommons.records import MaskingCheck, RobustComparison, RobustCurve, RobustDifference, RobustPoint
from radcommons.seeds import numpy_stream

BOOTSTRAP_SAMPLES = 1_000


def compare(
    networks: Mapping[str, nn.Module],
    films: Mixture,
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
        films: of `films_to_attack`, at the networks' side.
        epsilons: grey levels, [0, 255]; 0 and that of the settings are added.
        settings: the attack; the checks are made at its epsilon, > 0.
        seed, batch_size: they determine every random number; memory grows with the batch.
        bootstrap_samples: of patients, behind the intervals.
    Raises:
        SettingRefused: an epsilon out of range, or that of the settings is 0.
    """
    require_change(settings)
    sizes = _sizes([*epsilons, settings.epsilon])
    findings = tuple(attacked_findings(films))
    curves, checks, measured = {}, {}, []
    for name, network in networks.items():
        with track("Attacking", total=2 * len(sizes) * len(films)) as advance:
            under = partial(scores_under, seed=seed, batch_size=batch_size, advance=advance)
            at = [settings.model_copy(update={"epsilon": size}) for size in sizes]
            attacked = [under(one, network, films) for one in at]
            noisy = [under(one, network, films, by_chance=True) for one in at]
        found = [_point(films, *of, bootstrap_samples) for of in zip(sizes, attacked, noisy, strict=True)]
        points = tuple(point for point, _, _ in found)
        measured.append(found)
        curves[name] = RobustCurve(
            attack=settings.model_dump(exclude={"epsilon"}),
            films=len(films),
            patients=len(np.unique(films.patients)),
            findings=findings,
            left_out=tuple(f for f in films.findings if f not in findings),
            points=points,
        )
        other = next((n for n in networks.values() if n is not network), None)
        checks[name] = (
            *masking_checks(network, films, settings, seed=seed, batch_size=batch_size, other=other, track=track),
            falling_check(sizes, [point.mean_auc.value for point in points]),
        )
    differences: tuple[RobustDifference, ...] = ()
    if len(measured) == 2:
        differences = tuple(
            RobustDifference(epsilon=size, mean_auc=estimate((b - a).mean(), bootstrap_mean(of_b - of_a)))
            for size, (_, a, of_a), (_, b, of_b) in zip(sizes, *measured, strict=True)
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


def _point(
    films: Mixture, size: float, attacked: np.ndarray, noisy: np.ndarray, bootstrap_samples: int
) -> tuple[RobustPoint, np.ndarray, np.ndarray]:
    """The point of a curve, its AUCs (findings,), and these in bootstrap samples of patients, (r, findings)."""
    columns = attacked_findings(films)
    resampled = bootstrap_auc(
        attacked,
        films.labels[:, list(columns.values())],
        films.patients,
        bootstrap_samples=bootstrap_samples,
        rng=numpy_stream(0, "redraws"),  # the same patients for every network and epsilon
    )
    under_attack, under_noise = aucs(attacked, films), aucs(noisy, films)
    point = RobustPoint(
        epsilon=size,
        auc=dict(zip(columns, under_attack.tolist(), strict=True)),
        mean_auc=estimate(under_attack.mean(), bootstrap_mean(resampled)),
        noise_auc=dict(zip(columns, under_noise.tolist(), strict=True)),
        noise_mean_auc=float(under_noise.mean()),
    )
    return point, under_attack, resampled


def _statement(
    checks: Mapping[str, Sequence[MaskingCheck]], differences: Sequence[RobustDifference], settings: AttackSettings
) -> str:
    """What the numbers support: one network is called better only where the interval and all checks agree."""
    failed = {name: [check.name for check in found if not check.passed] for name, found in checks.items()}
    parts = []
    if differences:
        first, second = checks
        size = f"{'up to' if settings.norm == 'linf' else 'root mean square'} {settings.epsilon:g} grey levels"
        for epsilon, where in ((0.0, "On films as they are"), (settings.epsilon, f"Under an attack of {size}")):
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
