"""Agreement between readers beyond what chance explains."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True, slots=True)
class Kappa:
    """Fleiss' kappa.

    value: <= 1; 0 = the agreement of readers who call at random with these shares of calls; NaN where all calls are
        alike or no image has two.
    standard_error: from the choice of images, for these readers; NaN with fewer than two images.
    images: with two calls or more.
    """

    value: float
    standard_error: float
    images: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """(low, high), at most 1; of a level of 0.95, it holds in 0.92 to 0.95 of simulated studies of 100 images."""
        if self.images < 2:
            return float("nan"), float("nan")
        reach = float(student.isf((1 - level) / 2, self.images - 1)) * self.standard_error
        return self.value - reach, min(1.0, self.value + reach)


def fleiss_kappa(calls: np.ndarray) -> Kappa:
    """Fleiss' kappa of several readers who called the same images.

    Args:
        calls: how many readers called each image each class, (n, classes). The number of readers may differ between
            images; an image with fewer than two calls has no part.
    Returns:
        Kappa. Its standard error holds at any kappa, unlike that of Fleiss 1971, which holds at 0 only (and was
        corrected by Fleiss, Nee and Landis 1979).
    Source: Fleiss 1971, eq. 7; Gwet 2021, eq. 10 and 11 (large-sample variance, numbers of readers that differ).
    """
    calls = calls[calls.sum(axis=1) >= 2].astype(float)
    images, readers = len(calls), calls.sum(axis=1)
    if not images:
        return Kappa(float("nan"), float("nan"), images)
    agreeing = (calls * (calls - 1)).sum(axis=1) / (readers * (readers - 1))  # share of pairs of readers, by image
    shares = (calls / readers[:, None]).mean(axis=0)  # of each class
    chance = float((shares**2).sum())
    if chance == 1:
        return Kappa(float("nan"), float("nan"), images)
    kappa = (float(agreeing.mean()) - chance) / (1 - chance)
    if images < 2:
        return Kappa(kappa, float("nan"), images)
    of_images = (agreeing - chance) / (1 - chance)
    own_chance = (calls * shares).sum(axis=1) / readers
    linear = of_images - 2 * (1 - kappa) * (own_chance - chance) / (1 - chance)
    return Kappa(kappa, float(np.sqrt(((linear - kappa) ** 2).sum() / (images * (images - 1)))), images)
