"""Difference maps: diseased minus healthy image of the same latent, over many latents in constant memory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from radcommons.explain.chosen import Chosen
from radcommons.explain.pseudo_patients import labels, latents
from radcommons.explain.tally import Tally
from radcommons.metrics.localisation import split_region
from radcommons.metrics.moments import Moments
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.resume import Kept

CLEAR = 3.0  # standard errors that a mean change must exceed to be told from chance
ONE_LEVEL = 1.0  # grey level; what changes less on average is below the rounding of an image


@dataclass(frozen=True)
class Change:
    """What raising the labels of a set of findings from 0 to 1 changes.

    Attributes:
        mean: mean difference, grey levels, float64 (R, R), smoothed as asked.
        standard_error: of it, same shape.
        healthy: mean image without any finding, float64 (R, R).
        rms: root mean square difference of each pseudo-patient over all pixels, not smoothed, grey levels (n,).
        rms_inside, rms_outside: the same within a known region and where the finding never sits; None without one.
    """

    findings: Chosen
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


def measure(
    generator: Generator,
    sets: Sequence[Chosen],
    *,
    n: int,
    seed: int,
    smoothing: float,
    heats: Mapping[Chosen, np.ndarray],
    kept: Path | None = None,
    track: Track = silent,
) -> list[Change]:
    """The change that each set of findings makes, over the first `n` latents of a seed.

    A latent is drawn healthy once and then with every set; blocks are joined in order, so that the result does not
    depend on the number of threads or on a kill between. Memory does not depend on `n` but for some numbers a latent.

    Args:
        n: latents, >= 1; a single one has no standard error.
        smoothing: sigma of a Gaussian, share of the image's side, [0, 0.25]; 0 = raw.
        heats: for sets whose region is known, how often it covers each pixel, (R, R).
        kept: folder of the sums so far: a killed call goes on from them. The caller removes it once the result is safe.
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
    tally = Tally.begin(None if kept is None else Kept(kept, request))
    starts = range(tally.done, n, size)
    images = 1 + len(sets)
    with track("Difference maps", total=n * images, done=tally.done * images) as advance:
        for moments, rms in generator.on_threads(block, starts):
            tally.add(moments, rms)
            advance(moments.count * images)
    tally.save()
    assert tally.moments is not None
    mean, error = tally.moments.mean, tally.moments.standard_error
    values = np.concatenate(tally.rms, axis=-1)
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
    sets: Sequence[Chosen],
    n: int,
    seed: int,
    smoothing: float,
    heats: Mapping[Chosen, np.ndarray],
) -> str:
    """Digest of all that the sums depend on."""
    digest = hashlib.sha256(repr((generator.digest, sets, n, seed, smoothing, generator.block_size)).encode())
    for chosen, heat in heats.items():
        digest.update(repr(chosen).encode() + heat.tobytes())
    return digest.hexdigest()


def smooth(images: np.ndarray, sigma: float) -> np.ndarray:
    """Images (n, R, R) convolved with a Gaussian of `sigma` pixels, the edge continued; 0 = as they are."""
    if sigma == 0:
        return images
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for image in images])


def _rms(difference: np.ndarray, region: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Root mean square of differences (n, R, R) everywhere, inside a region, and where it never is: (3, n)."""
    squared = np.square(difference, dtype=np.float64)
    everywhere = squared.mean(axis=(1, 2))
    parts = [squared[:, mask].mean(axis=1) if mask.any() else np.full(len(squared), np.nan) for mask in region or ()]
    result: np.ndarray = np.sqrt(np.stack([everywhere, *(parts or [everywhere, everywhere])]))
    return result
