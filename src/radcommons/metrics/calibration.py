"""Calibration: do predicted probabilities agree with observed frequencies?"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """The reliability curve of one finding.

    edges: of the bins, (b + 1,); a bin holds its upper edge, the first one its lower edge too.
    predicted: mean probability of each bin, (b,); NaN where it is empty.
    observed: share of positives of each bin, (b,); NaN where it is empty.
    counts: images of each bin, int (b,).
    """

    edges: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    counts: np.ndarray

    @property
    def expected_error(self) -> float:
        """ECE: mean of |observed - predicted| over the images, [0, 1]; NaN without images.

        It is biased upwards, by more the fewer images a bin has: compare at equal size and bins only.
        Source: Naeini et al. 2015.
        """
        filled = self.counts > 0
        if not filled.any():
            return float("nan")
        gaps = np.abs(self.observed - self.predicted)[filled]
        return float(np.average(gaps, weights=self.counts[filled]))


def reliability(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> Reliability:
    """Observed frequency of a finding against the predicted probability, in bins of equally many images.

    Bins of equal width would leave most bins of a rare finding empty.

    Args:
        probabilities: of one finding, float (n,) in [0, 1].
        labels: 1, 0 or NaN for unknown, float (n,).
        bins: number of bins, >= 1.
    Returns:
        Reliability; unknown labels are left out, and tied probabilities share a bin.
    Source: DeGroot and Fienberg 1983; Niculescu-Mizil and Caruana 2005.
    """
    known = ~np.isnan(labels)
    values, truth = probabilities[known], labels[known]
    edges = np.linspace(0, 1, bins + 1)
    if len(values):
        edges = np.quantile(values, edges)
    places = np.searchsorted(edges[1:-1], values, side="left")
    counts = np.bincount(places, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    return Reliability(
        edges=edges,
        predicted=np.bincount(places, weights=values, minlength=bins) / filled,
        observed=np.bincount(places, weights=truth, minlength=bins) / filled,
        counts=counts,
    )


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared difference of probability and label.

    Args:
        probabilities: of one finding, float (n,) in [0, 1].
        labels: 1, 0 or NaN for unknown, float (n,).
    Returns:
        In [0, 1], 0 = always certain and right; NaN without a known label. A constant prevalence p scores p (1 - p),
        so the score of a rare finding is low for any classifier.
    Source: Brier 1950.
    """
    known = ~np.isnan(labels)
    if not known.any():
        return float("nan")
    return float(np.square(probabilities[known] - labels[known]).mean())
