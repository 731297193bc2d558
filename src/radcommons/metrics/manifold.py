"""Fidelity and variety separately: precision, recall, density and coverage of the manifold of features."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from radcommons.errors import TooFewImages

BLOCK_BYTES = 32 * 2**20  # of distances held at once


@dataclass(frozen=True)
class Manifold:
    """How far two sets of features overlap.

    precision: share of synthetic images within the real manifold, [0, 1]; falls with unreal images.
    recall: share of real images within the synthetic manifold, [0, 1]; falls with missing variety.
    density: how densely real neighbourhoods hold the synthetic images, >= 0, 1 on average for equal distributions.
    coverage: share of real neighbourhoods that hold a synthetic image, [0, 1]; falls with missing variety.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: np.ndarray, fake: np.ndarray, *, neighbours: int = 5) -> Manifold:
    """Improved precision and recall, density and coverage.

    A set's manifold is the union of a ball about each of its points, of the distance to its k-th nearest neighbour
    in the set; the border belongs to it. Distances are in float32, so a point exactly on a border may fall either way.

    Args:
        real: features of real images, float (n, d).
        fake: features of synthetic images, float (m, d), same extractor.
        neighbours: k, at least 1. Precision and recall grow with k and fall or rise with n and m: compare at equal
            k, n and m only.
    Returns:
        Manifold.
    Raises:
        TooFewImages: a set of `neighbours` images or fewer.
    Source: Kynkaanniemi et al. 2019 (precision, recall); Naeem et al. 2020 (density, coverage).
    """
    smaller = min(len(real), len(fake))
    if smaller <= neighbours:
        raise TooFewImages(
            f"neighbours is {neighbours} but the smaller set has {smaller} images; "
            f"pass neighbours={smaller - 1} or fewer"
            if smaller > 1
            else f"neighbours need 2 images or more in each set, not {smaller}"
        )
    centre = real.mean(axis=0, dtype=np.float64)  # float32 loses fewer digits near the origin
    real, fake = (real - centre).astype(np.float32), (fake - centre).astype(np.float32)
    real_radii, fake_radii = _squared_radii(real, neighbours), _squared_radii(fake, neighbours)
    precise = balls = 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, distances in _squared_distances(fake, real):
        in_real = distances <= real_radii  # (b, n): synthetic image j lies in the ball of real image i
        precise += int(in_real.any(axis=1).sum())
        balls += int(in_real.sum())
        covered |= in_real.any(axis=0)
        recalled |= (distances <= fake_radii[rows, None]).any(axis=0)
    return Manifold(
        precision=precise / len(fake),
        recall=float(recalled.mean()),
        density=balls / (neighbours * len(fake)),
        coverage=float(covered.mean()),
    )


def _squared_radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Squared distance of each point to its k-th nearest other point, (n,)."""
    radii = np.empty(len(points), np.float32)
    for rows, distances in _squared_distances(points, points):
        np.fill_diagonal(distances[:, rows], np.inf)
        distances.partition(neighbours - 1, axis=1)
        radii[rows] = distances[:, neighbours - 1]
    return radii


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of some rows of `a` to all of `b`, float32 (b, n), block by block with the rows' slice."""
    a_squares, b_squares = np.square(a).sum(axis=1), np.square(b).sum(axis=1)
    step = max(1, BLOCK_BYTES // (4 * len(b)))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        distances = a[rows] @ b.T
        distances *= -2
        distances += a_squares[rows, None]
        distances += b_squares
        np.maximum(distances, 0, out=distances)
        yield rows, distances
