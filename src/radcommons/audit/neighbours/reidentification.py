"""Re-identification features: a film and a slightly changed copy of it are alike, films of two patients are not."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

SIDE = 32  # pixels of the image whose local contrast is compared
FLAT = 5.0  # grey levels: fainter structure is not amplified
DIRECTIONS = 64
SHRINKAGE = 0.1  # of the copies' covariance, towards a multiple of the identity matrix


@dataclass(frozen=True)
class Reidentification:
    """A linear map of the local contrast, fitted to films and their copies.

    It takes the principal directions of the films and scales each down by how much copies move along it (linear
    discriminant analysis with one class per film).
    """

    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def fit(cls, films: np.ndarray, copies: np.ndarray) -> Self:
        """Fit to the local contrast of films, float32 (n, c), and of one slightly changed copy of each, (n, c)."""
        mean = films.mean(axis=0)
        count = min(DIRECTIONS, len(films) // 2)
        principal = np.linalg.svd(films - mean, full_matrices=False)[2][:count].T  # (c, count)
        moved = (copies - films) @ principal
        within = moved.T @ moved / len(moved)
        within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / count * np.eye(count)
        variances, axes = np.linalg.eigh(within)
        return cls(mean, (principal @ (axes / np.sqrt(variances))).astype(np.float32))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, S, S) -> float32 (n, k), of length 1; a cosine near 1 = the same film."""
        return unit((local_contrast(images) - self.mean) @ self.directions)


def local_contrast(images: np.ndarray) -> np.ndarray:
    """Each pixel less the mean around it, over the deviation around it: blind to brightness, contrast and some noise.

    Args:
        images: uint8 (n, S, S).
    Returns:
        float32 (n, s^2), s = min(S, 32).
    """
    side = min(SIDE, images.shape[-1])
    around = (0, 0), side / 8
    vectors = np.empty((len(images), side * side), np.float32)
    for place, image in enumerate(images):
        grey = cv2.resize(np.asarray(image), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        rest = grey - cv2.GaussianBlur(grey, *around)
        deviation = np.sqrt(cv2.GaussianBlur(rest * rest, *around) + FLAT**2)
        vectors[place] = (rest / deviation).ravel()
    return unit(vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1; float32 (n, d)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
