"""Label interpolation at fixed latent vectors: one label from 0 to 1, all others 0 (paper section 5: "morphing")."""

from collections.abc import Sequence

import numpy as np

from radcommons.explain.finding_sets import FindingSet
from radcommons.explain.latents import labels, latents
from radcommons.models.generator import Generator
from radcommons.progress import Track


def strengths(frames: int) -> np.ndarray:
    """Label value of each frame, 0 ... 1 in equal steps, float32 (frames,)."""
    return np.linspace(0, 1, frames, dtype=np.float32)


def draw_interpolations(
    generator: Generator, sets: Sequence[FindingSet], *, frames: int, patients: int, seed: int, track: Track
) -> list[np.ndarray]:
    """Images of every set of findings, uint8 (patients, frames, R, R) each; `patients` is the number of latent vectors.

    All cores draw: the frames of all sets form one sequence of blocks.
    """
    z = latents(generator, 0, patients, seed)
    values = np.tile(strengths(frames), patients)
    latent_of = np.repeat(np.arange(patients), frames)
    given = np.concatenate([labels(generator, chosen, values) for chosen in sets])
    latent_of = np.tile(latent_of, len(sets))
    size = generator.block_size
    images = np.empty((len(given), generator.resolution, generator.resolution), np.uint8)

    def draw(first: int) -> tuple[int, np.ndarray]:
        block = slice(first, first + size)
        return first, generator.draw(z[latent_of[block]], given[block])

    starts = range(0, len(given), size)
    with track("Drawing interpolations", total=len(given)) as advance:
        for first, drawn in generator.on_threads(draw, starts):
            images[first : first + len(drawn)] = drawn
            advance(len(drawn))
    shape = (len(sets), patients, frames, *images.shape[1:])
    return list(images.reshape(shape))
