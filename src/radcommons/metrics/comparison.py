"""Tests of the difference between two classifiers on the same images."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

from radcommons.metrics.classification import quotient, wins

BLOCK_CELLS = 2**21  # permutations times patients at once, 16 MB of signs
ROUNDING = 1e-13  # of the sum of all terms: by this much two sums that are equal may differ


@dataclass(frozen=True)
class PermutationTest:
    """A permutation test of the difference of two AUCs.

    difference: AUC of the first classifier minus that of the second, (F,), [-1, 1]; NaN where a class is absent.
    p_value: two-sided, (F,), (0, 1]; not corrected for the number of findings.
    """

    difference: np.ndarray
    p_value: np.ndarray


@dataclass(frozen=True)
class DelongTest:
    """DeLong's test of the difference of two AUCs.

    difference: AUC of the first classifier minus that of the second, (F,), [-1, 1]; NaN where a class is absent.
    standard_error: of the difference, (F,), >= 0; NaN with fewer than two patients with positives or with negatives.
    p_value: two-sided, (F,), [0, 1]; 1 where the classifiers do not differ in any image, NaN where a difference has
        a standard error of 0.
    """

    difference: np.ndarray
    standard_error: np.ndarray
    p_value: np.ndarray


def permutation_test(
    first: np.ndarray,
    second: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> PermutationTest:
    """Permute the two classifiers' ranks in random patients: how often is the difference of AUC as large by chance?

    Scores of each classifier become ranks among the labelled images of a finding, ties their mean, so that the two
    may be on different scales. A patient's images, and all findings, are permuted together. With x and y the ranks
    by the two classifiers, the difference after a permutation is linear in the signs of the patients,
    ``D = sum_p sign_p T_p``: for a positive i, T gathers the negatives of either classifier that x_i beats minus
    those that y_i beats, halved, and for a negative likewise; so no AUC is computed anew.

    The null hypothesis is that ranks are exchangeable. It holds only approximately where AUCs are equal but the
    curves cross.

    Args:
        first: scores of one classifier, float (n, F).
        second: scores of the other for the same images, float (n, F).
        labels: 1, 0 or NaN for unknown, float (n, F).
        patients: patient of each image, (n,); `np.arange(n)` takes images for independent.
        permutations: how many, >= 1; the smallest p is 1 / (1 + permutations).
        rng: draws the signs.
    Returns:
        PermutationTest, p = (1 + permutations at least as far from 0) / (1 + permutations).
    Source: Venkatraman and Begg 1996 (exchange of ranks); Bandos, Rockette and Gur 2005 (the AUC, linear form);
        Phipson and Smyth 2010 (the 1 +).
    """
    names, rows = np.unique(patients, return_inverse=True)
    findings = labels.shape[1]
    terms = np.full((len(names), findings), np.nan)  # of the difference, by patient
    for f in range(findings):
        known = ~np.isnan(labels[:, f])
        positive = labels[known, f] == 1
        if positive.any() and not positive.all():
            parts = _permutation_terms(first[known, f], second[known, f], positive)
            pairs = positive.sum() * (~positive).sum()
            terms[:, f] = np.bincount(rows[known], weights=parts, minlength=len(names)) / pairs
    observed = terms.sum(axis=0)
    limits = np.abs(observed) - ROUNDING * np.abs(terms).sum(axis=0)
    as_far = np.zeros(findings)
    step = max(1, BLOCK_CELLS // len(names))
    for start in range(0, permutations, step):
        signs = np.where(rng.random((min(step, permutations - start), len(names))) < 0.5, -1.0, 1.0)
        as_far += (np.abs(signs @ terms) >= limits).sum(axis=0)
    p_values = np.where(np.isnan(observed), np.nan, (1 + as_far) / (1 + permutations))
    return PermutationTest(observed, p_values)


def delong_test(first: np.ndarray, second: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> DelongTest:
    """DeLong's test, with Obuchowski's variance for several images a patient; from sorted scores, not from pairs.

    Args:
        first: scores of one classifier, float (n, F).
        second: scores of the other for the same images, float (n, F), on any scale.
        labels: 1, 0 or NaN for unknown, float (n, F).
        patients: patient of each image, (n,); with `np.arange(n)` it is DeLong's own variance.
    Returns:
        DelongTest; a normal approximation, for about ten patients of each class or more.
    Source: DeLong, DeLong and Clarke-Pearson 1988; Obuchowski 1997 (patients); Sun and Xu 2014 (sorting).
    """
    rows = np.unique(patients, return_inverse=True)[1]
    results = np.array([_delong(first[:, f], second[:, f], labels[:, f], rows) for f in range(labels.shape[1])])
    difference, error = results.reshape(-1, 2).T
    p_value = 2 * ndtr(-np.abs(quotient(difference, error)))
    p_value[(difference == 0) & (error == 0)] = 1
    return DelongTest(difference, error, p_value)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's correction of several p values: it bounds the probability of any false positive.

    Args:
        p_values: (F,) in [0, 1]; NaN, from a test that was not possible, stays NaN and is not counted.
    Returns:
        Corrected p values, (F,) in [0, 1], never below the given ones.
    Source: Holm 1979.
    """
    corrected = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)[: int((~np.isnan(p_values)).sum())]  # NaN sorts to the end
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def _permutation_terms(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """T of each image, (n,), multiples of 1/4: the sum over all is the difference of AUC times the pairs."""
    ranks = np.stack([rankdata(first), rankdata(second)])  # of all labelled images: on one scale
    positives, negatives = np.sort(ranks[:, positive], axis=None), np.sort(ranks[:, ~positive], axis=None)
    above = wins(ranks, negatives)
    below = len(positives) - wins(ranks, positives)
    return np.asarray(np.where(positive, above[0] - above[1], below[0] - below[1]) / 2)


def _delong(first: np.ndarray, second: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Difference of the AUCs and its standard error, over patients."""
    positive, negative = labels == 1, labels == 0
    if not positive.any() or not negative.any():
        return float("nan"), float("nan")
    m, n = int(positive.sum()), int(negative.sum())
    of_positives, of_negatives = np.zeros(m), np.zeros(n)  # structural components of the difference
    for scores, sign in ((first, 1), (second, -1)):
        of_positives += sign * wins(scores[positive], np.sort(scores[negative])) / n
        of_negatives += sign * (1 - wins(scores[negative], np.sort(scores[positive])) / m)
    difference = of_positives.mean()
    patients = int(rows.max()) + 1
    by_positives = np.bincount(rows[positive], weights=of_positives - difference, minlength=patients) / m
    by_negatives = np.bincount(rows[negative], weights=of_negatives - difference, minlength=patients) / n
    with_positives, with_negatives = (len(np.unique(rows[which])) for which in (positive, negative))
    with_any = len(np.unique(rows[positive | negative]))
    if min(with_positives, with_negatives) < 2:
        return float(difference), float("nan")
    variance = (
        with_positives / (with_positives - 1) * (by_positives**2).sum()
        + with_negatives / (with_negatives - 1) * (by_negatives**2).sum()
        + 2 * with_any / (with_any - 1) * (by_positives * by_negatives).sum()
    )
    return float(difference), float(np.sqrt(max(variance, 0.0)))
