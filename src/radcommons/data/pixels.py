"""Read PNG, JPEG and DICOM files to grey values; make a film square and compute its smaller resolutions.

A reason never contains a file name, an identifier or a decoder's own message.
"""

import math
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image

from radcommons.data import codestream
from radcommons.data.colour import MOST_COLOURED_PERCENT, to_grey
from radcommons.data.dicom_film import HEAD_BYTES, is_dicom, read_dicom
from radcommons.data.film import Film, Pixels, through_table
from radcommons.data.views import NOTHING_DECIDED, NOTHING_DECLARED, Decision, Declared
from radcommons.errors import ImageRefused

Fit = Literal["crop", "pad"]

SMALLEST_SIDE: Final = 32
WIDEST_ASPECT: Final = 3.0
FEWEST_GREY_LEVELS: Final = 4  # a JPEG of an empty film may have one or two more levels from rounding
LARGEST_ENLARGEMENT: Final = 2.0
SMALLEST_LEVEL: Final = 4
LARGEST_BLOCK_IN_16_BITS: Final = 16 * 16  # pixels; their sum plus half of their number is below 2^16
IN_CACHE_PIXELS: Final = 2**20  # pixels of the films that are averaged together

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_EXIF_ORIENTATION = 0x0112
_HEAD_OF_PNG_BYTES = 1024
_HEAD_OF_JPEG_BYTES = 2**16


class Squared(NamedTuple):
    """A film at the store's resolution, uint8 (R, R), and whether it was enlarged."""

    pixels: Pixels
    upsampled: bool


def is_picture(path: Path) -> bool:
    """Whether a file has a PNG or JPEG suffix, so that threads can decode it; `read` looks at the content instead."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read(path: Path, *, declared: Declared = NOTHING_DECLARED, before: Decision = NOTHING_DECIDED,
         most_coloured_percent: float = MOST_COLOURED_PERCENT) -> Film:  # fmt: skip
    """Read one frontal film; raises ImageRefused with a reason that names no file.

    Args:
        path: the file.
        declared: the user's words for views etc.; see `views.decide`.
        before: the decision from a label table about the same image.
        most_coloured_percent: largest share of coloured pixels in a PNG or JPEG film.
    """
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
            file.seek(0)
            film = (
                read_dicom(file, declared=declared, before=before)
                if is_dicom(start)
                else Film(_read_png_or_jpeg(file.read(), most_coloured_percent))
            )
    except FileNotFoundError:
        raise ImageRefused("image file is missing") from None
    except OSError:
        raise ImageRefused("image file cannot be opened") from None
    _check_shape(film.pixels.shape)
    if int(film.pixels.max()) - int(film.pixels.min()) < FEWEST_GREY_LEVELS:
        raise ImageRefused("image is blank")
    if _grey_levels(film.pixels[::16, ::16]) < FEWEST_GREY_LEVELS and _grey_levels(film.pixels) < FEWEST_GREY_LEVELS:
        raise ImageRefused(f"image has fewer than {FEWEST_GREY_LEVELS} grey levels")
    return film


def _grey_levels(pixels: Pixels) -> int:
    return int(np.count_nonzero(np.bincount(pixels.reshape(-1), minlength=256)))


def square(pixels: Pixels, resolution: int, *, fit: Fit) -> Squared:
    """The centre square of a film, resized with its aspect kept.

    Args:
        pixels: grey values, uint8 (H, W).
        resolution: side of the result in pixels, R.
        fit: "crop" cuts the longer side, "pad" adds black to the shorter one.
    Returns:
        uint8 (R, R): area-averaged if the film is larger, linear if it is enlarged.
    Raises:
        ImageRefused: the film would be enlarged more than 2 times.
    """
    side = min(pixels.shape) if fit == "crop" else max(pixels.shape)
    enlargement = resolution / side
    if enlargement > LARGEST_ENLARGEMENT:
        height, width = pixels.shape
        taken = 2 ** int(math.log2(LARGEST_ENLARGEMENT * side))  # the largest accepted power of two
        raise ImageRefused(
            f"image is {width} x {height} pixels and resolution {resolution} would enlarge it "
            f"{enlargement:.1f} times; the limit is {LARGEST_ENLARGEMENT:g}, so import at {taken} or less"
        )
    whole = _centre_crop(pixels, side) if fit == "crop" else _centre_pad(pixels, side)
    if side == resolution:
        return Squared(np.ascontiguousarray(whole), False)
    interpolation = cv2.INTER_AREA if side > resolution else cv2.INTER_LINEAR
    resized: Any = cv2.resize(whole, (resolution, resolution), interpolation=interpolation)
    return Squared(resized, side < resolution)


def pyramid(top: Pixels) -> dict[int, Pixels]:
    """Every resolution of the store, from the top's down to 4, by exact block means.

    Args:
        top: uint8 (R, R) or (N, R, R), R a power of two, at least 4.
    Returns:
        {R: top, R/2: ..., 4: ...}. The level with blocks of k x k pixels is rint(sum / k^2) of `top` itself, half to
        even: sums are carried as integers from level to level and rounded once, never twice.
    """
    resolution = top.shape[-1]
    if top.shape[-2] != resolution or resolution < SMALLEST_LEVEL or resolution & (resolution - 1):
        raise ValueError(f"pyramid of shape {top.shape}: needs a square with a power of two >= 4 as side")
    levels = {resolution: top}
    sides = [resolution >> k for k in range(1, resolution.bit_length() - SMALLEST_LEVEL.bit_length() + 1)]
    levels |= {side: np.empty((*top.shape[:-2], side, side), np.uint8) for side in sides}
    films = np.ascontiguousarray(top).reshape(-1, resolution, resolution)
    smaller = [levels[side].reshape(-1, side, side) for side in sides]
    together = max(1, IN_CACHE_PIXELS // resolution**2)
    for first in range(0, len(films), together):
        part = slice(first, first + together)
        _fill_means(films[part], [level[part] for level in smaller])
    return levels


def _fill_means(films: Pixels, levels: list[Pixels]) -> None:
    """Block means of films, uint8 (n, R, R), into levels of side R/2, R/4, ..."""
    sums: npt.NDArray[Any] = films
    for log_side, level in enumerate(levels, start=1):
        sums = _sums_of_two_by_two(sums, block_pixels=4**log_side)
        # rint(sum / k^2), half to even, in integers; 255 * k^2 + k^2 / 2 fits wherever the sum does
        shift = 2 * log_side
        odd = sums >> shift
        odd &= 1
        odd += sums
        odd += (1 << (shift - 1)) - 1
        np.right_shift(odd, shift, out=level, casting="unsafe")


def _sums_of_two_by_two(sums: npt.NDArray[Any], *, block_pixels: int) -> npt.NDArray[Any]:
    """Sums over 2 x 2 entries, (n, r, r) to (n, r/2, r/2), in the narrowest type that holds 255 * block_pixels.

    Reads two neighbours of a row as one number of twice the width and adds its halves: NumPy uses vector instructions
    for that, but not for slices with step 2.
    """
    if sums.dtype == np.uint8:
        pairs = sums.view(np.uint16)
        in_rows: npt.NDArray[Any] = (pairs & 0xFF) + (pairs >> 8)
        of_four: npt.NDArray[Any] = in_rows[:, 0::2] + in_rows[:, 1::2]
    elif block_pixels <= LARGEST_BLOCK_IN_16_BITS:
        pairs = (sums[:, 0::2] + sums[:, 1::2]).view(np.uint32)
        of_four = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.uint16)
    else:
        rows = sums[:, 0::2].astype(np.uint32) + sums[:, 1::2]  # 255 * 1024^2 fits
        of_four = rows[..., 0::2] + rows[..., 1::2]
    return of_four


def _read_png_or_jpeg(content: bytes, most_coloured_percent: float) -> Pixels:
    if not content.strip(b"\0"):
        raise ImageRefused("image file is empty" if not content else "image file contains only zero bytes")
    if content.startswith(_PNG):
        if b"acTL" in content[:_HEAD_OF_PNG_BYTES]:
            raise ImageRefused("several frames in one file")
        decoded: npt.NDArray[Any] = _decode_png(content)
    elif content.startswith(_JPEG):
        decoded = codestream.decode_picture(content)
        if b"Exif\0\0" in content[:_HEAD_OF_JPEG_BYTES]:  # if EXIF says that the film is rotated, OpenCV turns it
            turned: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR)
            decoded = turned
    else:
        raise ImageRefused("not a PNG, JPEG or DICOM file")
    return _to_eight_bits(to_grey(decoded, most_coloured_percent))


def _decode_png(content: bytes) -> npt.NDArray[Any]:
    """Grey (H, W) or blue, green, red (H, W, 3), uint8 or uint16; transparency is ignored."""
    try:
        decoded: npt.NDArray[Any] = imagecodecs.png_decode(content)
    except Exception:  # libpng checks every byte
        raise ImageRefused(codestream.DAMAGED) from None
    if b"eXIf" in content and Image.open(BytesIO(content)).getexif().get(_EXIF_ORIENTATION, 1) != 1:
        raise ImageRefused("PNG is marked as rotated or mirrored (EXIF); turn it upright and import it again")
    if decoded.ndim == 2:
        return decoded
    return np.ascontiguousarray(decoded[..., 0] if decoded.shape[2] == 2 else decoded[..., 2::-1])


def _to_eight_bits(grey: npt.NDArray[Any]) -> Pixels:
    """Eight bits unchanged; sixteen bits scaled from the image's minimum and maximum."""
    if grey.dtype == np.uint8:
        return grey
    low, high = int(grey.min()), int(grey.max())
    if low == high:
        raise ImageRefused("image is blank")
    table = np.rint(np.arange(high - low + 1) * (255 / (high - low))).astype(np.uint8)
    return through_table(grey, table, first=low)


def _check_shape(shape: tuple[int, ...]) -> None:
    height, width = shape
    if min(height, width) < SMALLEST_SIDE:
        raise ImageRefused(f"image is {width} x {height} pixels; the shorter side must be {SMALLEST_SIDE} or more")
    if max(height, width) > WIDEST_ASPECT * min(height, width):
        raise ImageRefused(
            f"image is {width} x {height} pixels; a film is at most {WIDEST_ASPECT:g} times longer than wide"
        )


def _centre_crop(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _centre_pad(pixels: Pixels, side: int) -> Pixels:
    before = [(side - length) // 2 for length in pixels.shape]
    return np.pad(pixels, [(b, side - length - b) for b, length in zip(before, pixels.shape, strict=True)])
