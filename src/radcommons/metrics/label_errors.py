"""Which labels are likely wrong? Confident learning for findings that are each there, not there or unknown.

Give it probabilities of a classifier that was not trained on the image (out of fold, split by patient): a network
repeats the labels that it was trained on. A flagged label is one to look at again. `plant_flips` and `detection_rate`
measure what share of wrong labels is found.
"""

import numpy as np

from radcommons.metrics.classification import quotient, true_positive_rate_at

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

    Each class has its own, so a rare finding whose probabilities never reach 0.5 is measured on its own scale.

    Args:
        probabilities, labels: as in `self_confidence`.
    Returns:
        (F, 2): of absent and of present; NaN where no image has that label.
    Source: Northcutt 2021, eq. 2.
    """
    confidence = self_confidence(probabilities, labels)
    classes = [labels == kind for kind in (ABSENT, PRESENT)]
    return np.stack([quotient(np.where(c, confidence, 0).sum(axis=0), c.sum(axis=0)) for c in classes], axis=1)


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
        (F, 2): wrong among the absent, wrong among the present; NaN where no image of that label is confident. The
        number is too high where the classes overlap: of clean labels under a classifier of AUC 0.92 it counts one in
        fourteen as wrong at a prevalence of 0.5, and one in four of the present at 0.03. Compare with known errors.
    Source: Northcutt 2021, eq. 3.
    """
    joint = confident_joint(probabilities, labels)
    given = np.stack([(labels == kind).sum(axis=0) for kind in (ABSENT, PRESENT)], axis=1)
    confident = joint.sum(axis=2)
    crossed = np.stack([joint[:, ABSENT, PRESENT], joint[:, PRESENT, ABSENT]], axis=1)
    return quotient(crossed * given, confident)


def label_margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much better the label as given fits than its opposite; the lowest are the first suspects.

    ``(p(given) - t(given)) - (p(other) - t(other))`` with the thresholds t of `class_thresholds`, so that positives of
    a rare finding, whose probabilities are low throughout, are not all suspects.
    Within one class of one finding the order is that of `self_confidence`.

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
    """Flip as many present as absent labels of each finding, to measure what a screen finds.

    The prevalence does not change. Flipping the same share of each class would make most positives of a rare finding
    wrong, which is another and easier question.

    Args:
        labels: 1, 0 or NaN for unknown, float (n, F).
        share: of the finding's rarer class, [0, 1], rounded to whole labels; so many are flipped in either class.
        rng: chooses them.
    Returns:
        (labels with flips (n, F), where they are, boolean (n, F)).
    """
    flipped = np.zeros(labels.shape, bool)
    for finding in range(labels.shape[1]):
        classes = [np.flatnonzero(labels[:, finding] == kind) for kind in (ABSENT, PRESENT)]
        flips = round(share * min(map(len, classes)))
        for members in classes:
            flipped[rng.permutation(members)[:flips], finding] = True
    return np.where(flipped, 1 - labels, labels), flipped


def detection_rate(
    margins: np.ndarray, labels: np.ndarray, flipped: np.ndarray, *, false_alarm_rate: float
) -> np.ndarray:
    """Share of planted flips that are more suspect than all but a share of the other labels of the same class.

    Each class by itself: a small share of all labels of a rare finding may be more than all its positives.

    Args:
        margins: `label_margins` of the labels with flips, (n, F), lower = more suspect; NaN is left out.
        labels: the labels with flips, 1, 0 or NaN, float (n, F).
        flipped: where flips were planted, boolean (n, F). Labels that were wrong before count as false alarms.
        false_alarm_rate: share of a class's other labels that may be flagged with them, [0, 1].
    Returns:
        (2,) in [0, 1]: of the flips now absent, and of those now present; NaN where there is no flip or nothing else.
        About `false_alarm_rate` for margins that say nothing.
    """
    rates = np.full(2, np.nan)
    for kind in (ABSENT, PRESENT):
        of_kind = (labels == kind) & ~np.isnan(margins)
        planted, others = -margins[of_kind & flipped], -margins[of_kind & ~flipped]
        if len(planted) and len(others):
            rates[kind] = true_positive_rate_at(planted, others, false_positive_rate=false_alarm_rate)
    return rates


def _confident_class(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """0, 1, or NaN for neither, (n, F)."""
    absent_from, present_from = class_thresholds(probabilities, labels).T
    absent, present = 1 - probabilities >= absent_from, probabilities >= present_from  # never where a class lacks
    present_is_likelier = probabilities > 0.5
    lacking = np.isnan(absent_from + present_from)
    chosen = np.where(absent & present, present_is_likelier, present)
    return np.asarray(np.where((absent | present) & ~lacking, chosen, np.nan))
