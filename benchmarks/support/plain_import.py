"""The importer that one writes first: one process, a film after the other, Pillow and pydicom, NumPy for the rest.

It does what an import has to: crop, resize, the pyramid, one array a resolution. It takes no digests, keeps no journal
and cannot be taken up after a kill; films that are no films stop it.
"""

from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut


def import_films(paths: Sequence[Path], out: Path, *, resolution: int) -> None:
    """Write ``images_0004.npy`` ... ``images_RRRR.npy``, uint8 (n, R, R), to the folder `out`."""
    out.mkdir()
    levels: dict[int, list[np.ndarray]] = {}
    for path in paths:
        level = square(open_dicom(path) if path.suffix == ".dcm" else open_picture(path), resolution)
        side = resolution
        levels.setdefault(side, []).append(level)
        means = level.astype(np.float32)
        while side > 4:
            side //= 2
            means = means.reshape(side, 2, side, 2).mean(axis=(1, 3))
            levels.setdefault(side, []).append(np.rint(means).astype(np.uint8))
    for side, films in levels.items():
        np.save(out / f"images_{side:04d}.npy", np.stack(films))


def open_picture(path: Path) -> np.ndarray:
    """Grey values of a PNG or JPEG, uint8 (H, W)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def stored_values(dataset: pydicom.Dataset) -> np.ndarray:
    """Uncompressed pixels, or a lossless JPEG decoded by libjpeg-turbo, which hides what it warns of."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        decoded: np.ndarray = imagecodecs.jpeg8_decode(get_frame(dataset.PixelData, 0, number_of_frames=1))
        return decoded
    return np.asarray(dataset.pixel_array)


def open_dicom(path: Path) -> np.ndarray:
    """Windowed grey values of a DICOM film, uint8 (H, W)."""
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(stored_values(dataset), dataset), dataset)
    white = 2**dataset.BitsStored - 1  # what the window ends at
    grey = np.rint(np.clip(values * (255 / white), 0, 255)).astype(np.uint8)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def square(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """The centre square at the resolution, by Pillow's area mean."""
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(cut.resize((resolution, resolution), Image.Resampling.BOX))
