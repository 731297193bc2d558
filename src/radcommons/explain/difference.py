"""Difference maps: image with a finding minus image without, same latent vector, mean over many in constant memory."""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from radcommons.explain.finding_sets import FindingSet
from radcommons.explain.latents import labels, latents
from radcommons.metrics.localisation import split_region
from radcommons.metrics.moments import Moments
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.resume import Kept

CLEAR = 3.0  # standard errors; a smaller mean change may be chance
ONE_LEVEL = 1.0  # grey level; a smaller mean change is below the rounding of an image
SAVE_EVERY = 20.0  # seconds
SUMS = "sums"


@dataclass(frozen=True)
class Change:
    """What changes in the image when the labels of a set of findings rise from 0 to 1.

    Attributes:
        mean: mean difference, grey levels, float64 (R, R), smoothed as requested.
        standard_error: standard error of `mean`, same shape.
        healthy: mean image without any finding, float64 (R, R).
        rms: root mean square difference over all pixels of each latent vector, not smoothed, grey levels (n,).
        rms_inside, rms_outside: the same inside the known region and where the finding never sits; NaN if unknown.
    """

    findings: FindingSet
    mean: np.ndarray
    standard_error: np.ndarray
    healthy: np.ndarray
    rms: np.ndarray
    rms_inside: np.ndarray
    rms_outside: np.ndarray

    @property
    def clear(self) -> np.ndarray:
        """Where the mean difference exceeds three standard errors, mask (R, R)."""
        return clear_of_chance(self.mean, self.standard_error)

    @property
    def collapsed(self) -> bool:
        """Whether no pixel changes by one grey level on average, so that a map would show rounding."""
        return float(np.abs(self.mean).max()) < ONE_LEVEL


def clear_of_chance(mean: np.ndarray, standard_error: np.ndarray) -> np.ndarray:
    """Where a mean difference exceeds three standard errors, mask of the same shape."""
    clear: np.ndarray = np.abs(mean) > CLEAR * standard_error
    return clear


class RunningSums:
    """Sums over latent vectors so far; an interrupted command continues from the last save.

    Attributes:
        kept: where the sums are saved.
        moments: of images (k, R, R): the healthy image, then one difference per set of findings; None before the first.
        rms: of every latent vector so far, (sets, 3, n).
    """

    def __init__(self, kept: Kept) -> None:
        """Continue from what an interrupted command saved, or start at zero."""
        self.kept = kept
        self.moments: Moments | None = None
        self.rms: list[np.ndarray] = []
        self._saved = time.monotonic()
        if (saved := kept.get(SUMS)) is not None:
            self.moments = Moments(int(saved["count"]), saved["mean"], saved["squares"])
            self.rms = [saved["rms"]]

    @property
    def done(self) -> int:
        """Number of latent vectors added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next latent vectors; saves every `SAVE_EVERY` seconds."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Save the sums, whole or not at all."""
        m = self.moments
        assert m is not None
        rms = np.concatenate(self.rms, -1)
        self.kept.put(SUMS, count=np.array(m.count), mean=m.mean, squares=m.squares, rms=rms)
        self._saved = time.monotonic()


def measure(
    generator: Generator,
    sets: Sequence[FindingSet],
    *,
    n: int,
    seed: int,
    smoothing: float,
    heats: Mapping[FindingSet, np.ndarray],
    kept: Path,
    track: Track = silent,
) -> list[Change]:
    """Measure the change that each set of findings makes, over the first `n` latent vectors of a seed.

    Each latent vector is drawn once without findings and once with every set. Blocks are added in order, so the result
    does not depend on the number of threads or on an interruption. Memory grows by a few numbers per latent vector.

    Args:
        n: latent vectors, >= 1; a single one has no standard error.
        smoothing: sigma of a Gaussian, share of the image's side, [0, 0.25]; 0 = raw.
        heats: for each set with a known region, how often the region covers each pixel, (R, R).
        kept: folder of the sums so far. The next call with the same request continues from it; the caller removes it.
    """
    sigma = smoothing * generator.resolution
    nowhere = np.zeros((2, generator.resolution, generator.resolution), bool)
    regions = [split_region(heats[chosen]) if chosen in heats else nowhere for chosen in sets]
    size = generator.block_size
    nothing = labels(generator, (), np.zeros(size))
    raised = [labels(generator, chosen, np.ones(size)) for chosen in sets]

    def block(first: int) -> tuple[Moments, np.ndarray]:
        count = min(size, n - first)
        z = latents(generator, first, first + size, seed)  # whole blocks, as in `generate`
        healthy = generator.draw(z, nothing)[:count].astype(np.float32)
        moments, rms = [Moments.of(healthy)], []
        for given, region in zip(raised, regions, strict=True):
            difference = generator.draw(z, given)[:count] - healthy
            moments.append(Moments.of(smooth(difference, sigma)))
            rms.append(_rms(difference, region))
        return Moments.stack(moments), np.stack(rms)

    request = hashlib.sha256(repr((generator.digest, sets, n, seed, smoothing, size)).encode())
    for chosen, heat in heats.items():
        request.update(repr(chosen).encode() + heat.tobytes())
    sums = RunningSums(Kept(kept, request.hexdigest()))
    starts = range(sums.done, n, size)
    images = 1 + len(sets)
    with track("Difference maps", total=n * images, done=sums.done * images) as advance:
        for moments, rms in generator.on_threads(block, starts):
            sums.add(moments, rms)
            advance(moments.count * images)
    sums.save()
    assert sums.moments is not None
    mean, error = sums.moments.mean, sums.moments.standard_error
    values = np.concatenate(sums.rms, axis=-1)
    return [
        Change(
            findings=chosen,
            mean=mean[place + 1],
            standard_error=error[place + 1],
            healthy=mean[0],
            rms=values[place, 0],
            rms_inside=values[place, 1],
            rms_outside=values[place, 2],
        )
        for place, chosen in enumerate(sets)
    ]


def smooth(images: np.ndarray, sigma: float) -> np.ndarray:
    """Images (n, R, R) convolved with a Gaussian of `sigma` pixels, edge pixels repeated; 0 = unchanged."""
    if sigma == 0:
        return images
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for image in images])


def _rms(difference: np.ndarray, region: Iterable[np.ndarray]) -> np.ndarray:
    """Root mean square of differences (n, R, R): everywhere, and in each mask (R, R), NaN if it is empty; (k, n)."""
    squared = np.square(difference, dtype=np.float64)
    parts = [squared[:, mask].mean(axis=1) if mask.any() else np.full(len(squared), np.nan) for mask in region]
    result: np.ndarray = np.sqrt(np.stack([squared.mean(axis=(1, 2)), *parts]))
    return result
