"""Recognises a generator by its images: what it draws from fixed latent vectors, made small.

A copy with other bytes (rounded, noise added to the weights, another name, findings renamed) draws nearly the same
images from the same latent vectors. A generator trained anew does not, and neither does one whose latent entries were
put into another order.
"""

import base64
from collections.abc import Iterable

import numpy as np

from radcommons.models.generator import Generator, LabelChoice
from radcommons.records import KnownDeposit

IMAGES, SIDE = 16, 16
SEED = 0  # never changes: fingerprints of different days compare


def fingerprint(generator: Generator) -> str:
    """Of a generator: images without a finding, uint8 (16, 16, 16), as text."""
    latents, labels = generator.inputs(range(IMAGES), LabelChoice(given={}), SEED)
    return base64.b64encode(shrunk(generator.draw(latents, labels), SIDE).tobytes()).decode()


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """Means of blocks of pixels, uint8 (n, R, R) -> (n, side, side); smaller images are repeated pixel by pixel."""
    if images.shape[-1] < side:
        factor = side // images.shape[-1]
        return images.repeat(factor, axis=1).repeat(factor, axis=2)
    block = images.shape[-1] // side
    means = images.reshape(len(images), side, block, side, block).mean(axis=(2, 4))
    small: np.ndarray = np.rint(means).astype(np.uint8)
    return small


def nearest_copy(own: str, known: Iterable[KnownDeposit]) -> tuple[str, float] | None:
    """The known deposit whose images are most like these, and how much they differ; None if none can be compared.

    Returns:
        Its name, and the root mean square difference of images of the same latent vector over that of images of
        different ones: 0 = the same images, about 1 = unrelated.
    """
    ours = _read(own)
    found = [(difference(ours, _read(each.fingerprint)), each.name) for each in known if each.fingerprint]
    if not found:
        return None
    share, name = min(found)
    return name, share


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """RMS difference of pairs (a_i, b_i) over that of pairs (a_i, b_j); images float (n, pixels)."""
    squares = np.square(a[:, None] - b[None]).mean(axis=2)  # (n, n)
    matched, others = np.diag(squares).mean(), squares[~np.eye(len(a), dtype=bool)].mean()
    return float(np.sqrt(matched / others)) if others else 0.0


def _read(text: str | None) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text or ""), np.uint8).reshape(IMAGES, -1).astype(np.float64)
