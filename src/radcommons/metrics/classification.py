"""How well scores separate two classes, over all thresholds."""

import numpy as np


def quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, float64; NaN where `whole` is not above 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0))


def split_classes(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) of the positives and of the negatives; labels (n,) are 1, 0 or NaN for unknown, which is left out."""
    return scores[labels == 1], scores[labels == 0]


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive's score exceeds a negative's, a tie counting half.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
    Returns:
        In [0, 1]; 0.5 = the scores carry no information.
    Source: Hanley and McNeil 1982 (the area under the ROC curve is the Mann-Whitney statistic).
    """
    return float(wins(positive, np.sort(negative)).mean() / len(negative))


def wins(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """How many of the sorted scores (m,) each value (...) exceeds, a tie counting half."""
    below, not_above = np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right")
    return np.asarray((below + not_above) / 2)


def binary_labels(labels: np.ndarray) -> np.ndarray:
    """Labels in [0, 1] or NaN, of any shape, as float32: 1 from 0.5 on, 0 below, NaN (unknown) as it is."""
    return np.where(np.isnan(labels), np.nan, labels >= 0.5).astype(np.float32)


def auc_by_finding(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`area_under_roc` of each finding.

    Args:
        scores: float (n, F).
        labels: 1, 0 or NaN for unknown, float (n, F).
    Returns:
        (F,) in [0, 1]; NaN where a finding has one class only.
    """
    aucs = np.full(labels.shape[1], np.nan)
    for finding in range(labels.shape[1]):
        positive, negative = split_classes(scores[:, finding], labels[:, finding])
        if len(positive) and len(negative):
            aucs[finding] = area_under_roc(positive, negative)
    return aucs


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
    found, false_alarms = _passing(positive, negative)
    return np.append(0.0, false_alarms / len(negative)), np.append(0.0, found / len(positive))


def true_positive_rate_at(positive: np.ndarray, negative: np.ndarray, *, false_positive_rate: float) -> float:
    """Largest share of positives found at a threshold that passes at most a given share of negatives.

    There is no interpolation between thresholds: below a rate of 1 / m only scores above every negative count.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
        false_positive_rate: the share of negatives that is allowed, [0, 1].
    Returns:
        In [0, 1].
    Source: Carlini et al. 2022 (membership inference is measured at low false positive rates).
    """
    ordered = np.sort(negative)
    # With the threshold at a positive's own score, these many negatives pass with it.
    passing = len(ordered) - np.searchsorted(ordered, positive, side="left")
    return float((passing / len(ordered) <= false_positive_rate).mean())


def precision_recall_curve(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every point of the precision-recall curve, from the strictest threshold to the loosest.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,).
    Returns:
        (precisions, recalls), each (t + 1,) for t distinct scores, from recall 0, where precision is set to 1, to
        recall 1, where it is the prevalence.
    Source: Davis and Goadrich 2006.
    """
    found, false_alarms = _passing(positive, negative)
    return np.append(1.0, found / (found + false_alarms)), np.append(0.0, found / len(positive))


def average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    """Precision averaged over the positives, each at the threshold that just finds it.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,).
    Returns:
        In (0, 1]; the prevalence where the scores are all alike, and about that where they carry no information.
        There is no interpolation between points, which would overestimate.
    Source: Buckley and Voorhees 2000; Davis and Goadrich 2006 on interpolation.
    """
    precisions, recalls = precision_recall_curve(positive, negative)
    return float((np.diff(recalls) * precisions[1:]).sum())


def _passing(positive: np.ndarray, negative: np.ndarray) -> list[np.ndarray]:
    """Positives and negatives at or above each distinct score, from the highest score down, (t,) each."""
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    return [len(s) - np.searchsorted(np.sort(s), thresholds, side="left") for s in (positive, negative)]
