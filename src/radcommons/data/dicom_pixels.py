"""Pixel data of a DICOM file to stored values; compares the header with the compressed data."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.encaps import generate_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from radcommons.data.codestream import Codestream, decode, decode_rle, describe
from radcommons.errors import ImageRefused

GREY: Final = ("MONOCHROME1", "MONOCHROME2")
NEEDED: Final = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
FEWEST_BITS: Final = 8


def stored_values(dataset: Any) -> npt.NDArray[Any]:
    """The samples of one grey frame.

    Args:
        dataset: a DICOM data set with its transfer syntax in `file_meta`.
    Returns:
        Signed or unsigned integers of 8 or 16 bits (H, W), each of BitsStored bits, right-aligned.
    Raises:
        ImageRefused: not one grey frame of integers, truncated or damaged, or header and pixels contradict each other.
    """
    named = str(dataset.get("PhotometricInterpretation") or "")
    dataset.PhotometricInterpretation = named.upper().replace(" ", "")  # pydicom accepts one spelling only
    _check_kind(dataset)
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", bits - 1) or 0)
    if not bits - 1 <= high < allocated:
        raise ImageRefused(f"DICOM HighBit is {high} for {bits} bits stored in {allocated}")
    signed = bool(dataset.PixelRepresentation)
    if not _in_items(dataset):
        return _aligned(_cells(dataset), bits, high, signed)
    frame = b"".join(list(generate_fragments(dataset.PixelData))[1:])  # the first item holds offsets
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        return _aligned(_rle_cells(dataset, frame), bits, high, signed)
    header = describe(frame)
    _check_codestream(dataset, header)
    return _reconciled(decode(frame, header), header, bits, high, signed)


def _check_kind(dataset: Any) -> None:
    """Raise ImageRefused unless the pixels are one grey frame of integers of 8 to 16 bits."""
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageRefused("DICOM file has no pixel data")
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or dataset.PhotometricInterpretation not in GREY:
        raise ImageRefused("colour image, or no grey photometric interpretation")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ImageRefused("several frames in one file")
    shape = str(dataset.get("PresentationLUTShape") or "")
    if (dataset.PhotometricInterpretation, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")):
        raise ImageRefused(f"DICOM PresentationLUTShape {shape} contradicts {dataset.PhotometricInterpretation}")
    if missing := [keyword for keyword in NEEDED if dataset.get(keyword) in (None, "")]:
        raise ImageRefused(f"DICOM header lacks {', '.join(missing)}")
    if "PixelData" not in dataset or int(dataset.BitsAllocated) not in (8, 16):
        raise ImageRefused("DICOM pixels are not integers of 8 or 16 bits")
    if not FEWEST_BITS <= int(dataset.BitsStored) <= int(dataset.BitsAllocated):
        raise ImageRefused("DICOM pixels have fewer than 8 bits, or more than are allocated")
    if not dataset.PixelData:
        raise ImageRefused("DICOM file has no pixel data")


def _in_items(dataset: Any) -> bool:
    """Whether the pixels are compressed, judged by the pixel data and not by the transfer syntax."""
    in_items = bool(dataset["PixelData"].is_undefined_length)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated and not in_items:
        raise ImageRefused("DICOM transfer syntax says compressed and the pixels are not")
    return in_items


def _cells(dataset: Any) -> npt.NDArray[Any]:
    """Uncompressed cells in this machine's byte order; a view of the bytes if possible."""
    expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    if len(dataset.PixelData) < expected:
        raise ImageRefused("DICOM pixels are truncated")
    if len(dataset.PixelData) >= 2 * expected:
        raise ImageRefused("several frames in one file")
    decoder: Any = get_decoder(dataset.file_meta.TransferSyntaxUID)
    cells: npt.NDArray[Any] = decoder.as_array(dataset, raw=True, view_only=True, correct_unused_bits=False)[0]
    return cells.astype(cells.dtype.newbyteorder("="), copy=False)


def _rle_cells(dataset: Any, frame: bytes) -> npt.NDArray[Any]:
    rows, columns, size = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8
    cells = decode_rle(frame, rows * columns, size).reshape(rows, columns)
    return cells.view(f"{'i' if dataset.PixelRepresentation else 'u'}{size}")


def _aligned(cells: npt.NDArray[Any], bits: int, high: int, signed: bool) -> npt.NDArray[Any]:
    """Extract samples from their cells: BitsStored bits, from HighBit down (PS3.5, 8.1.1); other bits are ignored.

    Nearly always the cell is the sample and is returned unchanged.
    """
    limit = 1 << (bits - signed)
    if high == bits - 1 and cells.max() < limit and cells.min() >= -signed * limit:
        return cells
    unsigned = cells.view(f"u{cells.dtype.itemsize}").astype(np.int32)
    below = high + 1 - bits
    if below and unsigned.max() < 1 << bits and (unsigned & ((1 << below) - 1)).any():
        raise ImageRefused(f"DICOM HighBit is {high}, but the pixels are in the lower {bits} bits")
    samples = (unsigned >> below) & ((1 << bits) - 1)
    return _with_sign(samples, bits) if signed else samples.astype(f"u{cells.dtype.itemsize}")


def _with_sign(samples: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int16]:
    """Two's complement of `bits` bits to signed numbers."""
    sign = 1 << (bits - 1)
    return ((samples.astype(np.int32) ^ sign) - sign).astype(np.int16)


def _check_codestream(dataset: Any, header: Codestream) -> None:
    if header.components != 1:
        raise ImageRefused(f"colour image: the compressed pixels have {header.components} components")
    if (header.height, header.width) != (int(dataset.Rows), int(dataset.Columns)):
        raise ImageRefused(
            f"the compressed pixels are {header.width} x {header.height} and the DICOM header says "
            f"{int(dataset.Columns)} x {int(dataset.Rows)}"
        )
    if header.precision > int(dataset.BitsAllocated):
        raise ImageRefused(
            f"the compressed pixels have {header.precision} bits and the DICOM header allocates "
            f"{int(dataset.BitsAllocated)}"
        )


def _reconciled(samples: npt.NDArray[Any], header: Codestream, bits: int, high: int, signed: bool
                ) -> npt.NDArray[Any]:  # fmt: skip
    """Decoded samples as the header describes them; raises ImageRefused if they are ambiguous.

    JPEG and JPEG-LS have no sign: they store signed pixels as two's complement with the stream's precision.
    """
    precision = header.precision
    if header.signed and not signed and samples.min() < 0:
        raise ImageRefused("the compressed pixels are signed and the DICOM header says unsigned")
    if not header.signed and precision > bits and high > bits - 1:  # the cells were compressed, not the samples
        return _aligned(samples, bits, high, signed)
    if signed and not header.signed:
        if precision < bits and samples.max() >> (precision - 1):
            raise ImageRefused(
                f"the compressed pixels have {precision} bits and the DICOM header says {bits}, signed: "
                "their sign is not known"
            )
        # Bits above BitsStored are zeros or copies of the sign; anything else is out of range and refused below.
        in_range = samples.max() < 1 << bits
        samples = _with_sign(samples, bits if in_range else precision)
    limit = 1 << (bits - signed)
    if samples.max() >= limit or samples.min() < -signed * limit:
        raise ImageRefused(f"the compressed pixels have {precision} bits and the DICOM header says {bits}")
    return samples
