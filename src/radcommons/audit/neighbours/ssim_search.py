"""Exact nearest neighbours by SSIM: bounds from a matrix product, then windows band by band until a pair cannot win.

A pair is skipped if its bound (`ssim_bounds`) is below the query's k-th best so far. The others are scored in
float32, a band of rows at a time, until what is scored plus the bound of the rest falls below it; whatever is left is
scored in float64. Each query looks first at the references whose bounds are highest, so that the k-th best is high from
the start.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from radcommons.audit.neighbours.ssim_bounds import (
    Landmarks,
    empty_maps,
    image_maps,
    images_in_cache,
    most_ssim,
    part_weights,
)
from radcommons.audit.neighbours.ssim_kernels import MAPS, WINDOW, describe, scan
from radcommons.errors import ImageRefused, TooFewImages
from radcommons.progress import Track, silent
from radcommons.threads import Pool, open_pool

REFERENCE_BYTES = 256 * 2**20  # maps of the references that are compared at once
QUERIES_AT_ONCE = 16_384
QUERY_TILE = 128  # queries that a thread takes at once
MOST_LANDMARKS = 192
SEEDS = 4  # references a neighbour that are looked at first


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest references of every query, best first, equal scores by lower row.

    `rows` int64 (n, k); `scores` float64 (n, k), SSIM; `pairs_scored` of the n m `pairs` had any window compared.
    """

    rows: np.ndarray
    scores: np.ndarray
    pairs_scored: int
    pairs: int


def nearest_by_ssim(
    queries: np.ndarray, references: np.ndarray, *, k: int = 3, threads: int | None = None, track: Track = silent
) -> Neighbours:
    """The k references most similar to each query by SSIM, the same as from comparing every pair.

    Args:
        queries: grey levels, uint8 (n, R, R), R >= 7; may be a memory map.
        references: grey levels, uint8 (m, R, R), m >= k; may be a memory map.
        k: how many neighbours.
        threads: on how many cores, by default all that torch may use; rows and scores do not depend on it.
        track: shows progress in queries.
    Returns:
        Rows of `references` and their SSIM, 1 = the same image, as scikit-image's structural_similarity by default:
        7 x 7 windows inside the image, sample covariance, data range 255.
    Raises:
        ImageRefused: not uint8, not square, below 7 pixels, or of two sizes.
        TooFewImages: fewer than k references.
    Source: Wang et al. 2004, eq. 13.

    Memory stays below 1.5 GB at 64 x 64 whatever n and m: 0.4 GB of references, 25 KB a query for 16,384 at a time.
    """
    _check(queries, references, k)
    scores = np.full((len(queries), k), -2.0)
    rows = np.full((len(queries), k), np.iinfo(np.int64).max)
    block = max(1, REFERENCE_BYTES // (4 * MAPS * queries.shape[1] ** 2))
    blocks = math.ceil(len(references) / block)
    scored = compared = 0
    with (
        open_pool(threads or torch.get_num_threads()) as pool,
        track("Comparing images by SSIM", total=len(queries)) as advance,
    ):
        (landmarks,) = pool.map(_choose_landmarks, [queries], [references])
        for some in _split(range(len(queries)), QUERIES_AT_ONCE):
            tiles = _split(some, QUERY_TILE)
            features = list(
                pool.map(lambda tile: landmarks.features(image_maps(_part(queries, tile)), of_query=True), tiles)
            )
            for present in _split(range(len(references)), block):
                search = _search_among(references, present, landmarks, pool)

                def find(tile: range, known: Tensor, search: _Search = search) -> int:
                    here = slice(tile.start, tile.stop)
                    return search(_part(queries, tile), known, scores[here], rows[here])

                for tile, found in zip(tiles, pool.map(find, tiles, features), strict=True):
                    scored += found
                    advance((compared + len(tile)) // blocks - compared // blocks)
                    compared += len(tile)
    return Neighbours(rows, scores, scored, len(queries) * len(references))


_Search = Callable[[np.ndarray, Tensor, np.ndarray, np.ndarray], int]


def _search_among(references: np.ndarray, present: range, landmarks: Landmarks, pool: Pool) -> _Search:
    """A function that improves the neighbours of some queries by the references of `present`."""
    images = _part(references, present)
    side = images.shape[1]
    maps = empty_maps(len(images), side)

    def describe_tile(tile: range) -> Tensor:
        here = slice(tile.start, tile.stop)
        describe(images[here], maps[here])
        return landmarks.features(maps[here], of_query=False)

    features = torch.cat(list(pool.map(describe_tile, _split(range(len(images)), QUERY_TILE))), 1)
    weights = part_weights(side)

    def search(queries: np.ndarray, known: Tensor, scores: np.ndarray, rows: np.ndarray) -> int:
        most = most_ssim(known, features)
        seeds = most[0].topk(min(len(images), SEEDS * scores.shape[1])).indices
        return scan(
            image_maps(queries),
            maps,
            queries,
            images,
            weights,
            most.numpy(),
            seeds.numpy(),
            present.start,
            images_in_cache(side),
            scores,
            rows,
        )

    return search


def _choose_landmarks(queries: np.ndarray, references: np.ndarray) -> Landmarks:
    """Half of them queries, half references, evenly spaced.

    Every image is compared with every landmark, n m / (n + m) pairs of images to one with a landmark; as many landmarks
    as were fastest on real films from 200 x 1,000 to 2,000 x 20,000. None if there are few images.
    """
    n, m = len(queries), len(references)
    count = min(MOST_LANDMARKS, int(2.25 * math.sqrt(n * m / max(1, n + m)))) // 16 * 16
    half = count // 2
    images = np.concatenate([a[np.linspace(0, len(a) - 1, half).astype(int)] for a in (queries, references)])
    return Landmarks.spanned_by(images)


def _check(queries: np.ndarray, references: np.ndarray, k: int) -> None:
    for name, images in (("queries", queries), ("references", references)):
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise ImageRefused(f"{name} are {images.dtype} {images.shape}; pass uint8 (images, side, side)")
    side, other = queries.shape[1], references.shape[1]
    if side != other:
        raise ImageRefused(f"queries have side {side}, references {other}; pass both at one resolution")
    if side < WINDOW:
        raise ImageRefused(f"images have side {side}; SSIM needs {WINDOW} or more")
    if len(references) < k:
        raise TooFewImages(f"k is {k} but there are {len(references)} references; pass k={len(references)} or fewer")


def _part(images: np.ndarray, rows: range) -> np.ndarray:
    """Some of the images, read from the memory map where it is one."""
    return np.array(images[rows.start : rows.stop])  # writable, so that the loops are compiled for one kind of array


def _split(rows: range, size: int) -> list[range]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
