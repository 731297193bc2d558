"""Which labels are likely wrong? Confident learning for findings that are each there, not there or unknown.

Give it probabilities of a classifier that was not trained on the image (out of fold, split by patient): a network
believes what it was trained on. A flagged label is one to look at again. Where nothing is flagged, `plant_flips` and
`detection_rate` say what would have been found.
"""

import numpy as np

from radcommons.metrics.classification import true_positive_rate_at

ABSENT, PRESENT = 0, 1


def self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability that the classifier gives to the label as it stands.

    Args:
        probabilities: of each finding, out of fold, float (n, F) in [0, 1].
        labels: 1, 0 or NaN for unknown, float (n, F).
    Returns:
        (n, F) in [0, 1]; NaN where unknown.
    Source: Northcutt, Jiang and Chuang 2021, section 3.
    """
    return np.asarray(np.where(labels == 1, probabilities, 1 - probabilities) + 0 * labels)


def class_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean self-confidence of each class: above it an image counts as confidently of that class.

    It is each class's own, so a rare finding whose probabilities never reach 0.5 is judged by its own measure.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        (F, 2): of absent and of present; NaN where no image has that label.
    Source: Northcutt 2021, eq. 2.
    """
    confidence = self_confidence(probabilities, labels)
    thresholds = np.full((labels.shape[1], 2), np.nan)
    for kind in (ABSENT, PRESENT):
        of_kind = labels == kind
        sums, counts = np.where(of_kind, confidence, 0).sum(axis=0), of_kind.sum(axis=0)
        np.divide(sums, counts, out=thresholds[:, kind], where=counts > 0)
    return thresholds


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts of labels as given against the class that an image is confidently of.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        int (F, given 2, confident 2); images that are confidently of neither class are not counted. All 0 for a
        finding that lacks a class.
    Source: Northcutt 2021, eq. 1: of two classes above their thresholds, the more probable.
    """
    confident = _confident_class(probabilities, labels)
    return np.stack(
        [[((labels == given) & (confident == kind)).sum(axis=0) for kind in (0, 1)] for given in (0, 1)]
    ).transpose(2, 0, 1)


def wrong_labels(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Estimated number of wrong labels among those given as absent and as present.

    The confident joint's rows, scaled to as many labels as were given.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        (F, 2): wrong among the absent, wrong among the present; NaN where no image of that label is confident. Some
        are found in clean labels too: findings that overlap look like errors.
    Source: Northcutt 2021, eq. 3.
    """
    joint = confident_joint(probabilities, labels)
    given = np.stack([(labels == kind).sum(axis=0) for kind in (ABSENT, PRESENT)], axis=1)
    confident = joint.sum(axis=2)
    crossed = np.stack([joint[:, ABSENT, PRESENT], joint[:, PRESENT, ABSENT]], axis=1)
    undefined = np.full(given.shape, np.nan)
    return np.asarray(np.divide(crossed * given, confident, out=undefined, where=confident > 0))


def label_margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much better the label as given fits than its opposite; the lowest are the first suspects.

    ``(p(given) - t(given)) - (p(other) - t(other))`` with the thresholds t of `class_thresholds`, so that positives of
    a rare finding, whose probabilities are low throughout, are not all suspects.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        (n, F) in [-2, 2], lower = more suspect; NaN where unknown or where the finding lacks a class.
    Source: Northcutt 2021, section 3.2 (normalised margin) and the thresholds of eq. 2.
    """
    thresholds = class_thresholds(probabilities, labels)
    confidence = self_confidence(probabilities, labels)
    apart = thresholds[:, PRESENT] - thresholds[:, ABSENT]
    return np.asarray(2 * confidence - 1 - np.where(labels == 1, apart, -apart))


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The labels that the confident joint counts as wrong, most suspect first.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        int (s, 2): row and finding of each, in the order of `label_margins`.
    Source: Northcutt 2021, section 3.2 (confident joint, off the diagonal).
    """
    confident = _confident_class(probabilities, labels)
    found = np.argwhere(~np.isnan(confident) & ~np.isnan(labels) & (confident != labels))
    margins = label_margins(probabilities, labels)[found[:, 0], found[:, 1]]
    return found[np.argsort(margins, kind="stable")]


def plant_flips(labels: np.ndarray, *, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn over a share of the known labels of each class of each finding, to measure what a screen finds.

    Args:
        labels: 1, 0 or NaN for unknown, float (n, F).
        share: of either class, [0, 1]; rounded to whole labels.
        rng: chooses them.
    Returns:
        (labels with flips (n, F), where they are, boolean (n, F)).
    """
    flipped = np.zeros(labels.shape, bool)
    for finding in range(labels.shape[1]):
        for kind in (ABSENT, PRESENT):
            members = np.flatnonzero(labels[:, finding] == kind)
            flipped[rng.permutation(members)[: round(share * len(members))], finding] = True
    return np.where(flipped, 1 - labels, labels), flipped


def detection_rate(margins: np.ndarray, flipped: np.ndarray, *, false_alarm_rate: float) -> float:
    """Share of planted flips that are more suspect than all but a share of the other labels.

    Args:
        margins: `label_margins` of the labels with flips, (n,) or (n, F), lower = more suspect, NaN left out.
        flipped: where flips were planted, boolean, same shape. Labels that were wrong before count as false alarms.
        false_alarm_rate: share of the other labels that may be flagged with them, [0, 1].
    Returns:
        In [0, 1]; NaN where there is no flip or nothing else. About `false_alarm_rate` for margins that say nothing.
    """
    known = ~np.isnan(margins)
    planted, others = -margins[known & flipped], -margins[known & ~flipped]
    if not len(planted) or not len(others):
        return float("nan")
    return true_positive_rate_at(planted, others, false_positive_rate=false_alarm_rate)


def _confident_class(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """0, 1, or NaN for neither, (n, F)."""
    absent_from, present_from = class_thresholds(probabilities, labels).T
    absent, present = 1 - probabilities >= absent_from, probabilities >= present_from  # never where a class lacks
    present_is_likelier = probabilities > 0.5
    lacking = np.isnan(absent_from + present_from)
    chosen = np.where(absent & present, present_is_likelier, present)
    return np.asarray(np.where((absent | present) & ~lacking, chosen, np.nan))
