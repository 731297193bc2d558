"""One film: its grey values, and age and sex from a header; `views` decides the view."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

OLDEST_YEARS: Final = 120.0  # NIH ChestX-ray14 has ages such as 411

_YEARS_IN = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True, slots=True)
class Film:
    """One image as read.

    Attributes:
        pixels: grey values, uint8 (H, W), bright = dense.
        view: "PA", "AP" or None.
        age_years: age in years, or None.
        sex: "F", "M" or None.
        declared: what was accepted only because the user declared it; see `views.Decision`.
    """

    pixels: Pixels
    view: str | None = None
    age_years: float | None = None
    sex: str | None = None
    declared: tuple[str, ...] = ()


def through_table(values: npt.NDArray[Any], table: Pixels, *, first: int) -> Pixels:
    """Replace every value by its entry in a table; values outside the table become 0.

    Args:
        values: integers of 8 or 16 bits, signed or not, in either byte order (H, W).
        table: uint8 (n,), for the values first, first + 1, ..., first + n - 1.
        first: the value of the table's first entry.
    Returns:
        uint8 (H, W).
    """
    bits = 8 * values.dtype.itemsize
    of_every_word = np.zeros(2**bits, np.uint8)  # indexed by the value as an unsigned number
    of_every_word[np.arange(first, first + len(table)) % 2**bits] = table
    words = values.astype(values.dtype.newbyteorder("="), copy=False).view(f"u{values.dtype.itemsize}")
    shown: Any = cv2.LUT(words, of_every_word)
    return cast(Pixels, shown)


def age_years(text: str) -> float | None:
    """Years from "057Y", "018M", "003W", "010D" or a plain number; None if absent or above 120."""
    text = text.strip().upper()
    unit = text[-1:] if text[-1:] in _YEARS_IN else "Y"
    try:
        years = float(text.rstrip("YMWD")) * _YEARS_IN[unit]
    except ValueError:
        return None
    return years if 0 <= years <= OLDEST_YEARS else None


@lru_cache(maxsize=1024)
def sex(text: str) -> str | None:
    """ "F" or "M", or None for anything else."""
    first = text.strip().upper()
    return {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}.get(first)
