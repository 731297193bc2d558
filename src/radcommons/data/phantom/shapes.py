"""Smooth shapes as float maps on a square canvas, for the phantom.

Lengths are in half-widths of the film (about 20 cm), x to the viewer's right (the patient's left), y down, the origin
at mid-thorax. A canvas shows [-EXTENT, EXTENT] squared, a little more than the film, so that a film may be turned and
shifted.
"""

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating]  # float32 throughout; the stubs of NumPy cannot follow that

EXTENT = 1.3
SIDES = (-1, 1)  # the patient's right is on the viewer's left


@cache
def axes(canvas: int) -> tuple[Map, Map]:
    """Coordinates of the pixels' centres: x as (1, canvas), y as (canvas, 1), read-only."""
    line = ((np.arange(canvas, dtype=np.float32) + 0.5) / canvas * 2 - 1) * np.float32(EXTENT)
    line.setflags(write=False)
    return line[None, :], line[:, None]


def window(x: Map, y: Map, columns: tuple[float, float], rows: tuple[float, float]) -> tuple[slice, slice]:
    """The (rows, columns) of the canvas with x and y in these ranges."""
    first_row, last_row = np.searchsorted(y[:, 0], rows)
    first_column, last_column = np.searchsorted(x[0], columns)
    return slice(int(first_row), int(last_row)), slice(int(first_column), int(last_column))


def curve(at: Map, knots: Sequence[tuple[float, float]]) -> Map:
    """A smooth line near the `knots` (place, value), constant beyond them."""
    places, values = zip(*knots, strict=True)
    line = np.interp(at, places, values).astype(np.float32)
    # one row or column; 0.09 is what rounds the corners off
    pixels = 2 * int(0.09 * line.size / (4 * EXTENT)) + 1
    return np.asarray(cv2.blur(line, (1, pixels) if line.shape[1] == 1 else (pixels, 1)), np.float32)


def step(distance: Map, width: float) -> Map:
    """0 where `distance` is negative, 1 where positive, a straight ramp of `width` between."""
    return np.asarray(np.clip(distance / width + 0.5, 0, 1))


def dome_of(q: Map) -> Map:
    """Depth of an ellipsoid, 1 in its middle, where `q` is the squared radius: sqrt(1 - q), 0 outside."""
    return np.asarray(np.sqrt(np.maximum(1 - q, 0)))


def ellipse(x: Map, y: Map, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Map:
    """The squared radius from `centre`, 1 on the ellipse with `radii`; its first axis points `angle` down."""
    c, s = math.cos(angle), math.sin(angle)
    dx, dy = x - centre[0], y - centre[1]
    along, across = dx * (c / radii[0]) + dy * (s / radii[0]), dy * (c / radii[1]) - dx * (s / radii[1])
    return np.asarray(along * along + across * across)


def capsule(x: Map, y: Map, start: tuple[float, float], end: tuple[float, float]) -> tuple[Map, Map]:
    """Place along start..end (0..1, clipped at the start) and distance from that line."""
    vx, vy = end[0] - start[0], end[1] - start[1]
    length = vx * vx + vy * vy
    along = np.maximum(((x - start[0]) * vx + (y - start[1]) * vy) / length, 0)
    dx, dy = x - start[0] - along * vx, y - start[1] - along * vy
    return along, np.sqrt(dx * dx + dy * dy)


def smooth_field(rng: np.random.Generator, cells: int, canvas: int) -> Map:
    """Smooth random noise of about unit variance with `cells` hills per side, the same at every canvas size."""
    grid = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (canvas, canvas), interpolation=cv2.INTER_CUBIC), np.float32)


def polygon(canvas: int, points: npt.NDArray[np.float64], blur: float) -> Map:
    """1 inside the outline `points` (n, 2), 0 outside, the edge softened over `blur`."""
    drawn = np.zeros((canvas, canvas), np.uint8)
    cv2.fillPoly(drawn, [to_pixels(points, canvas)], 255, cv2.LINE_AA, shift=4)
    return softened(drawn, blur)


def to_pixels(points: npt.NDArray[np.float64], canvas: int) -> npt.NDArray[np.int32]:
    """Coordinates as OpenCV's fixed-point pixels (four binary digits after the point)."""
    return np.rint(((points / EXTENT + 1) * (canvas / 2) - 0.5) * 16).astype(np.int32)


def softened(drawn: npt.NDArray[np.uint8], blur: float) -> Map:
    """A drawing in bytes as a map 0..1, blurred."""
    return blurred(drawn.astype(np.float32), blur) / np.float32(255)


def blurred(drawn: Map, blur: float) -> Map:
    """`drawn` after a Gaussian blur with sigma `blur`, a length."""
    sigma = blur * drawn.shape[0] / (2 * EXTENT)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), sigma), np.float32)
