"""DICOM radiographs through pydicom: header facts, and stored values turned into what a monitor would show.

pydicom and its decoders warn and log with header values in the text, which may identify a patient, so both are silent
here and every fault leaves as an ImageRefused in our own words.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import RLELossless

from radcommons.data.film import Film, Pixels, age_years, sex, through_table
from radcommons.data.header_words import KIND_TAGS, said_in
from radcommons.data.views import NOTHING_DECLARED, NOTHING_SAID, NOTHING_SETTLED, Declared, Said, Verdict, judge
from radcommons.errors import ImageRefused

HEADER_TAGS: Final = [
    "SOPInstanceUID",
    "PatientID",
    "PatientAge",
    "PatientSex",
    *KIND_TAGS,
]
_END_OF_IMAGE: Final = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
_GREY: Final = (PhotometricInterpretation.MONOCHROME1, PhotometricInterpretation.MONOCHROME2)


@dataclass(frozen=True, slots=True)
class Header:
    """What a listing needs of one DICOM file.

    Attributes:
        said: what it says of view, modality and part of the body, for `views.judge`.
        refused: the reason where the file cannot be read.
    """

    uid: str = ""
    patient: str = ""
    age_years: float | None = None
    sex: str | None = None
    said: Said = NOTHING_SAID
    refused: str | None = None
    patient_bytes: bytes = b""  # the PatientID as the file has it


def is_dicom(content: bytes) -> bool:
    """Whether a file's first 132 bytes are a DICOM preamble."""
    return content[128:132] == b"DICM"


def read_header(path: Path) -> Header:
    """The header facts of one DICOM file, without its pixels; a fault is returned, not raised."""
    try:
        with path.open("rb") as file:
            if not is_dicom(file.read(132)):
                return Header(refused="not a DICOM file")
            file.seek(0)
            with _silent():
                dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(HEADER_TAGS))
                as_stored = _stored_bytes(dataset, "PatientID")
                uid, patient = _text(dataset, "SOPInstanceUID"), _text(dataset, "PatientID")
                return Header(uid, patient, *_facts(dataset), patient_bytes=as_stored)
    except OSError:
        return Header(refused="image file cannot be opened")
    except Exception:  # a parser's words may hold header values
        return Header(refused="DICOM header is damaged")


def read_dicom(file: BinaryIO, *, declared: Declared = NOTHING_DECLARED, before: Verdict = NOTHING_SETTLED) -> Film:
    """The film in an open DICOM file; raises ImageRefused with a reason free of identifiers.

    `declared` are the user's words and `before` what a label table settles; see `views.judge`.
    """
    with _silent():
        try:
            dataset = pydicom.dcmread(file)
            age, gender, said = _facts(dataset)
            verdict = judge(said, declared, before)
            if verdict.refused:
                raise ImageRefused(verdict.refused)
            _check_kind(dataset)
        except ImageRefused:
            raise
        except Exception:
            raise ImageRefused("DICOM file is damaged: its header cannot be read") from None
        try:
            stored = _stored(dataset)
        except Exception:
            raise ImageRefused(f"DICOM pixels cannot be decoded ({_syntax(dataset)}): truncated or damaged") from None
        if stored.ndim != 2:
            raise ImageRefused("several frames or colour channels in one file")
        try:
            pixels = shown(stored, dataset)
        except ImageRefused:
            raise
        except Exception:
            raise ImageRefused("DICOM rescale, window or lookup table cannot be applied") from None
    return Film(pixels, verdict.view, age, gender, verdict.declared)


def _stored(dataset: Any) -> npt.NDArray[Any]:
    """Stored values as `dataset.pixel_array` has them, in this machine's byte order.

    Of uncompressed pixels it is a view where the bits above BitsStored are clear (or copies of the sign), as they
    nearly always are: pydicom shifts every value there and back to be sure, which takes longer than all else here.
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        decoder: Any = get_decoder(dataset.file_meta.TransferSyntaxUID)
        view: npt.NDArray[Any] = decoder.as_array(dataset, raw=True, view_only=True, correct_unused_bits=False)[0]
        signed = int(dataset.PixelRepresentation)
        unsigned_limit = 1 << (int(dataset.BitsStored) - signed)
        if -signed * unsigned_limit <= view.min() and view.max() < unsigned_limit:
            return view.astype(view.dtype.newbyteorder("="), copy=False)
    stored: npt.NDArray[Any] = dataset.pixel_array
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def shown(stored: npt.NDArray[Any], dataset: Any) -> Pixels:
    """Stored values as a monitor shows them.

    Args:
        stored: decoded values, signed or unsigned integer (H, W), up to 16 bits.
        dataset: the header; modality LUT or rescale, then VOI LUT or the first window, then MONOCHROME1's inversion.
    Returns:
        uint8 (H, W), bright = dense. Without VOI LUT or window the scale runs from the smallest to the largest
        value; padding is left out of it and shown black.
    Source: DICOM PS3.3 C.11.1, C.11.2, C.7.5.1.1.2 (padding).
    """
    padding = _padding(dataset)
    low, high = _used_range(stored, padding)
    if low == high:
        raise ImageRefused("image is blank")
    levels = np.arange(low, high + 1).astype(stored.dtype)  # every step is a function of one value: a table of 2^16
    table = np.rint(255 * _brightness(levels, dataset)).astype(np.uint8)
    if dataset.PhotometricInterpretation == PhotometricInterpretation.MONOCHROME1:
        table = 255 - table
    if padding is not None:
        table[max(0, padding[0] - low) : max(0, padding[1] + 1 - low)] = 0
    return through_table(stored, table, first=low)


def _brightness(levels: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.float64]:
    """Brightness in [0, 1] of each stored level."""
    values = apply_modality_lut(levels, dataset)
    lut = dataset.get("VOILUTSequence")
    window = _window(dataset)
    if lut:
        # The table's own range, not its nominal bits: tables of 12-bit entries are declared as 16.
        output = apply_voi_lut(np.rint(values).astype(np.int64), dataset).astype(np.float64)
        entries = np.asarray(apply_voi_lut(_lut_domain(lut[0]), dataset), np.float64)
        black, white = entries.min(), entries.max()
    elif window is not None:
        # Two probes far outside the window give pydicom's output range, whatever the bits, sign and slope are.
        centre, width = window
        probes = np.array([centre - 100 * width, centre + 100 * width])
        with np.errstate(over="ignore"):  # a sigmoid far from its centre
            output = apply_voi_lut(np.concatenate([values.astype(np.float64), probes]), dataset, prefer_lut=False)
        black, white = output[-2:]
        output = output[:-2]
    else:
        output = values.astype(np.float64)
        black, white = output.min(), output.max()
    if black == white:
        raise ImageRefused("image is blank")
    brightness: npt.NDArray[np.float64] = np.clip((output - black) / (white - black), 0.0, 1.0)
    return brightness


def _lut_domain(lut: Any) -> npt.NDArray[np.int64]:
    entries, first, _ = lut.LUTDescriptor
    return np.arange(first, first + (entries or 2**16), dtype=np.int64)


def _window(dataset: Any) -> tuple[float, float] | None:
    """Centre and width of the first window, or None where the header has none."""
    centre, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None and width is None:
        return None
    function = _text(dataset, "VOILUTFunction").upper() or "LINEAR"
    if centre is None or width is None:
        raise ImageRefused("DICOM window has a centre or a width but not both")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ImageRefused("DICOM window has a function other than LINEAR, LINEAR_EXACT or SIGMOID")
    if width <= 0 or (function == "LINEAR" and width < 1):
        least = "1 or more" if function == "LINEAR" else "above 0"
        raise ImageRefused(f"DICOM window width is {width:g}; it has to be {least}")
    return centre, width


def _first(value: Any) -> float | None:
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def _padding(dataset: Any) -> tuple[int, int] | None:
    """Smallest and largest stored value that is padding (C.7.5.1.1.2), or None where the header names no padding."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if value is None:
        return None
    one, other = int(value), int(value if limit is None else limit)
    return min(one, other), max(one, other)


def _used_range(stored: npt.NDArray[Any], padding: tuple[int, int] | None) -> tuple[int, int]:
    """Smallest and largest stored value without padding; twice the same where there is nothing else."""
    low, high = int(stored.min()), int(stored.max())
    if padding is None or padding[1] < low or padding[0] > high:
        return low, high
    used = cv2.bitwise_not(cv2.inRange(stored, *padding))
    if not used.any():
        return low, low
    smallest, largest, _, _ = cv2.minMaxLoc(stored, used)
    return int(smallest), int(largest)


def _check_kind(dataset: Any) -> None:
    """Refuse everything that is not one grey frame of 8 to 16 bits."""
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageRefused("DICOM file has no pixel data")
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or dataset.get("PhotometricInterpretation") not in _GREY:
        raise ImageRefused("colour image, or no grey photometric interpretation")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ImageRefused("several frames in one file")
    if "PixelData" not in dataset or int(dataset.BitsAllocated) not in (8, 16):
        raise ImageRefused("DICOM pixels are not integers of 8 or 16 bits")
    if not 8 <= int(dataset.BitsStored) <= int(dataset.BitsAllocated):
        raise ImageRefused("DICOM pixels have fewer than 8 bits, or more than are allocated")
    if not dataset.PixelData:
        raise ImageRefused("DICOM file has no pixel data")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and syntax != RLELossless and _END_OF_IMAGE not in dataset.PixelData[-64:]:
        raise ImageRefused("DICOM pixels are truncated")  # the decoders fill the rest without a word


def _facts(dataset: Any) -> tuple[float | None, str | None, Said]:
    """Age, sex, and what the header says of view, modality and part of the body."""
    return age_years(_text(dataset, "PatientAge")), sex(_text(dataset, "PatientSex")), said_in(dataset)


def _text(dataset: Any, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip().strip("\0")


def _stored_bytes(dataset: Any, keyword: str) -> bytes:
    """An element's bytes before they are decoded, without padding."""
    element = dataset.get_item(keyword)
    value = getattr(element, "value", None)
    return value.strip(b" \0") if isinstance(value, bytes) else b""


def _syntax(dataset: Any) -> str:
    uid = dataset.file_meta.get("TransferSyntaxUID")
    known = uid is not None and not uid.is_private and uid.name != str(uid)
    return str(uid.name) if known else "unknown transfer syntax"


@contextmanager
def _silent() -> Iterator[None]:
    """No warning and no log line of pydicom or a decoder, whatever the caller has configured."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pydicom's; a RuntimeWarning would be our arithmetic
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.disable(before)
