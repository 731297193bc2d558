"""Latent identity: does the pseudo-patient stay the same person when only the label changes?"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from radcommons.explain.chosen import Chosen
from radcommons.explain.pseudo_patients import draw_first
from radcommons.extractors import Extractor, extract
from radcommons.metrics.bootstrap import percentile_interval
from radcommons.models.generator import Generator
from radcommons.records import Estimate

BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class People:
    """Pseudo-patients without any finding, and their features, float32 (n, d)."""

    generator: Generator
    extractor: Extractor
    seed: int
    features: np.ndarray

    @classmethod
    def draw(cls, generator: Generator, extractor: Extractor, count: int, seed: int) -> Self:
        """The first `count` of a seed."""
        images = draw_first(generator, (), count, seed)
        return cls(generator, extractor, seed, extract(extractor, images).values)

    def change(self, chosen: Chosen, *, rng: np.random.Generator) -> Estimate | None:
        """How much they change with findings, see `identity_change`; None where they are alike, or only one."""
        images = draw_first(self.generator, chosen, len(self.features), self.seed)
        found = identity_change(self.features, extract(self.extractor, images).values, rng=rng)
        return found if np.isfinite(found.value) else None


def identity_change(without: np.ndarray, raised: np.ndarray, *, rng: np.random.Generator) -> Estimate:
    """Distance of a pseudo-patient's two images, against that of two different pseudo-patients.

    Args:
        without: features of pseudo-patients without a finding, float (n, d), n >= 2.
        raised: features of the same ones with it, float (n, d).
        rng: draws the bootstrap samples of pseudo-patients.
    Returns:
        Mean |raised_i - without_i| / mean |without_i - without_j|, i != j, with its 95% interval over pseudo-patients;
        0 = the same image, 1 = as different as another person. NaN where all pseudo-patients are alike.
    """
    own = np.linalg.norm(raised.astype(np.float64) - without, axis=1)
    between = _distances(without.astype(np.float64))
    if not between.any():
        return Estimate(value=float("nan"))
    n = len(own)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES).astype(np.float64)
    counts = counts[(counts > 0).sum(axis=1) > 1]  # of a sample of one person alone there is no other

    def ratio(c: np.ndarray) -> np.ndarray:
        """Of samples in which pseudo-patient i stands c[:, i] times; a person is never paired with itself."""
        different = n * n - np.square(c).sum(axis=1)
        quotient: np.ndarray = (c @ own / n) / (np.einsum("ri,ij,rj->r", c, between, c, optimize=True) / different)
        return quotient

    low, high = percentile_interval(ratio(counts))
    return Estimate(value=float(ratio(np.ones((1, n)))[0]), low=low, high=high)


def mean_with_interval(values: np.ndarray, *, rng: np.random.Generator) -> Estimate:
    """Mean of values (n,), one a pseudo-patient, with its 95% bootstrap interval."""
    n = len(values)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES)
    low, high = percentile_interval(counts @ values / n)
    return Estimate(value=float(values.mean()), low=low, high=high)


def _distances(features: np.ndarray) -> np.ndarray:
    """Between all rows of (n, d): (n, n), 0 on the diagonal."""
    squared = np.square(features).sum(axis=1)
    distances: np.ndarray = np.sqrt(np.maximum(squared[:, None] + squared - 2 * features @ features.T, 0))
    np.fill_diagonal(distances, 0)
    return distances
