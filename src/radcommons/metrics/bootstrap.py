"""Intervals by drawing patients again: rows of a patient are never taken for independent."""

from collections.abc import Callable

import numpy as np

BLOCK_CELLS = 2**21  # redraws times rows that are weighed at once

# Weights (b, n) of the positives and (b, m) of the negatives, the negatives in order of their scores -> (b,).
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def grouped_counts(groups: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """How often each row stands in one bootstrap sample of groups.

    Args:
        groups: group of each row, e.g. its patient, (n,), of any sortable type.
        rng: draws as many groups as there are, with replacement.
    Returns:
        int (n,), equal within a group; `np.repeat(rows, counts)` is the sample.
    Source: Davison and Hinkley 1997 (resampling of clusters).
    """
    names, rows = np.unique(groups, return_inverse=True)
    return _drawn(len(names), rng)[rows]


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of redrawn values (r,) as (low, high). Source: Efron 1979."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def auc_interval(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    *,
    redraws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `area_under_roc` over bootstrap samples of patients.

    Patients with positives only, with negatives only and with both are drawn each among their like, so neither class
    is ever empty and a patient in both brings all rows along.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
        positive_groups: patient of each positive, (n,).
        negative_groups: patient of each negative, (m,), named as in `positive_groups`.
        redraws: bootstrap samples, 1,000 for an interval of 0.95.
        rng: draws the patients.
        level: e.g. 0.95.
    Returns:
        (low, high) in [0, 1]; of no width where the classes do not overlap at all, whatever their size.
    Source: Efron 1979; Rutter 2000 (the bootstrap of patients for ROC curves).
    """
    below, not_above = _ranks(positive, negative)

    def weighted_auc(of_positives: np.ndarray, of_negatives: np.ndarray) -> np.ndarray:
        lower = _running(of_negatives)
        wins = of_positives * (lower[:, below] + lower[:, not_above]) / 2
        return np.asarray(wins.sum(axis=1) / (of_positives.sum(axis=1) * lower[:, -1]))

    values = _redrawn(weighted_auc, negative, positive_groups, negative_groups, redraws=redraws, rng=rng)
    return percentile_interval(values, level)


def true_positive_rate_interval(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    *,
    false_positive_rate: float,
    redraws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `true_positive_rate_at` over bootstrap samples of patients.

    The threshold is found anew in each sample. Arguments and sources are those of `auc_interval`; patients are
    drawn in the same way. Where `false_positive_rate` times the negatives is only a few, the interval is rough.
    """
    below, _ = _ranks(positive, negative)

    def weighted_rate(of_positives: np.ndarray, of_negatives: np.ndarray) -> np.ndarray:
        lower = _running(of_negatives)
        negatives = lower[:, -1:]
        found = (negatives - lower[:, below]) / negatives <= false_positive_rate
        return np.asarray((of_positives * found).sum(axis=1) / of_positives.sum(axis=1))

    values = _redrawn(weighted_rate, negative, positive_groups, negative_groups, redraws=redraws, rng=rng)
    return percentile_interval(values, level)


def _ranks(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the sorted negatives, how many are below each positive, and how many are not above it."""
    ordered = np.sort(negative)
    return np.searchsorted(ordered, positive, side="left"), np.searchsorted(ordered, positive, side="right")


def _running(weights: np.ndarray) -> np.ndarray:
    """Sum of the first 0, 1, ... m weights of each row, (b, m) -> (b, m + 1)."""
    return np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))


def _redrawn(
    statistic: Statistic,
    negative: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    *,
    redraws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The statistic of each bootstrap sample, (redraws,)."""
    names, rows = np.unique(np.concatenate([positive_groups, negative_groups]), return_inverse=True)
    positive_rows, negative_rows = np.split(rows, [len(positive_groups)])
    negative_rows = negative_rows[np.argsort(negative)]
    classes = np.zeros(len(names), int)  # 1: a patient with positives only, 2: with negatives only, 3: with both
    classes[positive_rows] |= 1
    classes[negative_rows] |= 2
    strata = [members for kind in (1, 2, 3) if len(members := np.flatnonzero(classes == kind))]
    values = np.empty(redraws)
    step = max(1, BLOCK_CELLS // len(rows))
    for start in range(0, redraws, step):
        counts = np.empty((min(step, redraws - start), len(names)))
        for sample in counts:
            for members in strata:
                sample[members] = _drawn(len(members), rng)
        values[start : start + step] = statistic(counts[:, positive_rows], counts[:, negative_rows])
    return values


def _drawn(groups: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `groups` comes up in as many draws with replacement."""
    return np.bincount(rng.integers(groups, size=groups), minlength=groups)
