"""Simulated answers of readers, and how often a study of a given size finds what is true of them."""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

from radcommons.errors import SettingRefused
from radcommons.metrics.readers import accuracies, accuracy_error, readers_and_cases

CELLS_AT_ONCE = 2**20  # answers in memory, of 8 bytes in each of a few arrays


def simulated_answers(
    studies: int,
    readers: int,
    images: int,
    *,
    accuracy: float,
    reader_spread: float,
    image_spread: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Right (True) and wrong answers of readers of different skill to images of different difficulty.

    An answer is right where ``threshold(accuracy) + reader + image + chance > 0``, all three normal, of variance 1
    together. So the mean accuracy is exact and no probability leaves [0, 1].

    Args:
        accuracy: mean over all readers and images, (0, 1).
        reader_spread: standard deviation of readers' true accuracies, e.g. 0.05.
        image_spread: standard deviation of images' true shares of right answers over readers.
        rng: draws everything.
    Returns:
        bool (studies, readers, images).
    Raises:
        SettingRefused: the spreads are larger than any readers and images of this accuracy can have.
    """
    of_readers, of_images = latent_variance(accuracy, reader_spread), latent_variance(accuracy, image_spread)
    chance = 1 - of_readers - of_images
    if chance < 0:
        raise SettingRefused(
            f"at an accuracy of {accuracy:g}, spreads of {reader_spread:g} between readers and {image_spread:g} "
            "between images leave nothing to chance; lower one"
        )
    latent = ndtri(accuracy) + np.sqrt(chance) * rng.standard_normal((studies, readers, images))
    latent += np.sqrt(of_readers) * rng.standard_normal((studies, readers, 1))
    latent += np.sqrt(of_images) * rng.standard_normal((studies, 1, images))
    return np.asarray(latent > 0)


def latent_variance(accuracy: float, spread: float) -> float:
    """The variance, of 1 in all, of a normal cause that spreads the probability of a right answer by `spread`.

    Raises SettingRefused for a spread of sqrt(accuracy (1 - accuracy)) or more: then every answer is certain.
    Source: Owen 1956 (the bivariate normal distribution by his function T).
    """
    if spread == 0:
        return 0.0
    limit = ndtri(accuracy)

    def excess(variance: float) -> float:
        both = ndtr(limit) - 2 * owens_t(limit, np.sqrt((1 - variance) / (1 + variance)))
        return float(both - accuracy**2 - spread**2)

    if excess(1.0) <= 0:
        raise SettingRefused(
            f"a spread of {spread:g} is more than an accuracy of {accuracy:g} can have; choose one below "
            f"{np.sqrt(accuracy * (1 - accuracy)):.2f}"
        )
    return float(brentq(excess, 0.0, 1.0))


def power_of_readers(
    readers: int,
    images: int,
    *,
    accuracy: float,
    reader_spread: float,
    image_spread: float,
    significance: float = 0.05,
    studies: int,
    rng: np.random.Generator,
) -> float:
    """Share of simulated studies in which the test of `readers_and_cases` finds an accuracy above one half.

    Args:
        readers: >= 2, who all see the same images.
        images: half of them synthetic.
        significance: of the two-sided test.
        studies: how many are simulated; 2,000 give the power to within 0.02.
        rng: draws them.
    Returns:
        In [0, 1].
    """
    synthetic = np.arange(images) % 2 == 0
    found = 0
    step = max(1, CELLS_AT_ONCE // (readers * images))
    for start in range(0, studies, step):
        answers = simulated_answers(
            min(step, studies - start),
            readers,
            images,
            accuracy=accuracy,
            reader_spread=reader_spread,
            image_spread=image_spread,
            rng=rng,
        )
        right = answers.astype(float)
        mean = readers_and_cases(accuracies(right, synthetic))
        mean = replace(mean, least_error=accuracy_error(right, synthetic))
        found += int(((mean.p_value(0.5) < significance) & (mean.value > 0.5)).sum())
    return found / studies
