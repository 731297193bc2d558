"""Uncertainty of a biased or quadratic statistic, from random halves of the patients."""

from collections.abc import Iterable

import numpy as np
from scipy.special import stdtrit

from radcommons.errors import TooFewImages

FEWEST_GROUPS = 4  # a half then holds two at least


def random_half(rows: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Marks the rows of a random half of the groups, drawn without replacement.

    Args:
        rows: group number of each row from `group_numbers`, int (n,).
    Returns:
        Boolean (n,). An odd number of groups is rounded up or down by chance, so that it is a half on average.
    """
    groups = int(rows.max()) + 1
    size = (groups + int(rng.integers(2))) // 2
    chosen = np.zeros(groups, bool)
    chosen[rng.permutation(groups)[:size]] = True
    return np.asarray(chosen[rows])


def group_numbers(groups: np.ndarray | None, length: int, what: str) -> np.ndarray:
    """Numbers the groups 0, 1, ... for `length` rows; without groups each row is its own.

    Raises:
        TooFewImages: fewer than four groups, whose halves cannot hold two each.
    """
    rows = np.arange(length) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(rows.max()) + 1 if length else 0
    if count < FEWEST_GROUPS:
        kind = "images" if groups is None else "patients"
        raise TooFewImages(f"an interval by halves needs {FEWEST_GROUPS} {what} {kind} or more, not {count}")
    return rows


def half_sample_interval(
    estimate: float, halves: Iterable[float], *, level: float = 0.95, corrected: bool = True
) -> tuple[float, float]:
    """Interval of a statistic from its values on random halves of the sample (the delete-half jackknife).

    A half drawn without replacement differs from the whole by as much as the whole does from the population:
    in variance, 1/(n/2) - 1/n = 1/n; and in bias, where that is of order 1/n. So the halves' standard deviation is
    the standard error, ``estimate - (mean(halves) - estimate)`` is free of bias of order 1/n, and no row is drawn
    twice, which a bootstrap does and which a covariance or a nearest neighbour takes for structure.
    The halves are few, so Student's t replaces the normal quantile and the centre's own error is added.

    Args:
        estimate: the statistic on the whole sample.
        halves: its values on random halves, two or more.
        level: e.g. 0.95.
        corrected: False leaves `estimate` in the middle: the range of the statistic at this number of images.
    Returns:
        (low, high).
    Source: Shao and Wu 1989 (delete-d jackknife); Efron 1979 (the jackknife's bias).
    """
    values = np.fromiter(halves, float)
    count = len(values)
    centre = 2 * estimate - values.mean() if corrected else estimate
    reach = stdtrit(count - 1, (1 + level) / 2) * values.std(ddof=1) * np.sqrt(1 + 1 / count)
    return float(centre - reach), float(centre + reach)
