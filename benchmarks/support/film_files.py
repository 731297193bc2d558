"""Simulated films as files: PNG, and DICOM in two transfer syntaxes.

They are phantoms with the noise of a detector, so that a PNG of 1024 x 1024 pixels is as large as NIH's, about 400 KB.
"""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    generate_uid,
)

from radcommons.data import phantom
from radcommons.data.listing import Candidate, Listing

PNG_SIDE = 1024  # of an NIH film
DICOM_SHAPE = (2400, 2000)  # of a computed radiograph, 12 bits in 16
UNCOMPRESSED, JPEG_LOSSLESS = ExplicitVRLittleEndian, JPEGLosslessSV1

_ENCODE: dict[str, Callable[[np.ndarray], bytes]] = {
    JPEG_LOSSLESS: lambda stored: imagecodecs.jpeg_encode(stored, lossless=True, predictor=1, bitspersample=12),
}


def phantoms(count: int) -> np.ndarray:
    """`count` different films, uint8 (count, 512, 512)."""
    return phantom.render(phantom.draw_exams(count, site="A", seed=0)[:count], 512)[0]


def png_films(folder: Path, drawn: np.ndarray, *, films: int) -> list[Path]:
    """`films` files of 1024 x 1024 pixels, 8 bits, of as many patterns as are drawn."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    paths: list[Path] = []
    for image in drawn:
        enlarged = cv2.resize(image, (PNG_SIDE, PNG_SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        grey = np.rint(enlarged + noise.normal(0, 1, enlarged.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"pattern-{len(paths):03d}.png")
        options = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH, cv2.IMWRITE_PNG_COMPRESSION, 6]
        cv2.imwrite(str(paths[-1]), grey, options)
    return _repeated(paths, films)


def dicom_films(folder: Path, drawn: np.ndarray, *, films: int, syntax: str) -> list[Path]:
    """`films` files of 2000 x 2400 pixels, 12 bits, with rescale and window, of as many patterns as are drawn."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    paths: list[Path] = []
    for image in drawn:
        enlarged = cv2.resize(image.astype(np.float32), DICOM_SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
        stored = np.rint(enlarged * 14 + noise.normal(200, 8, enlarged.shape)).clip(0, 4095).astype(np.uint16)
        paths.append(folder / f"pattern-{len(paths):03d}.dcm")
        _dataset(stored, syntax).save_as(paths[-1], enforce_file_format=True)
    return _repeated(paths, films)


def listing(paths: list[Path]) -> Listing:
    """The films as a source would list them, one a patient."""
    candidates = [
        Candidate(row, path, f"patient-{row}", path.name, (row % 2,), "PA", 50.0, "F")
        for row, path in enumerate(paths, start=2)
    ]
    return Listing("benchmark", ("Effusion",), candidates)


def _dataset(stored: np.ndarray, syntax: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Modality, dataset.ViewPosition = "DX", "PA"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "0"
    dataset.WindowCenter, dataset.WindowWidth = "2000", "3600"
    dataset.PixelData = encapsulate([_ENCODE[syntax](stored)]) if syntax in _ENCODE else stored.tobytes()
    dataset["PixelData"].VR = "OB" if syntax in _ENCODE else "OW"
    return dataset


def _repeated(patterns: list[Path], films: int) -> list[Path]:
    """`films` files under names of their own: the patterns over and over."""
    paths = []
    for number in range(films):
        pattern = patterns[number % len(patterns)]
        paths.append(pattern.with_name(f"film-{number:04d}{pattern.suffix}"))
        os.link(pattern, paths[-1])
    return paths
