"""How robust a classifier is: its AUC under attack against the size of the attack, noise of the same size beside it.

All known labels of a film are attacked at once, so the AUC of one of several findings is not the lowest that an attack
aimed at it alone would reach. And every number is of one kind of attack: a stronger one may bring it down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

from radcommons.classify.attacked import LabelledFilms, aucs, noise_scores, pgd_scores
from radcommons.classify.masking import MaskingCheck, falling_check, masking_checks
from radcommons.classify.pgd import WHITE, AttackSettings
from radcommons.errors import SettingRefused
from radcommons.metrics.bootstrap import auc_redraws, percentile_interval
from radcommons.progress import Track, silent
from radcommons.seeds import numpy_stream

REDRAWS = 1_000


@dataclass(frozen=True, slots=True)
class RobustPoint:
    """What is left at one epsilon.

    Attributes:
        epsilon: size of the change, grey levels.
        auc: of each finding, under attack.
        mean_auc: their mean, with its interval of 0.95 over patients.
        noise_auc: of each finding, under random noise of the same size.
        noise_mean_auc: their mean.
    """

    epsilon: float
    auc: dict[str, float]
    mean_auc: float
    mean_auc_low: float
    mean_auc_high: float
    noise_auc: dict[str, float]
    noise_mean_auc: float


@dataclass(frozen=True, slots=True)
class RobustCurve:
    """AUC under attack against epsilon, and what it was measured on.

    Attributes:
        attack: all settings of the attack but epsilon.
        films: number of films attacked, and of their patients in `patients`.
        findings: those judged.
        left_out: those with one class only among the films.
        points: in ascending order of epsilon, 0 first.
    """

    attack: dict[str, str | float | None]
    films: int
    patients: int
    findings: tuple[str, ...]
    left_out: tuple[str, ...]
    points: tuple[RobustPoint, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean AUC of the second network minus that of the first at one epsilon, interval of 0.95 over patients."""

    epsilon: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Networks attacked on the same films.

    Attributes:
        curves: of each network, by its name.
        checks: of each network, by its name.
        differences: second minus first at each epsilon; none where there is one network.
        statement: what these numbers support, in words.
    """

    curves: dict[str, RobustCurve]
    checks: dict[str, tuple[MaskingCheck, ...]]
    differences: tuple[Difference, ...]
    statement: str


def robust_curve(
    network: nn.Module,
    films: LabelledFilms,
    epsilons: Sequence[float],
    settings: AttackSettings,
    *,
    seed: int = 0,
    batch_size: int = 64,
    redraws: int = REDRAWS,
    track: Track = silent,
) -> RobustCurve:
    """The AUC of each finding under attack and under noise at each epsilon.

    Args:
        network: see `radcommons.classify.pgd`.
        films: to attack, at the network's side.
        epsilons: grey levels, [0, 255]; 0 is added.
        settings: the attack; its own epsilon is not used.
        seed, batch_size: they determine every random number; memory goes with the batch.
        redraws: bootstrap samples of patients behind the intervals.
    Raises:
        SettingRefused: an epsilon out of range.
    """
    sizes = _sizes(epsilons)
    return _curve(films, sizes, settings, *_scores(network, films, sizes, settings, seed, batch_size, track), redraws)


def compare(
    networks: Mapping[str, nn.Module],
    films: LabelledFilms,
    epsilons: Sequence[float],
    settings: AttackSettings,
    *,
    seed: int = 0,
    batch_size: int = 64,
    redraws: int = REDRAWS,
    track: Track = silent,
) -> Comparison:
    """Curves and checks of one or two networks on the same films, and the difference of the two.

    Args:
        networks: one or two by name, with the films' findings; each gives the other's transfer attack.
        films, seed, batch_size, redraws: as in `robust_curve`.
        epsilons: as in `robust_curve`; that of the settings is added.
        settings: the attack; the checks are made at its epsilon, > 0.
    Raises:
        SettingRefused: an epsilon out of range.
    """
    sizes = _sizes([*epsilons, settings.epsilon])
    curves, checks, attacked = {}, {}, []
    for name, network in networks.items():
        by_attack, by_noise = _scores(network, films, sizes, settings, seed, batch_size, track)
        attacked.append(by_attack)
        curves[name] = _curve(films, sizes, settings, by_attack, by_noise, redraws)
        other = next((n for n in networks.values() if n is not network), None)
        checks[name] = (
            *masking_checks(network, films, settings, seed=seed, batch_size=batch_size, other=other, track=track),
            falling_check(sizes, [point.mean_auc for point in curves[name].points]),
        )
    differences = _differences(films, sizes, *attacked, redraws=redraws) if len(attacked) == 2 else ()
    return Comparison(curves, checks, differences, _statement(checks, differences, settings))


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
    """Logits (n, judged) at each epsilon, under attack and under noise."""
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
    redraws: int,
) -> RobustCurve:
    points = []
    for size, by_attack, by_noise in zip(sizes, attacked, noisy, strict=True):
        under_attack, under_noise = aucs(by_attack, films), aucs(by_noise, films)
        low, high = _interval_of_mean(_redrawn(by_attack, films, redraws))
        points.append(
            RobustPoint(
                epsilon=size,
                auc=dict(zip(films.names, under_attack.tolist(), strict=True)),
                mean_auc=float(under_attack.mean()),
                mean_auc_low=low,
                mean_auc_high=high,
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
    films: LabelledFilms, sizes: Sequence[float], first: list[np.ndarray], second: list[np.ndarray], *, redraws: int
) -> tuple[Difference, ...]:
    """Second minus first at each epsilon, both in the same bootstrap samples."""
    found = []
    for size, one, other in zip(sizes, first, second, strict=True):
        value = float(aucs(other, films).mean() - aucs(one, films).mean())
        low, high = _interval_of_mean(_redrawn(other, films, redraws) - _redrawn(one, films, redraws))
        found.append(Difference(size, value, low, high))
    return tuple(found)


def _redrawn(scores: np.ndarray, films: LabelledFilms, redraws: int) -> np.ndarray:
    """AUCs in bootstrap samples of patients, (redraws, judged); the samples are the same at every call."""
    labels = films.labels[:, list(films.judged)]
    return auc_redraws(scores, labels, films.patients, redraws=redraws, rng=numpy_stream(0, "redraws"))


def _interval_of_mean(values: np.ndarray) -> tuple[float, float]:
    """Interval of the mean over findings, (r, judged); a sample without both classes of a finding has no say in it."""
    usable = values[~np.isnan(values).all(axis=1)]
    return percentile_interval(np.nanmean(usable, axis=1))


def _statement(
    checks: Mapping[str, Sequence[MaskingCheck]], differences: Sequence[Difference], settings: AttackSettings
) -> str:
    """What the numbers support: an order of the two only where the interval leaves no doubt."""
    parts = []
    if differences:
        first, second = checks
        for epsilon, where in ((0.0, "On films as they are"), (settings.epsilon, _under(settings))):
            (at,) = (d for d in differences if d.epsilon == epsilon)
            said = f"{at.value:+.3f} ({at.low:+.3f} to {at.high:+.3f})"
            if at.low > 0 or at.high < 0:
                order = "higher" if at.low > 0 else "lower"
                parts.append(f"{where} the mean AUC of {second} is {order} than that of {first}: {said}.")
            else:
                parts.append(f"{where} {second} and {first} cannot be told apart: difference of mean AUC {said}.")
    for name, found in checks.items():
        failed = [check.name for check in found if not check.passed]
        if failed:
            parts.append(
                f"The attack on {name} failed {len(failed)} of {len(found)} checks ({', '.join(failed)}): "
                f"{name} is less robust than its curve says, or may be."
            )
        else:
            parts.append(
                f"The attack on {name} passed all {len(found)} checks, which does not prove that no attack does better."
            )
    return " ".join(parts)


def _under(settings: AttackSettings) -> str:
    size = "up to" if settings.norm == "linf" else "root mean square"
    return f"Under an attack of {size} {settings.epsilon:g} grey levels"
