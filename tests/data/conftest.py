"""Builders of films and DICOM files for the tests of the data layer."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from radcommons.data.store import Store

ENCODERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    JPEGBaseline8Bit: lambda x, bits: imagecodecs.jpeg_encode(x, level=98),
    JPEGExtended12Bit: lambda x, bits: imagecodecs.jpeg_encode(x, level=98, bitspersample=bits),
    JPEGLossless: lambda x, bits: imagecodecs.jpeg_encode(x, lossless=True, predictor=4, bitspersample=bits),
    JPEGLosslessSV1: lambda x, bits: imagecodecs.jpeg_encode(x, lossless=True, predictor=1, bitspersample=bits),
    JPEGLSLossless: lambda x, bits: imagecodecs.jpegls_encode(x),
    JPEGLSNearLossless: lambda x, bits: imagecodecs.jpegls_encode(x, level=1),
    JPEG2000Lossless: lambda x, bits: imagecodecs.jpeg2k_encode(
        x, level=0, reversible=True, codecformat="J2K", bitspersample=bits
    ),
    JPEG2000: lambda x, bits: imagecodecs.jpeg2k_encode(x, level=60, codecformat="J2K", bitspersample=bits),
    HTJ2KLossless: lambda x, bits: imagecodecs.htj2k_encode(x),
}


def film_like(bits: int = 8, shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    """A smooth picture that uses all of 0 .. 2^bits - 1."""
    noise = cv2.GaussianBlur(np.random.default_rng(7).random(shape), (0, 0), 4)
    scaled = (noise - noise.min()) / np.ptp(noise)
    return np.rint(scaled * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def dicom_dataset(
    stored: np.ndarray, *, bits: int | None = None, syntax: str = ExplicitVRLittleEndian, **header: Any
) -> Dataset:
    """One grey DICOM frame; `header` adds, or with None removes, elements by keyword."""
    allocated = stored.dtype.itemsize * 8
    bits = bits or allocated
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "P-1", "Nobody^Known", "DX"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    if syntax in ENCODERS:
        frame = ENCODERS[syntax](stored, bits)
        dataset.PixelData = encapsulate([frame])
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    else:
        dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW" if allocated > 8 and syntax not in ENCODERS else "OB"
    if syntax == ImplicitVRLittleEndian:
        dataset["PixelData"].VR = "OW"
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless, stored, generate_instance_uid=False)
    for keyword, value in header.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Writes one DICOM file and returns its path."""

    def write(stored: np.ndarray, name: str = "film.dcm", **header: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dicom_dataset(stored, **header).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_film(tmp_path: Path) -> Callable[..., Path]:
    """Writes one grey PNG or JPEG and returns its path."""

    def write(name: str = "film.png", pixels: np.ndarray | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), film_like() if pixels is None else pixels)
        return path

    return write


@pytest.fixture(name="film_like")
def film_like_fixture() -> Callable[..., np.ndarray]:
    """The smooth test picture."""
    return film_like


@pytest.fixture
def own(tmp_path: Path, phantom_store: Store) -> Path:
    """A copy of the phantom store, up to 32 pixels, to be damaged."""
    return shutil.copytree(phantom_store.path, tmp_path / "store")
