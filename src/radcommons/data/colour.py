"""Whether a colour picture is a grey film: the share of its pixels that are coloured."""

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from radcommons.errors import ImageRefused

MOST_COLOURED_PERCENT: Final = 1.0
GREY_TOLERANCE: Final = 16  # of 255; a grey film stored as colour JPEG differs by rounding of its chroma
STRONGEST_TINT: Final = 112  # of 255, between the channels: a sepia print has about 100
WIDEST_HUE_DEGREES: Final = 30.0  # largest range of hue of one tint, over all brightnesses
SMALLEST_SHOWN_PERCENT: Final = 0.01
FITS: Final = 3
_DEGREE: Final = 2  # degree of the tint as a polynomial of brightness; tints fade towards black and white


def to_grey(decoded: npt.NDArray[Any], most_coloured_percent: float = MOST_COLOURED_PERCENT) -> npt.NDArray[Any]:
    """The luminance of a film that is grey or has one tint, except for a few pixels.

    Args:
        decoded: grey (H, W), or blue, green, red (H, W, 3); uint8 or uint16.
        most_coloured_percent: largest share of coloured pixels in a film.
    Returns:
        (H, W), of the same type.
    Raises:
        ImageRefused: more pixels are coloured; the reason gives the share.
    """
    if decoded.ndim == 2:
        return decoded
    share = coloured_percent(decoded)
    if share > most_coloured_percent:
        shown = f"{share:.4g}" if share >= SMALLEST_SHOWN_PERCENT else f"less than {SMALLEST_SHOWN_PERCENT}"
        raise ImageRefused(
            f"colour image: {shown}% of the pixels are coloured, the limit is {most_coloured_percent:g}%; "
            "look at it, and pass --most-coloured PERCENT if it is a film"
        )
    grey: npt.NDArray[Any] = cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY)
    return grey


def coloured_percent(decoded: npt.NDArray[Any]) -> float:
    """Share of coloured pixels, in percent.

    A pixel is coloured if its channels differ by more than 16 of 255. In a film with one tint (a sepia or blue scan), a
    pixel is coloured if it differs from the tint of its brightness.

    Args:
        decoded: blue, green, red (H, W, 3); uint8 or uint16.
    """
    blue, green, red = cv2.split(decoded)
    spread = cv2.max(cv2.max(blue, green), red) - cv2.min(cv2.min(blue, green), red)
    tolerance = GREY_TOLERANCE * (257 if decoded.dtype == np.uint16 else 1)
    coloured = int(np.count_nonzero(spread > tolerance))
    if not coloured:
        return 0.0
    scale = 255.0 / np.iinfo(decoded.dtype).max
    off_tint = _off_one_tint(decoded.reshape(-1, 3).astype(np.float32) * scale)
    return 100 * min(coloured, off_tint) / spread.size


def _off_one_tint(pixels: npt.NDArray[np.float32]) -> int:
    """How many pixels differ from the tint of their brightness; all of them if there is no single tint.

    The tint is a polynomial of the brightness y, fitted by least squares to the channels minus y.

    Args:
        pixels: blue, green, red (n, 3), 0 to 255.
    """
    brightness = pixels @ np.array([0.114, 0.587, 0.299], np.float32)
    chroma = pixels - brightness[:, None]  # (n, 3)
    level = np.clip(np.rint(brightness), 0, 255).astype(np.intp)
    near = np.ones(len(pixels), bool)
    for _ in range(FITS):  # each fit leaves out pixels far from the previous fit, such as coloured marks
        tint, used = _tint(level[near], chroma[near])
        off = chroma - tint.astype(np.float32)[level]
        distance = off.max(axis=1) - off.min(axis=1)
        near = distance <= 2 * GREY_TOLERANCE
        if not near.any():
            return len(pixels)
    strongest = float(np.ptp(tint[used], axis=1).max())
    if strongest > STRONGEST_TINT or not _is_one_hue(tint[used]):
        return len(pixels)
    return int(np.count_nonzero(distance > GREY_TOLERANCE))


def _tint(level: npt.NDArray[np.intp], chroma: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], Any]:
    """The fitted chroma of every brightness, (256, 3), and which brightnesses occur, bool (256,)."""
    count = np.bincount(level, minlength=256)
    sums = np.stack([np.bincount(level, chroma[:, k], 256) for k in range(3)], axis=1)  # (256, 3)
    used = count > 0
    means, weights = sums[used] / count[used, None], np.sqrt(count[used])
    powers = (np.arange(256)[:, None] / 255.0) ** np.arange(_DEGREE + 1)  # (256, 3)
    factors = np.linalg.lstsq(powers[used] * weights[:, None], means * weights[:, None], rcond=None)[0]
    return powers @ factors, used


def _is_one_hue(tint: npt.NDArray[np.float64]) -> bool:
    """Whether all visible tints, over all brightnesses, have about the same hue."""
    length = np.linalg.norm(tint, axis=1)
    seen = tint[length > GREY_TOLERANCE / 2]
    if not len(seen):
        return True
    mean = seen.mean(axis=0)
    cosines = seen @ mean / (np.linalg.norm(seen, axis=1) * np.linalg.norm(mean))
    return bool(np.isfinite(cosines).all() and cosines.min() >= np.cos(np.radians(WIDEST_HUE_DEGREES)))
