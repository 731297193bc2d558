"""Several readers who saw the same images: means with errors from the choice of both, so that they hold for others.

A measure of each reader goes with its jackknife: the same measure with each image left out. Measures are added and
subtracted, so one analysis serves an accuracy, an AUC and a difference of two. Leading axes are simulated studies.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv
from scipy.stats import nct, norm
from scipy.stats import t as student

from radcommons.metrics.classification import area_under_roc, quotient, wins

NORMAL_FROM = 1e6  # degrees of freedom


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of every reader.

    values: (..., R); NaN where a reader has no answer that counts.
    without: the same with each image left out, (..., R, N); the value itself for an image that the reader did not see.
    """

    values: np.ndarray
    without: np.ndarray

    def __add__(self, other: Self) -> "Measure":
        return Measure(self.values + other.values, self.without + other.without)

    def __sub__(self, other: Self) -> "Measure":
        return Measure(self.values - other.values, self.without - other.without)

    def __mul__(self, weights: np.ndarray | float) -> "Measure":
        return Measure(self.values * weights, self.without * np.asarray(weights)[..., None])

    def __getitem__(self, study: int) -> "Measure":
        return Measure(self.values[study], self.without[study])

    def of(self, readers: np.ndarray) -> "Measure":
        """Some of the readers: a mask or numbers, (r,)."""
        return Measure(self.values[..., readers], self.without[..., readers, :])


@dataclass(frozen=True, slots=True)
class ReaderMean:
    """A mean over readers, or a difference of two means, with an error that holds for other readers and images.

    value, standard_error: of the mean; the error is 0 where neither readers nor images vary.
    freedom: degrees of freedom of Student's distribution.
    least_error: a standard error that the true one cannot be below, 0 if none is known. A few readers may be alike by
        luck: interval, p value and what is detectable are the more cautious of those by either error.
    """

    value: np.ndarray
    standard_error: np.ndarray
    freedom: np.ndarray
    least_error: np.ndarray | float = 0.0

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), not cut at 0 or 1."""
        tail = (1 - level) / 2
        reach = np.maximum(student.isf(tail, self.freedom) * self.standard_error, norm.isf(tail) * self.least_error)
        return self.value - reach, self.value + reach

    def p_value(self, expected: float) -> np.ndarray:
        """Two-sided, of a true mean of `expected`; NaN where both errors are 0 and the mean is another."""
        distance = np.abs(self.value - expected)
        by_readers = 2 * student.sf(quotient(distance, self.standard_error), self.freedom)
        least = 2 * norm.sf(quotient(distance, np.broadcast_to(self.least_error, distance.shape)))
        return np.asarray(np.where(distance == 0, 1.0, np.fmax(by_readers, least)))

    def detectable(self, *, power: float = 0.8, significance: float = 0.05) -> float:
        """How far a single true mean must be from its null value for the two-sided test to find it, > 0.

        Source: Johnson and Welch 1940 (noncentral t).
        """
        quantiles = float(norm.isf(significance / 2) + norm.ppf(power))
        least = quantiles * float(self.least_error)
        error, freedom = float(self.standard_error), float(self.freedom)
        if freedom > NORMAL_FROM:
            return max(least, quantiles * error)
        limit = float(student.isf(significance / 2, freedom))
        errors = brentq(lambda d: float(nct.sf(limit, freedom, d)) - power, 0, 10 * (1 + limit))
        return max(least, error * float(errors))


def shares(scores: np.ndarray, chosen: np.ndarray | bool = True) -> Measure:
    """Mean score of each reader over the chosen images: of 1 and 0, the share of right answers.

    Args:
        scores: (..., R, N); NaN for an image that the reader did not see, or that does not count.
        chosen: which images, a mask that broadcasts to the scores.
    """
    seen = ~np.isnan(scores) & chosen
    counted = np.where(seen, scores, 0.0)
    number, total = seen.sum(axis=-1, keepdims=True), counted.sum(axis=-1, keepdims=True)
    values = quotient(total, number)
    without = np.where(number - seen > 0, quotient(total - counted, number - seen), values)
    return Measure(values[..., 0], without)


def accuracies(scores: np.ndarray, synthetic: np.ndarray) -> Measure:
    """Accuracy of each reader: the mean of sensitivity and specificity.

    With as many synthetic as real images it is the share of right answers. With any numbers it is 0.5 for a reader who
    guesses or calls everything real.

    Args:
        scores: 1 right, 0 wrong, NaN for no answer that counts, (..., R, N).
        synthetic: whether each image is, (N,).
    Returns:
        Measure; NaN for a reader without an answer to one of the classes.
    """
    return (shares(scores, synthetic) + shares(scores, ~synthetic)) * 0.5


def share_error(scores: np.ndarray) -> np.ndarray:
    """Standard error that the mean of all scores would have if every answer were independent of every other, (...).

    Readers of different skill and images of different difficulty can only make it larger.

    Args:
        scores: 1 right, 0 wrong, NaN for no answer that counts, (..., R, N); some that count.
    """
    number = (~np.isnan(scores)).sum(axis=(-2, -1))
    right = np.nansum(scores, axis=(-2, -1)) / number
    return np.asarray(np.sqrt(right * (1 - right) / number))


def accuracy_error(scores: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """The same for the mean of `accuracies`; arguments are theirs, with some answers to either class."""
    return np.asarray(np.hypot(share_error(scores[..., synthetic]), share_error(scores[..., ~synthetic])) / 2)


def effective_answers(scores: np.ndarray, synthetic: np.ndarray) -> float:
    """Answers of a balanced study that give an accuracy as certain as these do, (R, N): their number, if balanced."""
    of_class = [(~np.isnan(scores) & kind).sum() for kind in (synthetic, ~synthetic)]
    return float(4 / (1 / of_class[0] + 1 / of_class[1]))


def aucs(scores: np.ndarray, synthetic: np.ndarray) -> Measure:
    """`area_under_roc` of each reader's scores, high = synthetic.

    Args:
        scores: (R, N); NaN for an image that the reader did not see.
        synthetic: whether each image is, (N,).
    Returns:
        Measure; NaN for a reader with fewer than two images of either class.
    """
    values, without = np.full(len(scores), np.nan), np.full(scores.shape, np.nan)
    for reader, of_reader in enumerate(scores):
        positive, negative = (np.flatnonzero(kind & ~np.isnan(of_reader)) for kind in (synthetic, ~synthetic))
        m, n = len(positive), len(negative)
        if min(m, n) < 2:
            continue
        values[reader] = area_under_roc(of_reader[positive], of_reader[negative])
        without[reader] = values[reader]
        won = wins(of_reader[positive], np.sort(of_reader[negative]))
        lost = m - wins(of_reader[negative], np.sort(of_reader[positive]))
        without[reader, positive] = (won.sum() - won) / ((m - 1) * n)
        without[reader, negative] = (lost.sum() - lost) / (m * (n - 1))
    return Measure(values, without)


def readers_and_cases(first: Measure, second: Measure | None = None) -> ReaderMean:
    """Mean of a measure over readers; with `second`, the difference of the means of two groups of other readers.

    ``variance = MS(readers) / R + max(covariance of two readers, 0)``: how readers differ, which includes their own
    errors, and what they share because they saw the same images. For a difference of two measures of the same
    readers, subtract the measures: this is then the test of Obuchowski and Rockette. For groups, each has its MS, and
    the covariances within both count less twice the one across.

    Args:
        first: of R readers, R >= 2.
        second: of other readers, >= 2, over the same N images (seen or not).
    Source: Obuchowski and Rockette 1995; Hillis, Obuchowski, Schartz and Berbaum 2005, eq. 23 (jackknife), Hillis 2007
        (degrees of freedom); Satterthwaite 1946 for two groups.
    """
    groups = [first] if second is None else [first, second]
    of_readers = [np.var(g.values, axis=-1, ddof=1) / g.values.shape[-1] for g in groups]
    moved = [g.without - g.without.mean(axis=-1, keepdims=True) for g in groups]
    shared = sum((_between_readers(m) for m in moved), np.zeros(()))
    value = first.values.mean(axis=-1)
    if second is not None:
        value = value - second.values.mean(axis=-1)
        across = (moved[0].mean(axis=-2) * moved[1].mean(axis=-2)).sum(axis=-1)
        shared = shared - 2 * across * _jackknife_factor(first.without)
    variance = sum(of_readers, np.zeros(())) + np.maximum(shared, 0)
    uncertain = sum(
        (part**2 / (g.values.shape[-1] - 1) for part, g in zip(of_readers, groups, strict=True)), np.zeros(())
    )
    freedom = np.where(uncertain > 0, quotient(variance**2, uncertain), np.inf)
    return ReaderMean(np.asarray(value), np.sqrt(variance), freedom)


def jackknife_errors(measure: Measure) -> np.ndarray:
    """Standard error of each reader's measure, from the choice of images alone, (..., R).

    Source: Efron 1982.
    """
    moved = measure.without - measure.without.mean(axis=-1, keepdims=True)
    return np.asarray(np.sqrt((moved**2).sum(axis=-1) * _jackknife_factor(moved)))


def bootstrap_accuracy(
    scores: np.ndarray, synthetic: np.ndarray, *, bootstrap_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean accuracy in bootstrap samples of readers and of images, real and synthetic on their own, (samples,).

    Its intervals are too narrow for few readers: a sample of three has but ten different outcomes.

    Args:
        scores: 1 right, 0 wrong, NaN for no answer that counts, (R, N).
        synthetic: whether each image is, (N,).
    Source: Efron 1979; Dwyer 1997 (readers and cases).
    """
    of_readers = np.zeros((bootstrap_samples, len(scores)))
    for kind in (synthetic, ~synthetic):
        part = scores[:, kind]
        number, seen = part.shape[1], ~np.isnan(part)
        images = rng.multinomial(number, np.full(number, 1 / number), size=bootstrap_samples).astype(float)
        of_readers += 0.5 * quotient(images @ np.where(seen, part, 0.0).T, images @ seen.T.astype(float))
    readers = rng.multinomial(len(scores), np.full(len(scores), 1 / len(scores)), size=bootstrap_samples)
    weights = np.where(np.isnan(of_readers), 0, readers)
    return quotient((np.nan_to_num(of_readers) * weights).sum(axis=1), weights.sum(axis=1))


def mean_roc(scores: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC curve of readers who use one scale: their mean rates at every score, from the strictest on.

    Args:
        scores: (R, N), high = synthetic; NaN for an image that the reader did not see.
        synthetic: whether each image is, (N,).
    Returns:
        (1 - specificity, sensitivity), each (t + 1,) for t distinct scores, from (0, 0) to (1, 1).
    """
    thresholds = np.unique(scores[~np.isnan(scores)])[::-1]
    passing = np.where(np.isnan(scores), np.nan, scores >= thresholds[:, None, None])  # (t, R, N)
    alarms, found = (np.nanmean(shares(passing, kind).values, axis=1) for kind in (~synthetic, synthetic))
    return np.append(0.0, alarms), np.append(0.0, found)


def exact_interval(successes: float, images: float, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of one reader's share; it holds for these images only.

    Args:
        successes: [0, images]; what is no whole number is interpolated, which keeps the interval on the safe side.
        images: >= 1, independent of each other.
    Source: Clopper and Pearson 1934.
    """
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, images - successes + 1, tail))
    high = 1.0 if successes >= images else float(betaincinv(successes + 1, images - successes, 1 - tail))
    return low, high


def exact_p_value(successes: float, images: float, share: float = 0.5) -> float:
    """Two-sided p value that agrees with `exact_interval`: twice the smaller tail, at most 1."""
    above = 1.0 if successes <= 0 else float(betainc(successes, images - successes + 1, share))
    below = 1.0 if successes >= images else 1 - float(betainc(successes + 1, images - successes, share))
    return float(min(1.0, 2 * min(above, below)))


def _between_readers(moved: np.ndarray) -> np.ndarray:
    """Mean covariance of two different readers' measures over samples of images, from (..., R, N) less their mean."""
    readers = moved.shape[-2]
    pairs = (moved.sum(axis=-2) ** 2 - (moved**2).sum(axis=-2)).sum(axis=-1)
    return np.asarray(pairs / (readers * (readers - 1)) * _jackknife_factor(moved))


def _jackknife_factor(without: np.ndarray) -> float:
    """(N - 1) / N, which turns a sum over left-out images into a variance."""
    return 1.0 - 1.0 / float(without.shape[-1])
