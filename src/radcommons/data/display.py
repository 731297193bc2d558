"""Stored values of a DICOM image to displayed values: modality, VOI and padding, by the standard's formulas.

We cannot use pydicom's helpers: they index a lookup table in the table's own type, and they support neither tables of 9
to 12 bits, nor packed tables, nor a first value below 0 in implicit VR.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.multival import MultiValue

from radcommons.data.film import Pixels, through_table
from radcommons.errors import ImageRefused

_FUNCTIONS: Final = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_WORD = 2**16
_DEEPEST_REAL_TABLE_BITS = 14  # tables of fewer bits are often declared as 16


def shown(stored: npt.NDArray[Any], dataset: Any) -> Pixels:
    """Stored values as a monitor shows them.

    Args:
        stored: decoded values, signed or unsigned integer (H, W), up to 16 bits.
        dataset: the header; modality LUT or rescale, then VOI LUT or the first window, then MONOCHROME1's inversion.
    Returns:
        uint8 (H, W), bright = dense. Without VOI LUT or window the scale goes from the smallest to the largest
        value, without padding; padding is black.
    Raises:
        ImageRefused: the image is blank, or its window, rescale or lookup table is invalid.
    Source: DICOM PS3.3 C.11.1, C.11.2, C.7.5.1.1.2 (padding).
    """
    padding = _padding(stored.dtype, dataset)
    low, high = _used_range(stored, padding)
    if low == high:
        raise ImageRefused("image is blank")
    table = np.rint(255 * _brightness(np.arange(low, high + 1), dataset)).astype(np.uint8)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        table = 255 - table
    if padding is not None:
        table[max(0, padding[0] - low) : max(0, padding[1] + 1 - low)] = 0
    return through_table(stored, table, first=low)  # every step is a function of one value: a table of 2^16


def _brightness(levels: npt.NDArray[np.int64], dataset: Any) -> npt.NDArray[np.float64]:
    """Brightness in [0, 1] of each stored level, ascending."""
    values = _modality(levels, dataset)
    if voi := _lookup_table(dataset, "VOILUTSequence"):
        return voi.apply(np.rint(values).astype(np.int64)) / voi.white
    if window := _window(dataset):
        return _through_window(values, *window)
    black, white = values.min(), values.max()
    if black == white:
        raise ImageRefused("image is blank")
    return np.asarray((values - black) / (white - black))


def _modality(levels: npt.NDArray[np.int64], dataset: Any) -> npt.NDArray[np.float64]:
    """Output of the modality LUT or of the rescale; an empty slope is 1 and an empty intercept 0."""
    if table := _lookup_table(dataset, "ModalityLUTSequence"):
        return table.apply(levels)
    slope, intercept = (_number(dataset, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    slope = 1.0 if slope is None else slope
    if slope == 0:
        raise ImageRefused("DICOM RescaleSlope is 0")
    return np.asarray(levels.astype(np.float64) * slope + (intercept or 0.0))


@dataclass(frozen=True, slots=True)
class _LookupTable:
    """Entries for the values first, first + 1, ...; values outside use the first or the last entry."""

    first: int
    entries: npt.NDArray[np.int64]
    white: int

    def apply(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(self.entries[np.clip(values - self.first, 0, len(self.entries) - 1)], np.float64)


def _lookup_table(dataset: Any, keyword: str) -> _LookupTable | None:
    """The first table of a LUT sequence, or None (C.11.1.1.1, C.11.2.1.1).

    If the table's input can be below 0, a first value of 0x8000 or more is negative, whatever its VR: implicit VR does
    not say, and writers of explicit VR often get it wrong.
    """
    for item in dataset.get(keyword) or ():
        descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
        if not descriptor or data is None or not len(data if not isinstance(data, int) else [data]):
            continue
        if len(descriptor) != 3:
            raise ImageRefused("DICOM lookup table has a descriptor of other than three values")
        count, first, bits = (int(number) % _WORD for number in descriptor)
        if not 8 <= bits <= 16:
            raise ImageRefused(f"DICOM lookup table has entries of {bits} bits; 8 to 16 are read")
        implicit, little_endian = dataset.original_encoding
        said_signed = item["LUTDescriptor"].VR == "SS" and not implicit
        if first >= _WORD // 2 and (said_signed or _reaches_below_zero(dataset, keyword)):
            first -= _WORD
        entries = _entries(data, count or _WORD, bits, little_endian=little_endian is not False)
        return _LookupTable(first, entries, _white(entries, bits))
    return None


def _reaches_below_zero(dataset: Any, keyword: str) -> bool:
    """Whether a table's input can be below 0: signed pixels; for the VOI LUT, after the rescale."""
    bits, signed = int(dataset.BitsStored), bool(dataset.get("PixelRepresentation"))
    ends = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1] if signed else [0, (1 << bits) - 1])
    return bool((ends if keyword == "ModalityLUTSequence" else _modality(ends, dataset)).min() < 0)


def _entries(data: Any, count: int, bits: int, *, little_endian: bool) -> npt.NDArray[np.int64]:
    """`count` entries, one per word, or entries of 8 bits packed two per word, the first in the low byte."""
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little_endian else ">u2").astype(np.int64)
    else:
        words = np.atleast_1d(np.asarray(data, np.int64)) % _WORD
    if len(words) >= count:
        return words[:count]
    if bits == 8 and len(words) >= (count + 1) // 2:
        return np.stack([words & 0xFF, words >> 8], axis=1).reshape(-1)[:count]
    raise ImageRefused(f"DICOM lookup table has {len(words)} words for the {count} entries that it declares")


def _white(entries: npt.NDArray[np.int64], bits: int) -> int:
    """The entry displayed as white: the largest number of the declared bits.

    Tables of 10 to 14 bits are often declared as 16 bits, which would display them black; then the bits are those that
    the largest entry needs. Entries above the declared bits are treated the same way.
    """
    needed = int(entries.max()).bit_length()
    if bits == 16 and needed <= _DEEPEST_REAL_TABLE_BITS:
        bits = max(8, needed)
    return (1 << max(bits, needed)) - 1


def _window(dataset: Any) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window, or None if the header has none."""
    centre, width = (_number(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None and width is None:
        return None
    if centre is None or width is None:
        raise ImageRefused("DICOM window has a centre or a width but not both")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in _FUNCTIONS:
        raise ImageRefused(f"DICOM window has a function other than {', '.join(_FUNCTIONS)}")
    if width <= 0 or (function == "LINEAR" and width < 1):
        least = "1 or more" if function == "LINEAR" else "above 0"
        raise ImageRefused(f"DICOM window width is {width:g}; it must be {least}")
    return centre, width, function


def _through_window(values: npt.NDArray[np.float64], centre: float, width: float, function: str
                    ) -> npt.NDArray[np.float64]:  # fmt: skip
    """Brightness in [0, 1] (C.11.2.1.2, C.11.2.1.3)."""
    brightness: npt.NDArray[np.float64]
    if function == "SIGMOID":
        brightness = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    elif function == "LINEAR_EXACT":
        brightness = (values - centre) / width + 0.5
    elif width == 1:
        brightness = (values > centre - 0.5).astype(np.float64)
    else:
        brightness = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.clip(brightness, 0.0, 1.0)


def _number(dataset: Any, keyword: str) -> float | None:
    """A decimal attribute, the first if there are several; None if it is absent or empty."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, (list, MultiValue)):
            value = value[0] if len(value) else None
        number = None if value is None or str(value).strip() == "" else float(value)
    except (ValueError, TypeError, ArithmeticError):
        number = float("nan")
    if number is not None and not np.isfinite(number):
        raise ImageRefused(f"DICOM {keyword} is not a number")
    return number


def _padding(of_pixels: np.dtype[Any], dataset: Any) -> tuple[int, int] | None:
    """Smallest and largest stored value that is padding (C.7.5.1.1.2), or None if the header has no padding.

    The type of the pixels decides whether they are signed, because implicit VR does not say.
    """
    value, limit = _number(dataset, "PixelPaddingValue"), _number(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    ends = []
    for number in (int(value), int(value if limit is None else limit)):
        number %= _WORD
        ends.append(number - _WORD if of_pixels.kind == "i" and number >= _WORD // 2 else number)
    return min(ends), max(ends)


def _used_range(stored: npt.NDArray[Any], padding: tuple[int, int] | None) -> tuple[int, int]:
    """Smallest and largest stored value without padding; equal if there is only padding."""
    low, high = int(stored.min()), int(stored.max())
    if padding is None or padding[1] < low or padding[0] > high:
        return low, high
    used = cv2.bitwise_not(cv2.inRange(stored, *padding))
    if not used.any():
        return low, low
    smallest, largest, _, _ = cv2.minMaxLoc(stored, used)
    return int(smallest), int(largest)
