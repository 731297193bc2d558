"""Difference maps: image with a finding minus image without, same latent vector, mean over many in constant memory."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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
        rms_inside, rms_outside: the same inside the known region and where the finding never sits; None if unknown.
    """

    findings: FindingSet
    mean: np.ndarray
    standard_error: np.ndarray
    healthy: np.ndarray
    rms: np.ndarray
    rms_inside: np.ndarray | None
    rms_outside: np.ndarray | None

    @property
    def clear(self) -> np.ndarray:
        """Where the mean difference exceeds three standard errors, mask (R, R)."""
        clear: np.ndarray = np.abs(self.mean) > CLEAR * self.standard_error
        return clear

    @property
    def collapsed(self) -> bool:
        """Whether no pixel changes by one grey level on average, so that a map would show rounding."""
        return float(np.abs(self.mean).max()) < ONE_LEVEL


@dataclass
class RunningSums:
    """Sums over latent vectors so far; an interrupted command continues from the last save.

    Attributes:
        kept: where the sums are saved; None = nowhere.
        moments: of images (k, R, R): the healthy image, then one difference per set of findings; None before the first.
        rms: of every latent vector so far, (sets, 3, n).
    """

    kept: Kept | None
    moments: Moments | None = None
    rms: list[np.ndarray] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, kept: Kept | None) -> Self:
        """Continue from what an interrupted command saved, or start at zero."""
        sums = cls(kept)
        saved = kept.get(SUMS) if kept is not None else None
        if saved is not None:
            sums.moments = Moments(int(saved["count"]), saved["mean"], saved["squares"])
            sums.rms = [saved["rms"]]
        return sums

    @property
    def done(self) -> int:
        """Number of latent vectors added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next latent vectors; saves every `SAVE_EVERY` seconds."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if self.kept is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Save the sums, whole or not at all."""
        m = self.moments
        if self.kept is None or m is None:
            return
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
    kept: Path | None = None,
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
    regions = [split_region(heats[chosen]) if chosen in heats else None for chosen in sets]
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

    request = _request(generator, sets, n, seed, smoothing, heats)
    sums = RunningSums.begin(None if kept is None else Kept(kept, request))
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
            rms_inside=None if region is None else values[place, 1],
            rms_outside=None if region is None else values[place, 2],
        )
        for place, (chosen, region) in enumerate(zip(sets, regions, strict=True))
    ]


def _request(
    generator: Generator,
    sets: Sequence[FindingSet],
    n: int,
    seed: int,
    smoothing: float,
    heats: Mapping[FindingSet, np.ndarray],
) -> str:
    """Digest of everything that the sums depend on."""
    digest = hashlib.sha256(repr((generator.digest, sets, n, seed, smoothing, generator.block_size)).encode())
    for chosen, heat in heats.items():
        digest.update(repr(chosen).encode() + heat.tobytes())
    return digest.hexdigest()


def smooth(images: np.ndarray, sigma: float) -> np.ndarray:
    """Images (n, R, R) convolved with a Gaussian of `sigma` pixels, edge pixels repeated; 0 = unchanged."""
    if sigma == 0:
        return images
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for image in images])


def _rms(difference: np.ndarray, region: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Root mean square of differences (n, R, R): everywhere, inside a region, where the finding never sits; (3, n)."""
    squared = np.square(difference, dtype=np.float64)
    everywhere = squared.mean(axis=(1, 2))
    parts = [squared[:, mask].mean(axis=1) if mask.any() else np.full(len(squared), np.nan) for mask in region or ()]
    result: np.ndarray = np.sqrt(np.stack([everywhere, *(parts or [everywhere, everywhere])]))
    return result
