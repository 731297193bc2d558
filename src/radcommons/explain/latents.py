"""Draw the same latent vectors with different labels."""

import numpy as np

from radcommons.explain.finding_sets import FindingSet
from radcommons.models.generator import Generator, LabelChoice


def latents(generator: Generator, first: int, stop: int, seed: int) -> np.ndarray:
    """Latent vectors `first` ... `stop` of a seed, float32 (n, L), the same as those of `radcommons generate`."""
    return generator.inputs(range(first, stop), LabelChoice({}), seed)[0]


def labels(generator: Generator, chosen: FindingSet, strengths: np.ndarray) -> np.ndarray:
    """Label vectors float32 (n, F): the chosen findings have the values `strengths` (n,), all others 0."""
    vectors = np.zeros((len(strengths), len(generator.findings)), np.float32)
    vectors[:, [generator.findings.index(finding) for finding in chosen]] = strengths[:, None]
    return vectors


def draw_first(generator: Generator, chosen: FindingSet, count: int, seed: int) -> np.ndarray:
    """Images of the first latent vectors of a seed, with the chosen findings and no other, uint8 (count, R, R)."""
    size = generator.block_size
    given = labels(generator, chosen, np.ones(size))
    images = np.empty((count, generator.resolution, generator.resolution), np.uint8)
    for first in range(0, count, size):
        block = images[first : first + size]
        block[:] = generator.draw(latents(generator, first, first + size, seed), given)[: len(block)]
    return images
