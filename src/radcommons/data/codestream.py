"""Decode compressed images, and refuse damaged ones: JPEG, lossless JPEG, JPEG-LS, JPEG 2000.

An end marker does not show that a stream is whole: a truncated stream may have one, and padding may follow a whole one.
So the decoders decide. libjpeg-turbo (simplejpeg) warns of damage, and we treat the warning as an error; CharLS and
OpenJPEG raise errors. Above 8 bits we use libjpeg-turbo through imagecodecs, which hides its warnings; there
`_lossless_ends_with` and `_lossy_ends_with` test the end of the stream by decoding it again.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt
import simplejpeg

from radcommons.errors import ImageRefused

logging.getLogger("imagecodecs").addHandler(logging.NullHandler())  # otherwise it prints lines without a file name

Kind = Literal["JPEG", "JPEG-LS", "JPEG 2000"]

_START, _END = b"\xff\xd8", b"\xff\xd9"
_J2K_SIZE = b"\xff\x4f\xff\x51"  # start of codestream, then SIZ
_JPEG_LS_FRAME = 0xF7
_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RST0-7, SOI
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_JPEG_LS_FRAME}
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_REPLACED_BYTES = (8, 64)  # bytes to replace at the end of a scan, first and second try
_APPENDED = b"\x5a\xa5\x3c\xc3" * 16

DAMAGED: Final = "image data are truncated or damaged"


@dataclass(frozen=True, slots=True)
class Codestream:
    """The header of a compressed image.

    Attributes:
        kind: family of the format.
        width, height: pixels.
        components: 1 for grey.
        precision: bits per sample.
        signed: whether samples are signed; None if the format does not say (all but JPEG 2000).
        lossless: whether a JPEG uses a lossless process.
    """

    kind: Kind
    width: int
    height: int
    components: int
    precision: int
    signed: bool | None = None
    lossless: bool = False


def describe(content: bytes) -> Codestream:
    """Read the header of a compressed image; raises ImageRefused if it cannot be read."""
    if content.startswith(_START):
        return _describe_jpeg(content)
    size = content.find(_J2K_SIZE, 0, 4096)  # a JP2 file has boxes in front
    if size >= 0 and len(content) >= size + 43:
        return _describe_jpeg_2000(content[size + 4 :])
    raise ImageRefused(f"{DAMAGED}: they are not JPEG, JPEG-LS or JPEG 2000")


def decode(content: bytes, header: Codestream) -> npt.NDArray[Any]:
    """The samples of a grey compressed image.

    Args:
        content: the image; bytes after its end marker are padding.
        header: the result of `describe`, one component.
    Returns:
        uint8, uint16, or for signed JPEG 2000 int8, int16 (H, W), as stored in the stream.
    Raises:
        ImageRefused: the stream is damaged, or no decoder supports its kind.
    """
    try:
        if header.kind == "JPEG-LS":
            samples = imagecodecs.jpegls_decode(content)
        elif header.kind == "JPEG 2000":
            samples = imagecodecs.jpeg2k_decode(content)
        elif header.precision == 8:
            samples = simplejpeg.decode_jpeg(content, colorspace="GRAY")[..., 0]
        else:
            samples = _decode_deep_jpeg(content, header)
    except ImageRefused:
        raise
    except Exception as error:  # do not repeat the decoder's own message
        raise ImageRefused(_reason(error, header)) from None
    decoded: npt.NDArray[Any] = samples
    if decoded.shape != (header.height, header.width):
        raise ImageRefused(DAMAGED)
    return decoded


def decode_rle(content: bytes, pixels: int, bytes_a_sample: int) -> npt.NDArray[Any]:
    """The samples of a DICOM RLE frame, uint8 or uint16 (pixels,).

    One PackBits segment per byte of a sample, the high byte first (PS3.5, annex G).

    Raises ImageRefused if a segment is missing or too short.
    """
    offsets = np.frombuffer(content[:64].ljust(64, b"\0"), "<u4").tolist()
    if offsets[0] != bytes_a_sample:
        raise ImageRefused(DAMAGED)
    ends = [*offsets[2 : bytes_a_sample + 1], len(content)]
    samples = np.zeros(pixels, f"u{bytes_a_sample}")
    for start, end in zip(offsets[1:], ends, strict=False):
        try:
            segment = np.frombuffer(imagecodecs.packbits_decode(content[start:end]), np.uint8)
        except Exception:
            segment = np.empty(0, np.uint8)
        if len(segment) < pixels:
            raise ImageRefused(DAMAGED)
        samples = (samples << 8 if bytes_a_sample > 1 else samples) | segment[:pixels]
    return samples


def decode_picture(content: bytes) -> npt.NDArray[np.uint8]:
    """A JPEG file as uint8, grey (H, W) or blue, green, red (H, W, 3); raises ImageRefused if it is damaged."""
    if (header := describe(content)).components == 1:
        return decode(content, header)
    try:
        picture: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(content, colorspace="BGR")
        return picture
    except Exception as error:
        raise ImageRefused(_reason(error, header)) from None


def _reason(error: Exception, header: Codestream) -> str:
    words = str(error).casefold()
    unknown = any(word in words for word in ("unsupported", "not supported", "not implemented", "not compiled"))
    return f"no decoder here reads this kind of {header.kind}, {header.precision} bits" if unknown else DAMAGED


def _decode_deep_jpeg(content: bytes, header: Codestream) -> npt.NDArray[Any]:
    """Decode a JPEG of more than 8 bits, lossless or lossy."""
    end = content.rfind(_END)
    if end < 0:
        raise ImageRefused(DAMAGED)
    samples: npt.NDArray[Any] = imagecodecs.jpeg8_decode(content)
    stream = content[:end].rstrip(b"\xff")  # fill bytes before a marker
    ends_together = _lossless_ends_with if header.lossless else _lossy_ends_with
    if not ends_together(stream, samples):
        raise ImageRefused(DAMAGED)
    return samples


def _lossless_ends_with(stream: bytes, samples: npt.NDArray[Any]) -> bool:
    """Whether the last bytes of a lossless JPEG (without end marker) encode its last samples; decodes once more.

    A sample takes at least one bit. So if we replace the last bytes and append more, a whole stream changes only in its
    last few samples. In a truncated stream the change begins earlier, where the data ended; if the decoder stopped
    before the end of the data, nothing changes. Missing samples within that limit are too few to see.
    """
    other = _decoded(_with_other_end(stream, _REPLACED_BYTES[0]) + _APPENDED)
    changed = np.flatnonzero(other != samples) if other is not None else np.empty(0, np.intp)
    return len(changed) > 0 and bool(changed[0] >= samples.size - 16 * _REPLACED_BYTES[0])


def _lossy_ends_with(stream: bytes, samples: npt.NDArray[Any]) -> bool:
    """Whether the last bytes of a JPEG (without end marker), and no bytes after them, encode its last blocks."""
    if _differs(_decoded(stream + _APPENDED), samples):
        return False
    return any(_differs(_decoded(_with_other_end(stream, count)), samples) for count in _REPLACED_BYTES)


def _differs(other: npt.NDArray[Any] | None, samples: npt.NDArray[Any]) -> bool:
    return other is None or not np.array_equal(other, samples)


def _decoded(stream: bytes) -> npt.NDArray[Any] | None:
    """The samples of a JPEG without its end marker; None if it cannot be decoded."""
    try:
        samples: npt.NDArray[Any] = imagecodecs.jpeg8_decode(stream + _END)
        return samples
    except Exception:
        return None


def _with_other_end(stream: bytes, count: int) -> bytes:
    """The stream with its last `count` bytes changed, without creating a marker."""
    kept = stream[:-count].rstrip(b"\xff")  # a zero after 0xff belongs to it
    return kept + bytes(byte ^ 0x5A if byte ^ 0x5A != 0xFF else 0x3C for byte in stream[len(kept) :])


def _describe_jpeg(content: bytes) -> Codestream:
    for marker, body in _segments(content):
        if marker in _FRAMES:
            if len(body) < 6:
                break
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            kind: Kind = "JPEG-LS" if marker == _JPEG_LS_FRAME else "JPEG"
            return Codestream(kind, width, height, body[5], body[0], lossless=marker in _LOSSLESS)
    raise ImageRefused(f"{DAMAGED}: the header of the JPEG cannot be read")


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers of a JPEG and their content, up to the first scan."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            length = int.from_bytes(content[place + 2 : place + 4], "big")
            yield marker, content[place + 4 : place + 2 + length]
            if marker == _SCAN:
                return
            place += 2 + max(2, length)


def _describe_jpeg_2000(siz: bytes) -> Codestream:
    """Read the SIZ segment after its marker (ISO 15444-1, A.5.1)."""
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (4, 8, 12, 16))
    sample = siz[38]
    return Codestream(
        "JPEG 2000",
        right - left,
        bottom - top,
        int.from_bytes(siz[36:38], "big"),
        (sample & 0x7F) + 1,
        signed=bool(sample & 0x80),
    )
