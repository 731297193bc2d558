"""Read a folder of labelled images into memory: a set from `generate`, or images with a ``labels.csv``."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from radcommons.data.sources.tables import read_table
from radcommons.errors import BadInput, ImageRefused, SetRefused
from radcommons.findings import NO_FINDING, canonical_or_none
from radcommons.progress import Track, silent
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.tables import is_complete


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 (n, R, R), labels float32 (n, F) in [0, 1], names of the F findings."""

    path: Path
    images: np.ndarray
    labels: np.ndarray
    findings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def resolution(self) -> int:
        """R, pixels."""
        return int(self.images.shape[-1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all pixels."""
        return hashlib.sha256(self.images.tobytes()).hexdigest()


def is_image_set(folder: Path) -> bool:
    """Whether a folder looks like a set rather than a run or a package."""
    return (folder / "labels.csv").is_file() and not (folder / "config.json").is_file()


def open_image_set(
    folder: Path, *, sides: Sequence[int] | None = None, largest: int | None = None, track: Track = silent
) -> ImageSet:
    """Read a set into memory.

    Args:
        folder: a set from ``radcommons generate``, or a folder with ``labels.csv`` (a column "image", one column per
            finding) and its images, beside it or in a folder ``images``.
        sides: other images are averaged down to the largest of these sides that fits; by default they keep the side of
            the first image.
        largest: larger images are averaged down to this side.
    Raises:
        SetRefused, ImageRefused: the message gives the line or the file.
    """
    if is_complete(folder):
        ours = SyntheticSet.open(folder)
        side = min(ours.resolution, largest or ours.resolution)
        return ImageSet(folder, _read_all(len(ours), ours.image, side, track), ours.labels, ours.findings)
    rows, findings, labels = _table(folder / "labels.csv")
    side = _image(folder, *rows[0]).shape[0]
    if sides is not None:
        side = max((s for s in sides if s <= side), default=min(sides))
    side = min(side, largest or side)
    images = _read_all(len(rows), lambda i: _image(folder, *rows[i]), side, track)
    return ImageSet(folder, images, labels, findings)


def _read_all(count: int, read: Callable[[int], np.ndarray], side: int, track: Track) -> np.ndarray:
    images = np.empty((count, side, side), np.uint8)
    with track("Reading the set", total=count) as advance:
        for index in range(count):
            image = read(index)
            whole = image.shape == (side, side)
            images[index] = image if whole else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            advance(1)
    return images


def _table(path: Path) -> tuple[list[tuple[int, str]], tuple[str, ...], np.ndarray]:
    """Line and name of the images, findings, and labels (n, F)."""
    try:
        read = read_table(path)
    except BadInput as error:
        raise SetRefused(str(error)) from None
    if "image" not in read.columns:
        raise SetRefused(
            f"{path} needs a header with a column 'image' and one column per finding, and one row per image"
        )
    columns = {name: canonical_or_none(name) for name in read.columns if name != "image"}
    known = {name: finding for name, finding in columns.items() if finding and finding != NO_FINDING}
    if not known:
        raise SetRefused(f"{path} has no column named for a finding; {read.found()}")
    findings = tuple(known.values())
    if twice := [finding for finding in findings if findings.count(finding) > 1]:
        raise SetRefused(f"{path} has two columns for '{twice[0]}'; keep one")
    labels = np.empty((len(read.lines), len(known)), np.float32)
    for row, (line, *cells) in enumerate(zip(read.lines, *(read.cells(name) for name in known), strict=True)):
        try:
            labels[row] = [float(cell) for cell in cells]
        except ValueError:
            labels[row] = np.nan
        if not ((labels[row] >= 0) & (labels[row] <= 1)).all():
            raise SetRefused(f"{path} line {line}: every finding needs a number from 0 to 1")
    return list(zip(read.lines, read.cells("image"), strict=True)), findings, labels


def _image(folder: Path, line: int, name: str) -> np.ndarray:
    """A square grey image, uint8 (S, S); messages give its line, because its name may contain a patient's."""
    place = f"{folder / 'labels.csv'} line {line}"
    for path in (folder / name, folder / "images" / name):
        if path.is_file():
            content = np.frombuffer(path.read_bytes(), np.uint8)
            image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
            if image is None:
                raise ImageRefused(f"{place}: its file cannot be read as an image")
            if image.shape[0] != image.shape[1]:
                size = f"{image.shape[1]} x {image.shape[0]}"
                raise ImageRefused(f"{place}: the image is {size} pixels; a set needs squares")
            return np.asarray(image, np.uint8)
    raise ImageRefused(f"{place}: the image is missing")
