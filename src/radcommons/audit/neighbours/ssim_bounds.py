"""The most that the SSIM of two images can be, from an inner product of numbers known of each beforehand.

SSIM is a positive-definite kernel: 2ab + C is one, 1 / (a^2 + b^2 + C) is one (an integral of exp(-t a^2) exp(-t b^2)),
and products and sums of kernels are kernels. So each block of windows is an inner product <x, y> with
|x|^2 = |y|^2 = w, its share of the windows, and for a projection P, here on directions spanned by landmark images,

    <x, y> <= <Px, Py> + sqrt(w - |Px|^2) sqrt(w - |Py|^2)

by Cauchy-Schwarz: the inner product of (Px, sqrt(...)) and (Py, sqrt(...)). Rounding is bounded, not guessed.
Source: Williams & Seeger 2001 (landmarks); that SSIM's factors are kernels, and the bound, are ours.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from radcommons.audit.neighbours.ssim_kernels import (
    BANDS,
    BLOCKS,
    MAPS,
    PARTS,
    WINDOW,
    band_start,
    block_table,
    describe,
    exact_table,
)

CACHE_BYTES = 2**20  # of maps; what is left of a core's cache
ROUNDING = 2.0**-24  # of one float32 operation
COVARIANCE_ERROR = 5 * ROUNDING  # of the product of two means, as ssim_kernels.ERROR explains
OTHER_ERROR = 6e-5  # of a window, whatever its means
SMALLEST_DIRECTION = 0.08  # of the landmarks' variance, in shares of a block; along smaller ones rounding would grow


def image_maps(images: np.ndarray) -> np.ndarray:
    """What the scan needs of images uint8 (n, R, R): float32 (n, 3 R R)."""
    maps = empty_maps(*images.shape[:2])
    describe(images, maps)
    return maps


def empty_maps(count: int, side: int) -> np.ndarray:
    """Room for the maps of `count` images, from where a line of the cache begins (NumPy's is not): a fifth faster."""
    maps: np.ndarray = torch.empty(count, MAPS * side**2).numpy()
    return maps


def images_in_cache(side: int) -> int:
    """How many images' maps a core's cache can be taken to hold."""
    return max(1, CACHE_BYTES // (4 * MAPS * side**2))


def part_weights(side: int) -> np.ndarray:
    """Which places of a map are windows of each part of the columns: float32 (4 R R,), 1 or 0."""
    column = np.arange(side)
    part = np.where(column <= side - WINDOW, PARTS * column // side, -1)
    return np.repeat(part == np.arange(PARTS)[:, None], side, axis=0).astype(np.float32).reshape(-1)


def block_shares(side: int) -> np.ndarray:
    """Which share of the windows lies in each block, float64 (32,)."""
    windows = side - WINDOW + 1
    rows = [band_start(band + 1, windows) - band_start(band, windows) for band in range(BANDS)]
    columns = np.bincount(PARTS * np.arange(windows) // side, minlength=PARTS)
    return np.outer(rows, columns).reshape(-1) / windows**2


def half_errors(maps: np.ndarray) -> np.ndarray:
    """How far float32 may take a block of SSIM with an image from the true one, halved: float64 (32, n).

    Rounding errs by COVARIANCE_ERROR |mx my| in a covariance, divided by the sum of two variances, and
    |mx my| / (vx + vy) <= (mx^2 / vx + my^2 / vy) / 2: one half is of each image.

    Args:
        maps: float32 (n, 3 R R).
    """
    side = _side(maps)
    _, mean, spread = maps.reshape(len(maps), MAPS, side**2).transpose(1, 0, 2)
    places = part_weights(side).reshape(PARTS, side, side)
    by_window = (mean * mean / spread).reshape(-1, side, side)
    windows = side - WINDOW + 1
    errors = np.empty((BLOCKS, len(maps)))
    for band in range(BANDS):
        rows = slice(band_start(band, windows), band_start(band + 1, windows))
        errors[PARTS * band : PARTS * (band + 1)] = np.einsum("nrc,prc->pn", by_window[:, rows], places[:, rows])
    return (COVARIANCE_ERROR * errors / windows**2 + OTHER_ERROR * block_shares(side)[:, None]) / 2


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Images that span the directions of the projection.

    `maps` float32 (L, 3 R R); `directions` float64 (32, L, d), combinations of landmarks, orthonormal or zero;
    `shares` (32,) of the blocks; `stretch` (32,), how much longer than each of L errors in scores their projection can
    be; `errors` (32,), the largest half-error of a landmark.
    """

    maps: np.ndarray
    directions: Tensor
    shares: np.ndarray
    stretch: np.ndarray
    errors: np.ndarray

    @classmethod
    def spanned_by(cls, images: np.ndarray) -> Self:
        """All directions of some landmarks, uint8 (L, R, R), L >= 0, along which they vary enough."""
        count, side = images.shape[:2]
        table = np.empty((BLOCKS, count, count))
        exact_table(images, table)
        maps, shares = image_maps(images), block_shares(side)
        directions, longest = _directions(torch.from_numpy(table), torch.from_numpy(SMALLEST_DIRECTION * shares))
        errors = half_errors(maps).max(1, initial=0)
        return cls(maps, directions, shares, longest * math.sqrt(count), errors)

    def features(self, maps: np.ndarray, *, of_query: bool) -> Tensor:
        """Vectors of n images for each band, float32 (8, n, 4 d + 6); a query's times a reference's is the bound.

        For each of a band's four blocks the projected image and the length of what is left of it, then the rounding of
        the one times 1 and 1 times the rounding of the other.
        """
        table = np.empty((BLOCKS, len(maps), len(self.maps)), np.float32)
        block_table(maps, self.maps, part_weights(_side(maps)), images_in_cache(_side(maps)), table)
        projected = torch.bmm(torch.from_numpy(table).double(), self.directions).float()
        shares = self.shares[:, None]
        error = self.stretch[:, None] * (half_errors(maps) + self.errors[:, None]) + ROUNDING * np.sqrt(shares)
        left = shares - projected.double().square().sum(2).numpy()
        left = np.maximum(left, 0) + 2 * error * (np.sqrt(shares) + error)
        vectors = torch.cat([projected, torch.from_numpy(np.sqrt(left)).float()[..., None]], 2)
        vectors = vectors.unflatten(0, (BANDS, PARTS)).transpose(1, 2).flatten(2)

        # <x, y> - <x~, y~> <= sqrt(w) (e_x + e_y) + (e_x^2 + e_y^2) / 2; and the product rounds each of its terms.
        terms = vectors.shape[2] + 2
        rounding = np.sqrt(shares) * error + error**2 / 2 + 2 * terms * ROUNDING * shares
        slack = torch.from_numpy(rounding.reshape(BANDS, PARTS, -1).sum(1)).float()[..., None]
        ends = (slack, torch.ones_like(slack))
        return torch.cat([vectors, *(ends if of_query else reversed(ends))], 2)


def most_ssim(queries: Tensor, references: Tensor) -> Tensor:
    """The most SSIM that the bands from each one on can add: float32 (8, n, m); the first bounds the whole.

    Args:
        queries: features (8, n, 4 d + 6) of queries.
        references: features (8, m, 4 d + 6) of references.
    """
    most = torch.bmm(queries, references.transpose(1, 2))
    for band in reversed(range(BANDS - 1)):
        most[band] += most[band + 1]
    return most


def _side(maps: np.ndarray) -> int:
    return math.isqrt(maps.shape[1] // MAPS)


def _directions(tables: Tensor, smallest: Tensor) -> tuple[Tensor, np.ndarray]:
    """Orthonormal combinations of landmarks, zero where they vary less than `smallest`, and each block's longest.

    Args:
        tables: inner products of the landmarks in each block, float64 (32, L, L).
        smallest: float64 (32,).
    Returns:
        Combinations float64 (32, L, L), one a column, and how much longer they can make a vector, (32,).
    """
    variances, vectors = torch.linalg.eigh(tables)
    kept = (variances > smallest[:, None]) & (smallest[:, None] > 0)
    lengths = torch.where(kept, variances, torch.inf).rsqrt() * (1 - 1e-9)  # rather short than long
    longest: np.ndarray = torch.cat([lengths, torch.zeros(len(tables), 1).double()], 1).amax(1).numpy()
    return vectors * lengths[:, None], longest
