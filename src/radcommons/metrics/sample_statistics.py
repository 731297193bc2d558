"""Statistics of one finding as functions of how often each patient stands in a sample.

Given a finding's scores, labels (1, 0 or NaN) and patient numbers 0 ... p - 1, (n,) each, a function here sorts once
and returns a Statistic. Whatever of the images does not change is summed by patient and by place among the positives'
scores, so that a sample costs one product of a sparse matrix with its counts. Whole numbers in float64 stay exact,
ties included. The product holds Python's lock, so threads were not faster when measured.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from radcommons.metrics.classification import quotient

# Counts of the patients, whole numbers as float (p, b) for b samples -> the statistic of each, (b,).
Statistic = Callable[[np.ndarray], np.ndarray]


def auc(scores: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Statistic:
    """`area_under_roc`; NaN where a class is absent."""
    at, below, not_above = _places(scores, labels, rows)
    twice = below + not_above

    def statistic(counts: np.ndarray) -> np.ndarray:
        positives, beaten = at @ counts, np.cumsum(twice @ counts, axis=0)  # (k, b), (k + 1, b)
        wins = np.einsum("kb,kb->b", positives, beaten[:-1])
        return quotient(wins, positives.sum(axis=0) * beaten[-1])  # both doubled, so that a tie is a whole number

    return statistic


def average_precision(scores: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Statistic:
    """`average_precision` of metrics/classification; NaN without positives."""
    at, below, _ = _places(scores, labels, rows)

    def statistic(counts: np.ndarray) -> np.ndarray:
        positives, lower = at @ counts, np.cumsum(below @ counts, axis=0)
        found = np.cumsum(positives[::-1], axis=0)[::-1]  # at this threshold or above
        alarms = found + lower[-1] - lower[:-1]
        precisions = np.divide(found, alarms, out=np.zeros_like(found), where=alarms > 0)
        return quotient(np.einsum("kb,kb->b", positives, precisions), positives.sum(axis=0))

    return statistic


def true_positive_rate(
    scores: np.ndarray, labels: np.ndarray, rows: np.ndarray, *, false_positive_rate: float
) -> Statistic:
    """`true_positive_rate_at`; there have to be negatives in every sample."""
    at, below, _ = _places(scores, labels, rows)

    def statistic(counts: np.ndarray) -> np.ndarray:
        positives, lower = at @ counts, np.cumsum(below @ counts, axis=0)
        within = (lower[-1] - lower[:-1]) / lower[-1] <= false_positive_rate
        return quotient((positives * within).sum(axis=0), positives.sum(axis=0))

    return statistic


def _places(scores: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> tuple[csr_array, csr_array, csr_array]:
    """A finding's images by patient and by place among the k distinct scores of its positives, in ascending order.

    Returns:
        (k, p): positives at each score. Twice (k + 1, p): negatives whose first score is the j-th among those above
        them, and among those not below them; row k where there is none. Summed over the first rows: how many
        negatives are below each score, and how many are not above it.
    """
    patients = int(rows.max()) + 1
    positive, negative = labels == 1, labels == 0
    values, at = np.unique(scores[positive], return_inverse=True)
    above = np.searchsorted(values, scores[negative], side="right")
    not_below = np.searchsorted(values, scores[negative], side="left")

    def table(places: np.ndarray, of: np.ndarray, height: int) -> csr_array:
        return csr_array((np.ones(len(places)), (places, rows[of])), shape=(height, patients))

    height = len(values) + 1
    return table(at, positive, height - 1), table(above, negative, height), table(not_below, negative, height)
