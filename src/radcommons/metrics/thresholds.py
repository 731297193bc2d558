"""Measures of a classifier at a threshold, and thresholds chosen on a validation set."""

from dataclasses import dataclass

import numpy as np

from radcommons.errors import TooFewImages
from radcommons.metrics.classification import quotient, roc_curve, split_classes


@dataclass(frozen=True)
class Confusion:
    """Counts of the four outcomes, all of one shape, e.g. one per finding; a share is NaN where it is undefined.

    true_positive, false_positive, false_negative, true_negative: counts >= 0. Unknown labels are in none of them.
    """

    true_positive: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray
    true_negative: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """Share of the images that are called correctly, [0, 1]."""
        right = self.true_positive + self.true_negative
        return quotient(right, right + self.false_positive + self.false_negative)

    @property
    def sensitivity(self) -> np.ndarray:
        """Share of the positives that are found, [0, 1]; NaN without positives."""
        return quotient(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> np.ndarray:
        """Share of the negatives that raise no alarm, [0, 1]; NaN without negatives."""
        return quotient(self.true_negative, self.true_negative + self.false_positive)

    @property
    def ppv(self) -> np.ndarray:
        """Share of the alarms that are right, [0, 1]; NaN without an alarm. It falls with the prevalence."""
        return quotient(self.true_positive, self.true_positive + self.false_positive)

    @property
    def npv(self) -> np.ndarray:
        """Share of the images without an alarm that are negative, [0, 1]; NaN where every image raises an alarm."""
        return quotient(self.true_negative, self.true_negative + self.false_negative)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of sensitivity and PPV, [0, 1]; NaN with neither positives nor alarms."""
        twice = 2 * self.true_positive
        return quotient(twice, twice + self.false_positive + self.false_negative)


def confusion(scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> Confusion:
    """Counts of the outcomes of every finding; an alarm is a score at or above the threshold.

    Args:
        scores: float (n, F).
        labels: 1, 0 or NaN for unknown, float (n, F).
        thresholds: of each finding, (F,), chosen on other images.
    Returns:
        Confusion of integers (F,).
    Source: Altman and Bland 1994.
    """
    parts = (part.sum(axis=0) for part in outcomes(scores, labels, thresholds))
    return Confusion(*parts)


def outcomes(
    scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which images are true and false positives, false and true negatives, boolean (n, F) each, as in `confusion`."""
    alarm = scores >= thresholds
    positive, negative = labels == 1, labels == 0
    return alarm & positive, alarm & negative, ~alarm & positive, ~alarm & negative


def youden_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Threshold of the largest ``sensitivity + specificity - 1`` among the scores themselves.

    Args:
        scores: of one finding in a validation set, float (n,).
        labels: 1, 0 or NaN for unknown, float (n,).
    Returns:
        The threshold, for scores at or above it; of several equally good the highest.
    Raises:
        TooFewImages: a class is absent.
    Source: Youden 1950.
    """
    thresholds, false_positive_rates, true_positive_rates = _points(scores, labels)
    return float(thresholds[np.argmax(true_positive_rates - false_positive_rates)])


def corner_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Threshold whose point of the ROC curve is closest to the corner (0, 1).

    Arguments, result and error are those of `youden_threshold`.

    Source: Perkins and Schisterman 2006.
    """
    thresholds, false_positive_rates, true_positive_rates = _points(scores, labels)
    return float(thresholds[np.argmin(false_positive_rates**2 + (1 - true_positive_rates) ** 2)])


def _points(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores from the highest down, and the false and true positive rates at each, (t,) each."""
    positive, negative = split_classes(scores, labels)
    if not len(positive) or not len(negative):
        raise TooFewImages(
            f"a threshold needs both classes, but the validation set has {len(positive)} positives and "
            f"{len(negative)} negatives; add images of the other or leave the finding out"
        )
    false_positive_rates, true_positive_rates = roc_curve(positive, negative)
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    return thresholds, false_positive_rates[1:], true_positive_rates[1:]
