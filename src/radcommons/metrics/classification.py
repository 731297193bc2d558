"""How well scores tell two classes apart."""

from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq

from radcommons.errors import TooFewImages


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive's score exceeds a negative's, a tie counting half.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
    Returns:
        In [0, 1]; 0.5 = the scores say nothing.
    Source: Hanley and McNeil 1982 (the area under the ROC curve is the Mann-Whitney statistic).
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / 2 / len(ordered))


def roc_curve(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every point of the ROC curve, from the strictest threshold to the loosest.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
    Returns:
        (false positive rates, true positive rates), each (t + 1,) for t distinct scores, from (0, 0) to (1, 1).
        Scores that are equal pass the threshold together: a slanted line where both classes have that score.
    Source: Fawcett 2006.
    """
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    rates = [
        np.append(0.0, (len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")) / len(scores))
        for scores in (negative, positive)
    ]
    return rates[0], rates[1]


def true_positive_rate_at(positive: np.ndarray, negative: np.ndarray, *, false_positive_rate: float) -> float:
    """Largest share of positives found at a threshold that lets through no more than a share of negatives.

    No point between two thresholds is invented: below a rate of 1 / m only scores above every negative count.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
        false_positive_rate: the share of negatives that is allowed, [0, 1].
    Returns:
        In [0, 1].
    Source: Carlini et al. 2022 (membership inference is judged at low false positive rates).
    """
    ordered = np.sort(negative)
    # With the threshold at a positive's own score, these many negatives pass with it.
    passing = len(ordered) - np.searchsorted(ordered, positive, side="left")
    return float((passing / len(ordered) <= false_positive_rate).mean())


def detectable_auc(positives: int, negatives: int, *, power: float = 0.8, significance: float = 0.05) -> float:
    """Smallest AUC above 0.5 that a two-sided test against 0.5 would find.

    The root A of ``A - 0.5 = z(1 - significance/2) s(0.5) + z(power) s(A)``, where s is the standard error of an AUC.

    Args:
        positives: number of independent positives (patients rather than images, where these differ).
        negatives: number of independent negatives.
        power: probability that the test finds it, [0.5, 1).
        significance: of the two-sided test, (0, 1).
    Returns:
        In (0.5, 1): an attack weaker than this may have been missed.
    Raises:
        TooFewImages: so few that not even an AUC of 1 would be found.
    Source: Hanley and McNeil 1982, the variance of an AUC with exponential scores, on the safe side.
    """
    normal = NormalDist()
    critical = normal.inv_cdf(1 - significance / 2) * _auc_standard_error(0.5, positives, negatives)

    def shortfall(auc: float) -> float:
        return auc - 0.5 - critical - normal.inv_cdf(power) * _auc_standard_error(auc, positives, negatives)

    if shortfall(1.0) <= 0:
        raise TooFewImages(
            f"{positives} positives and {negatives} negatives are too few to tell an AUC of 1 from 0.5 "
            f"at significance {significance:g}; add images"
        )
    return float(brentq(shortfall, 0.5, 1.0))


def _auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Hanley and McNeil's standard error; at 0.5 it is that of the Mann-Whitney statistic, exactly."""
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (two_positives - auc**2) + (negatives - 1) * (two_negatives - auc**2)
    ) / (positives * negatives)
    return float(max(variance, 0.0) ** 0.5)
