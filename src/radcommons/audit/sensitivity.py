"""What the measures of quality see: the same real films, changed in ways of which a reader knows the size.

Their rows stand beside the synthetic ones. A Frechet distance that stripes of two grey levels reach as well says little
about what a radiologist would see.
"""

from collections.abc import Callable

import cv2
import numpy as np

from radcommons.audit.inputs.material import SYNTHETIC, Material
from radcommons.metrics.spectrum import radial_power
from radcommons.records import Spectrum

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # films uint8 (n, R, R) -> same shape
BANDS = 16  # of a spectrum, at most
SPECTRUM_FILMS = 2_000  # at most


def blurred(sigma: float) -> Change:
    """A Gaussian blur of `sigma` pixels."""
    return lambda films, _: np.stack([cv2.GaussianBlur(film, (0, 0), sigma) for film in films])


def noisy(levels: float) -> Change:
    """Independent normal noise of `levels` grey levels at every pixel."""
    return lambda films, rng: _grey(films + rng.normal(0, levels, films.shape))


def striped(films: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Every second column is 2 grey levels brighter, the others 2 darker."""
    return _grey(films + np.where(np.arange(films.shape[-1]) % 2, 2.0, -2.0))


def halved(how: int) -> Change:
    """Half the side by OpenCV's method `how`, then every pixel doubled."""

    def change(films: np.ndarray, _: np.random.Generator) -> np.ndarray:
        half = films.shape[-1] // 2
        small = (cv2.resize(film, (half, half), interpolation=how) for film in films)
        return np.stack([cv2.resize(film, films.shape[1:], interpolation=cv2.INTER_NEAREST) for film in small])

    return change


def pure_noise(films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey values at random in place of the films."""
    return rng.integers(0, 256, films.shape, np.uint8)


CHANGES: dict[str, Change] = {
    "blurred, sigma 0.5 pixels": blurred(0.5),
    "blurred, sigma 0.8 pixels": blurred(0.8),
    "blurred, sigma 1.2 pixels": blurred(1.2),
    "noise of 3 grey levels": noisy(3),
    "noise of 8 grey levels": noisy(8),
    "stripes of 2 grey levels": striped,
    "halved and doubled, nearest pixel": halved(cv2.INTER_NEAREST),
    "halved and doubled, mean": halved(cv2.INTER_AREA),
}


def spectra(material: Material) -> list[Spectrum]:
    """Power by frequency over that of held-out films: of training films (the baseline) and of synthetic images."""
    side = material.subject.resolution
    bands = min(BANDS, side // 4)

    def power(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return radial_power(np.asarray(images[rows[:SPECTRUM_FILMS]]), bands=bands)

    held_out = power(material.images, material.rows["test"])
    drawn = material.synthetic[SYNTHETIC].images
    found = {
        "training films": power(material.images, material.rows["train"]),
        "synthetic images": power(drawn, np.arange(len(drawn))),
    }
    edges = tuple((np.arange(bands + 1) / (2 * bands)).tolist())
    return [Spectrum(images=name, edges=edges, ratio=tuple((p / held_out).tolist())) for name, p in found.items()]


def _grey(values: np.ndarray) -> np.ndarray:
    grey: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return grey
