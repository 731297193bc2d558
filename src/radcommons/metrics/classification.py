"""How well scores tell two classes apart."""

import numpy as np


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
