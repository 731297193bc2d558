"""The pictures of an explanation's page: frames of a slider, films, maps over films. Arrays in, pictures out."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from radcommons.explain.difference import smooth
from radcommons.explain.drawing import COLOURS, overlay
from radcommons.pictures import GAP, PAPER

TILE = 144  # side of a film or a map, pixels
SMALL = 96  # the same in the first table
QUALITY = 80  # of a JPEG or a WebP
LONGEST_SPRITE = 16_383  # largest side of a WebP, pixels
LEAST_LIMIT = 8.0  # grey levels that get full colour in the first table, even if no label changes as much
STRONGEST = 99.5  # percentile of a change over pixels that gets full colour
SMOOTHING = 0.02  # sigma of a single person's difference, share of the side


@dataclass(frozen=True)
class Person:
    """One latent vector without and with a finding, uint8 (R, R) each."""

    without: np.ndarray
    raised: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """Smoothed difference, grey levels, (R, R)."""
        difference = self.raised.astype(np.float32) - self.without
        change: np.ndarray = smooth(difference[None], SMOOTHING * len(difference))[0]
        return change


def sprite(images: np.ndarray, *, side: int) -> bytes:
    """All frames, images uint8 (P, n, R, R), stacked vertically in one WebP; a frame is a grid of P images."""
    patients, frames, resolution, _ = images.shape
    columns, rows = grid(patients)
    sheet = np.full((frames, rows, resolution, columns, resolution), PAPER, np.uint8)
    for patient in range(patients):
        sheet[:, patient // columns, :, patient % columns] = images[patient]
    picture = Image.fromarray(sheet.reshape(frames * rows * resolution, columns * resolution))
    if side < resolution:
        picture = picture.resize((columns * side, frames * rows * side), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()


def grid(patients: int) -> tuple[int, int]:
    """Columns and rows of a nearly square grid."""
    columns = math.ceil(math.sqrt(patients))
    return columns, -(-patients // columns)


def limit_of(changes: Sequence[np.ndarray], *, least: float = LEAST_LIMIT) -> float:
    """The change that gets full colour, grey levels: that of the strongest of several changes (R, R)."""
    return max([least, *(float(np.percentile(np.abs(change), STRONGEST)) for change in changes)])


def film(levels: np.ndarray, *, side: int = TILE) -> Image.Image:
    """Grey levels 0 ... 255, (R, R)."""
    return _sized(Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)).convert("RGB"), side)


def change_over_film(
    levels: np.ndarray, change: np.ndarray, limit: float, clear: np.ndarray | None = None, *, side: int = TILE
) -> Image.Image:
    """A change in colour over its film; arguments are those of `drawing.overlay`."""
    return _sized(_coloured(overlay(levels, change, limit, clear)), side)


def change_alone(change: np.ndarray, limit: float, region: np.ndarray | None) -> Image.Image:
    """A change in colour, (R, R), with the edge of a region, mask (R, R), in black on white."""
    picture = _sized(_coloured(COLOURS((np.clip(change / limit, -1, 1) + 1) / 2)[..., :3]), TILE)
    if region is not None:
        mask = _sized(Image.fromarray(region.astype(np.uint8) * 255), TILE).point(lambda level: 255 * (level > 127))
        wider, widest = mask.filter(ImageFilter.MaxFilter(3)), mask.filter(ImageFilter.MaxFilter(7))
        picture.paste((255, 255, 255), mask=ImageChops.difference(widest, mask))
        picture.paste((0, 0, 0), mask=ImageChops.difference(wider, mask))
    return picture


def at_a_glance(person: Person, limit: float) -> Image.Image:
    """The same person without the finding, with it, and the change, side by side."""
    tiles = [
        film(person.without, side=SMALL),
        film(person.raised, side=SMALL),
        change_over_film(person.without.astype(np.float64), person.change, limit, side=SMALL),
    ]
    row = Image.new("RGB", (len(tiles) * (SMALL + GAP) - GAP, SMALL), (PAPER,) * 3)
    for place, tile in enumerate(tiles):
        row.paste(tile, (place * (SMALL + GAP), 0))
    return row


def _coloured(picture: np.ndarray) -> Image.Image:
    """float (R, R, 3) in [0, 1]."""
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))


def _sized(picture: Image.Image, side: int) -> Image.Image:
    smaller = side < picture.width
    return picture.resize((side, side), Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC)
