"""Claim: on two cores, the exact SSIM search is 30 times as fast as comparing all pairs in batches, at 64 x 64.

The baseline is timed on a part of the pairs, before and after the search, and scaled to all. It is given twice: as it
is usually written (torch's avg_pool2d of the product images) and as the fastest of the ten forms that were tried (sums
of shifted slices, in place, 32 references at a time), both with whole queries dealt out to the threads; the claim is
against the faster. Films of phantoms, cropped at random and mirrored, with the grain of a detector; and real films,
likewise but with their own grain, where ../shared/data is present.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import numpy as np
import torch
from support.measuring import print_table, save, seconds_of
from torch import Tensor
from torch.nn.functional import avg_pool2d

from radcommons.audit.neighbours.ssim_search import Neighbours, nearest_by_ssim
from radcommons.data import phantom

SIDE, MARGIN = 64, 8
SIZES = ((500, 5_000), (1_000, 10_000), (2_000, 20_000))
REAL = Path(__file__).parents[1].parent / "shared" / "data"
C1, C2 = 2.55**2, 7.65**2
QUERIES_CHECKED = 6
THREADS = torch.get_num_threads()


class Baseline:
    """SSIM of batches of pairs in float32, windows' means and variances computed once."""

    def __init__(self, references: np.ndarray, pool: Callable[[Tensor], Tensor], batch: int) -> None:
        self.pool, self.batch = pool, batch
        self.images = torch.from_numpy(references).float()
        self.means, self.variances = self.statistics(self.images)

    def statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = [self.pool(part) for part in images.split(self.batch)]
        squares = [self.pool(part * part) for part in images.split(self.batch)]
        return torch.cat(means), torch.cat([(s - m * m) * (49 / 48) for s, m in zip(squares, means, strict=True)])

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Every thread takes whole queries, which is faster than splitting every operation over the threads."""
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return np.concatenate(list(pool.map(lambda query: self._of_one(query[None]), queries)))

    def _of_one(self, queries: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(queries).float()
        rows = []
        for image, average, spread in zip(images, *self.statistics(images), strict=True):
            parts = []
            for low in range(0, len(self.images), self.batch):
                part = slice(low, low + self.batch)
                luminance = average * self.means[part]
                structure = self.pool(image * self.images[part])
                structure.sub_(luminance).mul_(98 / 48).add_(C2)
                structure.mul_(luminance.mul_(2).add_(C1))
                below = (average**2 + C1) + self.means[part] ** 2
                below.mul_((spread + C2) + self.variances[part])
                parts.append(structure.div_(below).mean((1, 2)))
            rows.append(torch.cat(parts))
        return torch.stack(rows).numpy()


def by_pooling(images: Tensor) -> Tensor:
    return avg_pool2d(images[:, None], 7, 1)[:, 0]


def by_slices(images: Tensor) -> Tensor:
    rows = images[:, 0:-6] + images[:, 1:-5]
    for k in range(2, 7):
        rows += images[:, k : images.shape[1] - 6 + k]
    out = rows[:, :, 0:-6] + rows[:, :, 1:-5]
    for k in range(2, 7):
        out += rows[:, :, k : rows.shape[2] - 6 + k]
    return out.div_(49)


def varied(films: np.ndarray, count: int, rng: np.random.Generator, grain: float) -> np.ndarray:
    """`count` different crops of the films, mirrored every second time round, with grain in grey levels."""
    out = np.empty((count, SIDE, SIDE), np.uint8)
    for i in range(count):
        film = films[i % len(films)]
        top, left = rng.integers(0, MARGIN + 1, 2)
        crop = film[top : top + SIDE, left : left + SIDE].astype(np.float32)
        crop = crop[:, ::-1] if (i // len(films)) % 2 else crop
        out[i] = np.clip(crop + rng.normal(0, grain, crop.shape), 0, 255)
    return out


def shrunk(film: np.ndarray) -> np.ndarray:
    return cv2.resize(film, (SIDE + MARGIN, SIDE + MARGIN), interpolation=cv2.INTER_AREA)


@functools.cache
def phantom_films() -> np.ndarray:
    exams = [exam for site in "AB" for exam in phantom.draw_exams(400, site=site, seed=0)[:400]]
    return np.random.default_rng(0).permutation(np.stack([shrunk(film) for film in phantom.render(exams, 128)[0]]))


@functools.cache
def real_films() -> np.ndarray:
    films = []
    for path in sorted(REAL.glob("*/images/*")):
        film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        side = min(film.shape)
        top, left = ((length - side) // 2 for length in film.shape)
        films.append(shrunk(film[top : top + side, left : left + side]))
    return np.random.default_rng(0).permutation(np.stack(films))


def queries_and_references(films: np.ndarray, n: int, m: int, grain: float) -> tuple[np.ndarray, np.ndarray]:
    """Of different films, a third for queries."""
    rng = np.random.default_rng(n)
    third = len(films) // 3
    return varied(films[:third], n, rng, grain), varied(films[third:], m, rng, grain)


def check(found: Neighbours, queries: np.ndarray, references: np.ndarray) -> None:
    """The same neighbours as from all pairs, for a sample of the queries; float32's ties may fall either way."""
    rows = np.linspace(0, len(queries) - 1, QUERIES_CHECKED).astype(int)
    every = Baseline(references, by_slices, 32).scores(queries[rows])
    best = np.argsort(-every, axis=1, kind="stable")[:, :3]
    scores = np.take_along_axis(every, found.rows[rows], 1)
    if np.abs(scores - found.scores[rows]).max() > 1e-4 or np.abs(-np.sort(-every)[:, :3] - scores).max() > 1e-4:
        raise SystemExit(f"other neighbours than from all pairs: {found.rows[rows]} instead of {best}")


def compare(name: str, films: np.ndarray, n: int, m: int, *, grain: float) -> dict[str, Any]:
    queries, references = queries_and_references(films, n, m, grain)
    part = references[:2_048]
    ways = {"slices": (Baseline(part, by_slices, 32), 16), "avg_pool2d": (Baseline(part, by_pooling, 32), 4)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}

    def time_baselines() -> None:
        for way, (baseline, asked) in ways.items():
            seconds[way].append(seconds_of(lambda b=baseline, a=asked: b.scores(queries[:a])) / asked / len(part))

    for baseline, _ in ways.values():
        baseline.scores(queries[:1])
    time_baselines()
    found: list[Neighbours] = []
    ours = seconds_of(lambda: found.append(nearest_by_ssim(queries, references))) / n / m
    time_baselines()
    check(found[0], queries, references)
    slices, pooling = mean(seconds["slices"]), mean(seconds["avg_pool2d"])
    return {
        "films": name,
        "queries": n,
        "references": m,
        "avg_pool2d us a pair": 1e6 * pooling,
        "slices us a pair": 1e6 * slices,
        "search us a pair": 1e6 * ours,
        "search s": ours * n * m,
        "pairs scored": found[0].pairs_scored / found[0].pairs,
        "median third best": float(np.median(found[0].scores[:, 2])),
        "ratio": slices / ours,
        "ratio to avg_pool2d": pooling / ours,
    }


def main() -> None:
    torch.set_num_threads(1)  # both ways deal whole queries out to threads of their own
    tiny = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)
    nearest_by_ssim(tiny, tiny)  # compiles
    rows = [compare("phantoms", phantom_films(), *size, grain=1) for size in SIZES]
    real = [compare("real", real_films(), *size, grain=0) for size in SIZES[-1:]] if REAL.is_dir() else []
    save("ssim_search", __doc__.splitlines()[0], rows, "numba", real=real, queries_at_once=THREADS)
    if real:
        print_table("Real films", real)


if __name__ == "__main__":
    main()
