"""Morphs: a finding's label from 0 to 1 on the same pseudo-patients, all other labels 0 (paper section 5)."""

from collections.abc import Sequence

import numpy as np

from radcommons.explain.chosen import Chosen
from radcommons.explain.pseudo_patients import labels, latents
from radcommons.models.generator import Generator
from radcommons.progress import Track


def strengths(frames: int) -> np.ndarray:
    """Label values of the frames, 0 ... 1 in equal steps, float32 (frames,)."""
    return np.linspace(0, 1, frames, dtype=np.float32)


def draw_morphs(
    generator: Generator, sets: Sequence[Chosen], *, frames: int, patients: int, seed: int, track: Track
) -> list[np.ndarray]:
    """Images of every set of findings, uint8 (patients, frames, R, R) each.

    Every core draws: the frames of all sets form one row of blocks.
    """
    z = latents(generator, 0, patients, seed)
    values = np.tile(strengths(frames), patients)
    whose = np.repeat(np.arange(patients), frames)
    given = np.concatenate([labels(generator, chosen, values) for chosen in sets])
    whose = np.tile(whose, len(sets))
    size = generator.block_size
    images = np.empty((len(given), generator.resolution, generator.resolution), np.uint8)

    def draw(first: int) -> tuple[int, np.ndarray]:
        block = slice(first, first + size)
        return first, generator.draw(z[whose[block]], given[block])

    starts = range(0, len(given), size)
    with track("Drawing morphs", total=len(given)) as advance:
        for first, drawn in generator.on_threads(draw, starts):
            images[first : first + len(drawn)] = drawn
            advance(len(drawn))
    shape = (len(sets), patients, frames, *images.shape[1:])
    return list(images.reshape(shape))
