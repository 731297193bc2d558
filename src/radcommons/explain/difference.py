"""Difference maps: diseased minus healthy image of the same latent, over many latents in constant memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from radcommons.errors import SettingRefused
from radcommons.explain.chosen import Chosen
from radcommons.explain.pseudo_patients import labels, latents, threads_for
from radcommons.metrics.localisation import split_region
from radcommons.metrics.moments import Moments
from radcommons.models.ahead import map_ahead
from radcommons.models.sampling import Generator
from radcommons.progress import Track

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
        return np.abs(self.mean) > CLEAR * self.standard_error

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
    track: Track,
) -> list[Change]:
    """The change that each set of findings makes, over the first `n` latents of a seed.

    A latent is drawn healthy once and then with every set; blocks are joined in order, so that the result does not
    depend on the number of threads. Memory does not depend on `n` but for some numbers a latent.

    Args:
        n: latents, >= 1; a single one has no standard error.
        smoothing: sigma of a Gaussian, share of the image's side, [0, 0.25]; 0 = raw.
        heats: for sets whose region is known, how often it covers each pixel, (R, R).
    """
    if n < 1:
        raise SettingRefused(f"n is {n}; it must be 1 or more")
    if not 0 <= smoothing <= 0.25:
        raise SettingRefused(f"smooth is {smoothing}; it must be from 0 (raw) to 0.25 of the image's side")
    sigma = smoothing * generator.resolution
    regions = [split_region(heats[chosen]) if chosen in heats else None for chosen in sets]
    size = generator.block_size
    nothing = labels(generator, (), np.zeros(size))
    raised = [labels(generator, chosen, np.ones(size)) for chosen in sets]

    def block(first: int) -> tuple[int, Moments, list[tuple[Moments, np.ndarray]]]:
        count = min(size, n - first)
        z = latents(generator, first, first + size, seed)  # whole blocks, as in `generate`
        healthy = generator.draw(z, nothing)[:count].astype(np.float32)
        found = []
        for given, region in zip(raised, regions, strict=True):
            difference = generator.draw(z, given)[:count] - healthy
            found.append((Moments.of(smooth(difference, sigma)), _rms(difference, region)))
        return count, Moments.of(healthy), found

    starts = range(0, n, size)
    films: Moments | None = None
    joined: list[Moments] = []
    rms: list[list[np.ndarray]] = [[] for _ in sets]
    with track("Difference maps", total=n * (1 + len(sets))) as advance:
        for count, healthy, found in map_ahead(block, starts, threads=threads_for(generator, len(starts))):
            films = healthy if films is None else films.join(healthy)
            moments = [m for m, _ in found]
            joined = [a.join(b) for a, b in zip(joined, moments, strict=True)] if joined else moments
            for kept, (_, values) in zip(rms, found, strict=True):
                kept.append(values)
            advance(count * (1 + len(sets)))
    assert films is not None
    changes = []
    for chosen, moments_of, values, region in zip(sets, joined, rms, regions, strict=True):
        whole, inside, outside = np.concatenate(values, axis=1)
        known = region is not None
        changes.append(
            Change(
                findings=chosen,
                mean=moments_of.mean,
                standard_error=moments_of.standard_error,
                healthy=films.mean,
                rms=whole,
                rms_inside=inside if known else None,
                rms_outside=outside if known else None,
            )
        )
    return changes


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
    return np.sqrt(np.stack([everywhere, *(parts or [everywhere, everywhere])]))
