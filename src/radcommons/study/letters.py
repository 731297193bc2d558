"""Side markers and burned-in letters: where they are, and how they are covered on both kinds of images alike."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

TOP, EDGE = 0.13, 0.06  # of the side: letters lie so near to the upper edge, or to another one,
CORNER = 0.34, 0.4  # or in an upper corner of this width and height
LONGEST = 4  # times as long as wide; the edge of the collimator is longer
THICKEST = 0.035  # stroke of a letter, share of the side
LARGEST = 0.3  # a word, share of the side
SMALLEST = 0.012
MARGIN = 0.012  # around the letters
JOINED = 0.02  # letters that are nearer than this are one word
CONTRAST = 45  # grey levels above what surrounds a stroke
DARK = 110  # what surrounds it; beside ribs it is lighter
COVER = 0  # grey level


class Box(NamedTuple):
    """Pixels left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int


def find_letters(image: np.ndarray) -> list[Box]:
    """Boxes around bright strokes on a dark ground near the border.

    Args:
        image: uint8 (R, R).
    """
    side = len(image)
    strokes = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, _disc(THICKEST * side))
    letters = _where_letters_lie(side) & (strokes > CONTRAST) & (image - strokes < DARK)
    words = cv2.morphologyEx(letters.astype(np.uint8), cv2.MORPH_CLOSE, _disc(JOINED * side))
    _, _, found, _ = cv2.connectedComponentsWithStats(words)
    boxes = []
    for left, top, width, height, _ in found[1:].tolist():
        long, short = max(width, height), min(width, height)
        if SMALLEST * side <= long <= LARGEST * side and long <= LONGEST * short:
            margin = max(1, round(MARGIN * side))
            boxes.append(
                Box(max(0, left - margin), max(0, top - margin),
                    min(side, left + width + margin), min(side, top + height + margin))
            )  # fmt: skip
    return boxes


def _where_letters_lie(side: int) -> np.ndarray:
    place = np.arange(side) / side
    y, x = place[:, None], np.minimum(place, 1 - place)[None]
    return (y < TOP) | (y > 1 - EDGE) | (x < EDGE) | ((x < CORNER[0]) & (y < CORNER[1]))


def corners(side: int, share: float) -> list[Box]:
    """A box in each corner, of a share of the side."""
    size = round(share * side)
    return [Box(x, y, x + size, y + size) for x in (0, side - size) for y in (0, side - size)]


def cover(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """A copy with black in the boxes."""
    covered = image.copy()
    for box in boxes:
        covered[box.top : box.bottom, box.left : box.right] = COVER
    return covered


def _disc(diameter: float) -> np.ndarray:
    size = max(3, round(diameter) | 1)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
