"""What the gate measures on images that it draws from a deposit itself."""

from dataclasses import dataclass

import numpy as np
import torch

from radcommons.hub.fingerprint import shrunk
from radcommons.metrics.ssim import ms_ssim, ms_ssim_scales
from radcommons.models.generator import Generator, LabelChoice
from radcommons.records import GateFigures
from radcommons.seeds import numpy_stream

FINITE_IMAGES = 64  # whose pixels are looked at before they are rounded to grey levels
FLAT_LEVELS = 2.0  # grey levels: an image whose pixels deviate by less from their mean is flat
LIKE_SIDE = 32  # of images that are compared with each other for repeats, at most
REPEATED = 0.1  # of the median distance of two images: one that is nearer to another repeats it
EFFECT_IMAGES = 16  # drawn with and without each finding
PAIRS_AT_ONCE = 100


@dataclass(frozen=True)
class Drawn:
    """Images of a deposit, and what was measured on them."""

    images: np.ndarray
    figures: GateFigures


def infinite_part(generator: Generator) -> str | None:
    """Which numbers of a generator are not finite, in words: its weights or its images; None if all are."""
    bad = [name for name, value in generator.network.state_dict().items() if not torch.isfinite(value).all()]
    if bad:
        return f"weights {', '.join(bad[:5])}"
    latents, labels = generator.inputs(range(FINITE_IMAGES), LabelChoice(), 0)
    size = generator.block_size
    with torch.no_grad():
        for start in range(0, FINITE_IMAGES, size):
            span = slice(start, start + size)
            images = generator.network(torch.from_numpy(latents[span]), torch.from_numpy(labels[span]))
            if not torch.isfinite(images).all():
                return "pixels of its images"
    return None


def measure(
    generator: Generator, findings: tuple[str, ...], *, images: int, per_finding: int, pairs: int, seed: int
) -> Drawn:
    """Draw images and measure everything that needs no film.

    Args:
        findings: of the generator, those whose diversity is measured.
        images: drawn with labels as in training.
        per_finding: drawn for each of all findings of the generator, in turn.
    """
    drawn = generator.generate(images, seed=seed)
    rng = numpy_stream(seed, "gate")
    large_enough = ms_ssim_scales(generator.resolution) > 0
    figures = GateFigures(
        image_count=images,
        side=generator.resolution,
        seed=seed,
        flat=float((drawn.images.reshape(images, -1).std(axis=1) < FLAT_LEVELS).mean()),
        ms_ssim=similarity(drawn.images, pairs, rng) if large_enough else None,
        repeats=repeated_share(drawn.images),
        label_effect=label_effects(generator),
        ms_ssim_by_finding=_by_finding(generator, findings, per_finding, pairs, rng) if large_enough else {},
    )
    return Drawn(drawn.images, figures)


def similarity(images: np.ndarray, pairs: int, rng: np.random.Generator) -> float:
    """Mean MS-SSIM of random pairs of different images, uint8 (n, R, R), n >= 2."""
    first = rng.integers(len(images), size=pairs)
    second = (first + rng.integers(1, len(images), size=pairs)) % len(images)
    spans = [slice(start, start + PAIRS_AT_ONCE) for start in range(0, pairs, PAIRS_AT_ONCE)]
    return float(np.concatenate([ms_ssim(images[first[span]], images[second[span]]) for span in spans]).mean())


def repeated_share(images: np.ndarray) -> float:
    """Share of images that nearly repeat another one of the set.

    A generator that replays M films at random repeats itself in a share of about 1 - exp(-n / M) of n images.

    Args:
        images: uint8 (n, R, R).
    Returns:
        Share of images whose nearest other image is within REPEATED of the median distance of two images; 1 if most
        images are the same.
    """
    small = shrunk(images, min(LIKE_SIDE, images.shape[-1])).reshape(len(images), -1).astype(np.float64)
    small -= small.mean(axis=0)
    norms = np.square(small).sum(axis=1)
    squares = (norms[:, None] + norms[None] - 2 * small @ small.T).clip(min=0)
    middle = np.median(squares[~np.eye(len(images), dtype=bool)])
    np.fill_diagonal(squares, np.inf)
    return float((squares.min(axis=1) <= REPEATED**2 * middle).mean())


def label_effects(generator: Generator) -> dict[str, float]:
    """Mean change of a pixel's grey level when one finding is switched on, same latent vectors, by finding."""
    latents, none = generator.inputs(range(EFFECT_IMAGES), LabelChoice(given={}), 0)
    without = generator.draw(latents, none).astype(np.float64)
    effects = {}
    for column, finding in enumerate(generator.findings):
        labels = none.copy()
        labels[:, column] = 1
        effects[finding] = float(np.abs(generator.draw(latents, labels) - without).mean())
    return effects


def _by_finding(
    generator: Generator, findings: tuple[str, ...], count: int, pairs: int, rng: np.random.Generator
) -> dict[str, float]:
    """Mean MS-SSIM of pairs that share a finding, as the audit measures it, for findings with enough images."""
    if not findings:
        return {}
    drawn = generator.generate(count * len(generator.findings), balanced=True, seed=1)
    shown = {finding: np.flatnonzero(drawn.labels[:, generator.findings.index(finding)] == 1) for finding in findings}
    return {
        finding: similarity(drawn.images[rows], pairs, rng)
        for finding, rows in shown.items()
        if len(rows) >= count // 2
    }
