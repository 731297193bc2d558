"""Correlations with their intervals, and clusters of correlated variables."""

import numpy as np
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from radcommons.metrics.classification import quotient

FIELLER = 1.06  # variance of Fisher's z of a rank correlation, times n - 3


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear correlation of one variable with several.

    Args:
        x: (n,), n >= 2.
        y: (n, k).
    Returns:
        (k,) in [-1, 1]; NaN where either is constant.
    """
    x, y = x - x.mean(dtype=np.float64), y - y.mean(axis=0, dtype=np.float64)
    return _correlation(x @ y, np.sqrt((x @ x) * np.square(y).sum(axis=0)))


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlation of x (n,) with the columns of y (n, k), ties sharing their mean rank: (k,) in [-1, 1]."""
    return pearson(stats.rankdata(x), stats.rankdata(y, axis=0))


def fisher_interval(correlation: np.ndarray, n: int, *, ranks: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """95% interval of a correlation by Fisher's z.

    Args:
        correlation: of any shape, in [-1, 1].
        n: pairs behind it; below 4 the interval is all of [-1, 1].
        ranks: whether it is Spearman's.
    Returns:
        (low, high), same shape. Valid for normal variables, and a good approximation for others at large n and
        moderate correlation.
    Source: Fisher 1921; for ranks Fieller, Hartley and Pearson 1957.
    """
    if n < 4:
        return np.full_like(correlation, -1.0), np.full_like(correlation, 1.0)
    half = stats.norm.ppf(0.975) * np.sqrt((FIELLER if ranks else 1.0) / (n - 3))
    with np.errstate(divide="ignore"):  # a perfect correlation has z = infinity, and comes back as itself
        z = np.arctanh(correlation)
    return np.tanh(z - half), np.tanh(z + half)


def weighted_pearson(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of every column with every other, each row counted by its weight.

    For labels of 0 and 1 it is the phi coefficient.

    Args:
        vectors: (m, k).
        weights: (m,), >= 0, not all 0.
    Returns:
        (k, k) in [-1, 1]; NaN in the rows and columns of constants.
    """
    share = weights / weights.sum()
    centred = vectors - share @ vectors
    covariance = (centred * share[:, None]).T @ centred
    spread = np.sqrt(covariance.diagonal())
    return _correlation(covariance, np.outer(spread, spread))


def clusters(correlation: np.ndarray, *, joined_at: float) -> tuple[np.ndarray, np.ndarray]:
    """An order that puts correlated variables side by side, by average linkage.

    Args:
        correlation: (k, k), k >= 1, not needing symmetry: both directions are averaged. NaN counts as 0.
        joined_at: two clusters are one block where their mean correlation is above this.
    Returns:
        The order of the variables (k,), and for each variable, in its own place, the number of its block (k,).
    Source: Sokal and Michener 1958 (average linkage); distance is one minus correlation.
    """
    k = len(correlation)
    if k == 1:
        return np.zeros(1, np.int64), np.ones(1, np.int64)
    known = np.nan_to_num(correlation)
    distance = 1 - (known + known.T) / 2
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(squareform(np.maximum(distance, 0), checks=False), "average", optimal_ordering=True)
    blocks: np.ndarray = hierarchy.fcluster(tree, 1 - joined_at, "distance")
    return np.asarray(hierarchy.leaves_list(tree), np.int64), blocks


def _correlation(covariance: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Clipped to [-1, 1], since rounding may exceed it."""
    return np.asarray(np.clip(quotient(covariance, spread), -1, 1))
