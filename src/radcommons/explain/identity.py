"""Does the image still show the same person when only the label changes?"""

import numpy as np

from radcommons.classify.intervals import estimate
from radcommons.explain.finding_sets import FindingSet
from radcommons.explain.latents import draw_first
from radcommons.extractors import Extractor, extract
from radcommons.models.generator import Generator
from radcommons.records import Estimate

BOOTSTRAP_SAMPLES = 1000


class IdentityCheck:
    """Compares images with and without findings by their features.

    Attributes:
        features: of the first n latent vectors of the seed, drawn without any finding, float32 (n, d).
    """

    def __init__(self, generator: Generator, extractor: Extractor, count: int, seed: int) -> None:
        """Draw the first `count` latent vectors of a seed without findings."""
        self.generator, self.extractor, self.seed = generator, extractor, seed
        self.features = extract(extractor, draw_first(generator, (), count, seed)).values

    def change(self, chosen: FindingSet, *, rng: np.random.Generator) -> Estimate | None:
        """How much the findings change the person, see `identity_change`; None if all images are alike or n is 1."""
        images = draw_first(self.generator, chosen, len(self.features), self.seed)
        found = identity_change(self.features, extract(self.extractor, images).values, rng=rng)
        return found if np.isfinite(found.value) else None


def identity_change(without: np.ndarray, raised: np.ndarray, *, rng: np.random.Generator) -> Estimate:
    """Distance between the two images of one latent vector, divided by that between two different latent vectors.

    Args:
        without: features of images without a finding, float (n, d), n >= 2.
        raised: features of the same latent vectors with it, float (n, d).
        rng: draws the bootstrap samples of latent vectors.
    Returns:
        Mean |raised_i - without_i| / mean |without_i - without_j|, i != j, with its 95% interval over latent vectors;
        0 = the same image, 1 = as different as another person. NaN if all images are alike.
    """
    own = np.linalg.norm(raised.astype(np.float64) - without, axis=1)
    between = _distances(without.astype(np.float64))
    if not between.any():
        return Estimate(value=float("nan"))
    n = len(own)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES).astype(np.float64)
    counts = counts[(counts > 0).sum(axis=1) > 1]  # a sample of one person only has no other person

    def ratio(c: np.ndarray) -> np.ndarray:
        """The ratio of bootstrap samples with c[:, i] copies of person i; a person is never paired with itself."""
        different = n * n - np.square(c).sum(axis=1)
        quotient: np.ndarray = (c @ own / n) / (np.einsum("ri,ij,rj->r", c, between, c, optimize=True) / different)
        return quotient

    return estimate(ratio(np.ones((1, n)))[0], ratio(counts))


def mean_with_interval(values: np.ndarray, *, rng: np.random.Generator) -> Estimate:
    """Mean of values (n,), one per latent vector, with its 95% bootstrap interval."""
    n = len(values)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES)
    return estimate(values.mean(), counts @ values / n)


def _distances(features: np.ndarray) -> np.ndarray:
    """Distances between all rows of (n, d): (n, n), 0 on the diagonal."""
    squared = np.square(features).sum(axis=1)
    distances: np.ndarray = np.sqrt(np.maximum(squared[:, None] + squared - 2 * features @ features.T, 0))
    np.fill_diagonal(distances, 0)
    return distances
