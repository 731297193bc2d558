"""Lookup tables, rescale, window and padding against a formula written out value by value, and against dcmtk."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radcommons.data.pixels import read
from radcommons.errors import ImageRefused

SYNTAXES = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big-endian": ExplicitVRBigEndian}


def lut_item(entries: np.ndarray, first: int, bits: int, *, syntax: str, packed: bool = False) -> Dataset:
    """One item of a LUT sequence; its first value as two's complement in US."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries) % 65536, first % 65536, bits])
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    if packed:
        padded = np.append(entries, np.zeros(len(entries) % 2, entries.dtype)).astype(np.uint8)
        words = padded[0::2].astype(np.uint16) | padded[1::2].astype(np.uint16) << 8
    else:
        words = entries.astype(np.uint16)
    item.add_new(0x00283006, "OW", words.astype(f"{order}u2").tobytes())
    return item


def say_signed(path: Path) -> None:
    """Change the VR of the LUT descriptor to SS, as sites write it; pydicom writes no counts above 32,767 so."""
    content = path.read_bytes()
    for tag in (b"\x28\x00\x02\x30", b"\x00\x28\x30\x02"):
        content = content.replace(tag + b"US", tag + b"SS")
    path.write_bytes(content)


def by_hand(value: int, entries: np.ndarray, first: int) -> int:
    place = value - first
    return int(entries[0] if place < 0 else entries[-1] if place >= len(entries) else entries[place])


def film(bits: int, signed: bool) -> np.ndarray:
    """Every part of the range of `bits` bits, with its ends."""
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.linspace(low, low + 2**bits - 1, 64 * 80).round().astype(np.int64)
    kind = {(True, True): np.int8, (True, False): np.uint8, (False, True): np.int16, (False, False): np.uint16}
    return values.astype(kind[bits == 8, signed]).reshape(64, 80)


def as_dcmtk_shows(path: Path, *options: str) -> np.ndarray:
    out = path.with_suffix(".png")
    subprocess.run(["dcmj2pnm", *options, "+on", path, out], check=True, capture_output=True, timeout=600)
    shown = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    return np.asarray(shown)


CASES = [
    pytest.param(syntax, signed, bits, stored_bits, packed, id=f"{syntax}-{'signed' if signed else 'unsigned'}-{bits}"
                 f"bits-of-{stored_bits}{'-packed' if packed else ''}")
    for syntax in SYNTAXES
    for signed in (False, True)
    for bits in (8, 9, 10, 12, 16)
    for stored_bits in (8, 12, 16)
    for packed in ((False, True) if bits == 8 else (False,))
]  # fmt: skip


@pytest.mark.parametrize("said_signed", [False, True], ids=["US", "SS"])
@pytest.mark.parametrize(("syntax", "signed", "bits", "stored_bits", "packed"), CASES)
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lookup_table_does_what_the_standard_says(
    write_dicom, sequence, syntax, signed, bits, stored_bits, packed, said_signed
):
    stored = film(stored_bits, signed)
    low, count = int(stored.min()), 2**stored_bits
    first = low + count // 16  # values on either side are outside the table
    entries = np.rint((2**bits - 1) * np.linspace(0, 1, count - count // 8) ** 1.5).astype(np.int64)
    item = lut_item(entries, first, bits, syntax=SYNTAXES[syntax], packed=packed)
    window = {"WindowCenter": str(2 ** (bits - 1)), "WindowWidth": str(2**bits)} if sequence[0] == "M" else {}
    path = write_dicom(stored, bits=stored_bits, syntax=SYNTAXES[syntax], **{sequence: Sequence([item])}, **window)
    if said_signed:
        say_signed(path)
    of_table = np.array([by_hand(int(v), entries, first) for v in stored.ravel()]).reshape(stored.shape)
    expected = np.rint(255 * of_table / (2**bits - 1))
    assert np.abs(read(path).pixels - expected).max() <= (1 if window else 0)


@pytest.mark.skipif(shutil.which("dcmj2pnm") is None, reason="no dcmtk here")
@pytest.mark.parametrize("bits", [8, 9, 12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("syntax", ["implicit", "explicit"])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lookup_table_is_shown_as_dcmtk_shows_it(write_dicom, sequence, syntax, signed, bits):
    stored = film(12, signed)
    first, count = int(stored.min()) + 250, 3600
    entries = np.rint((2**bits - 1) * np.linspace(0, 1, count) ** 1.5).astype(np.int64)
    item = lut_item(entries, first, bits, syntax=SYNTAXES[syntax])
    window = {"WindowCenter": str(2 ** (bits - 1)), "WindowWidth": str(2**bits)} if sequence[0] == "M" else {}
    path = write_dicom(stored, bits=12, syntax=SYNTAXES[syntax], **{sequence: Sequence([item])}, **window)
    theirs = as_dcmtk_shows(path, *(("+Wi", "1") if window else ("+Wl", "1")))
    assert np.abs(read(path).pixels.astype(int) - theirs).max() <= 1


def test_a_table_of_twelve_bits_that_is_declared_as_sixteen_is_not_shown_black(write_dicom):
    stored = film(12, False)
    item = lut_item(np.arange(4096), 0, 16, syntax=ExplicitVRLittleEndian)
    assert read(write_dicom(stored, bits=12, VOILUTSequence=Sequence([item]))).pixels.max() == 255


@pytest.mark.parametrize("intercept", ["-1024", "-100"])
def test_the_first_value_of_a_voi_table_behind_a_negative_intercept_is_signed(write_dicom, intercept):
    """Unsigned pixels, signed values behind the rescale: US holds the two's complement of the first one."""
    stored, first = film(12, False), int(intercept)
    entries = np.rint(np.linspace(0, 4095, 4096)).astype(np.int64)
    for said_signed in (False, True):
        for syntax in SYNTAXES.values():
            item = lut_item(entries, first, 12, syntax=syntax)
            path = write_dicom(stored, bits=12, syntax=syntax, VOILUTSequence=Sequence([item]),
                               RescaleSlope="1", RescaleIntercept=intercept)  # fmt: skip
            if said_signed:
                say_signed(path)
            assert np.array_equal(read(path).pixels, np.rint(stored / 4095 * 255))


def test_an_empty_slope_is_one_and_an_empty_intercept_nothing(write_dicom):
    stored = film(12, False)
    path = write_dicom(stored, bits=12, WindowCenter="2000", WindowWidth="3000")
    without = read(path).pixels
    dataset = dcmread(path)
    dataset.RescaleSlope = dataset.RescaleIntercept = None
    dataset.save_as(path)
    assert np.array_equal(read(path).pixels, without)


@pytest.mark.parametrize("item", [Dataset(), None], ids=["item without table", "no item"])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_an_empty_lookup_table_leaves_the_window(write_dicom, sequence, item):
    stored = film(12, False)
    window = {"WindowCenter": "2000", "WindowWidth": "3000"}
    path = write_dicom(stored, "a.dcm", bits=12, **window, **{sequence: Sequence([] if item is None else [item])})
    assert np.array_equal(read(path).pixels, read(write_dicom(stored, "b.dcm", bits=12, **window)).pixels)


def test_a_table_shorter_than_it_declares_is_refused_with_both_numbers(write_dicom):
    item = lut_item(np.arange(100), 0, 16, syntax=ExplicitVRLittleEndian)
    item.LUTDescriptor = [4096, 0, 16]
    with pytest.raises(ImageRefused, match="100 words for the 4096 entries"):
        read(write_dicom(film(12, False), bits=12, VOILUTSequence=Sequence([item])))


def test_a_table_of_65536_entries_declares_zero(write_dicom):
    stored = film(16, False)
    entries = np.arange(65535, -1, -1)
    item = lut_item(entries, 0, 16, syntax=ExplicitVRLittleEndian)
    assert np.array_equal(read(write_dicom(stored, VOILUTSequence=Sequence([item]))).pixels,
                          np.rint((65535 - stored.astype(int)) / 65535 * 255))  # fmt: skip


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_padding_of_signed_pixels_is_found_whatever_its_vr(write_dicom, syntax):
    stored = film(12, True)
    stored[:5] = -2000
    stored[5:] = np.clip(stored[5:], -1500, 1500)
    without = read(write_dicom(stored[5:], "a.dcm", bits=12)).pixels
    path = write_dicom(stored, "b.dcm", bits=12, syntax=syntax, PixelPaddingValue=-2000)
    shown = read(path).pixels
    assert not shown[:5].any() and np.array_equal(shown[5:], without)


@pytest.mark.skipif(shutil.which("dcmj2pnm") is None, reason="no dcmtk here")
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_windows_are_shown_as_dcmtk_shows_them(write_dicom, function, photometric):
    path = write_dicom(film(12, False), bits=12, WindowCenter="1800", WindowWidth="1500", VOILUTFunction=function,
                       PhotometricInterpretation=photometric)  # fmt: skip
    options = ("+Wi", "1", "+Wfs" if function == "SIGMOID" else "+Wfl")
    assert np.abs(read(path).pixels.astype(int) - as_dcmtk_shows(path, *options)).max() <= 1


@pytest.mark.parametrize("text", ["1,5", "x"])
def test_a_slope_that_is_no_number_is_named_without_its_value(write_dicom, text, monkeypatch):
    path: Path = write_dicom(film(12, False), bits=12, RescaleSlope="777", RescaleIntercept="0")
    path.write_bytes(path.read_bytes().replace(b"777 ", text.ljust(4).encode()))
    with pytest.raises(ImageRefused) as caught:
        read(path)
    assert str(caught.value) == "DICOM RescaleSlope is not a number"
