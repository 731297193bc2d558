"""A folder of labelled images from anywhere, in memory: what `generate` wrote, or pictures beside a ``labels.csv``."""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from radcommons.data.findings import NO_FINDING, canonical_or_none
from radcommons.errors import ImageRefused, SetRefused
from radcommons.models.synthetic.reading import SyntheticSet
from radcommons.models.synthetic.tables import is_complete
from radcommons.progress import Track, silent


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
        folder: of ``radcommons generate``, or with a ``labels.csv`` (a column "image", a column a finding) and the
            images it names, beside it or in a folder ``images``.
        sides: images from elsewhere are averaged down to the largest of these that they have; by default they keep
            the side of the first.
        largest: images of a larger side are averaged down to it.
    Raises:
        SetRefused, ImageRefused: with the line or the file.
    """
    if is_complete(folder):
        ours = SyntheticSet.open(folder)
        side = min(ours.resolution, largest or ours.resolution)
        return ImageSet(folder, _read_all(len(ours), ours.image, side, track), ours.labels, ours.findings)
    names, findings, labels = _table(folder / "labels.csv")
    side = _image(folder, names[0]).shape[0]
    if sides is not None:
        side = max((s for s in sides if s <= side), default=min(sides))
    side = min(side, largest or side)
    images = _read_all(len(names), lambda i: _image(folder, names[i]), side, track)
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


def _table(path: Path) -> tuple[list[str], tuple[str, ...], np.ndarray]:
    """Names of the images, findings, and labels (n, F)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error):
        raise SetRefused(f"{path} is not a table in UTF-8; save it as CSV") from None
    if len(rows) < 2 or "image" not in rows[0]:
        raise SetRefused(f"{path} needs a header with a column 'image', a column a finding, and a row an image")
    place = rows[0].index("image")
    columns = {i: canonical_or_none(name) for i, name in enumerate(rows[0]) if i != place}
    known = {i: finding for i, finding in columns.items() if finding and finding != NO_FINDING}
    if not known:
        raise SetRefused(f"{path} has no column named for a finding; its columns are {', '.join(rows[0])}")
    findings = tuple(known.values())
    if twice := [finding for finding in findings if findings.count(finding) > 1]:
        raise SetRefused(f"{path} has two columns for '{twice[0]}'; keep one")
    labels = np.empty((len(rows) - 1, len(known)), np.float32)
    for number, row in enumerate(rows[1:], start=2):
        try:
            labels[number - 2] = [float(row[i]) for i in known]
        except (ValueError, IndexError):
            raise SetRefused(f"{path} line {number}: every finding needs a number from 0 to 1") from None
    if not ((labels >= 0) & (labels <= 1)).all():
        line = 2 + int(np.flatnonzero(~((labels >= 0) & (labels <= 1)).all(axis=1))[0])
        raise SetRefused(f"{path} line {line}: every finding needs a number from 0 to 1")
    return [row[place] for row in rows[1:]], findings, labels


def _image(folder: Path, name: str) -> np.ndarray:
    """A square grey image, uint8 (S, S)."""
    for path in (folder / name, folder / "images" / name):
        if path.is_file():
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise ImageRefused(f"{path} cannot be read as an image")
            if image.shape[0] != image.shape[1]:
                raise ImageRefused(f"{path} is {image.shape[1]} x {image.shape[0]} pixels; a set needs squares")
            return np.asarray(image, np.uint8)
    raise ImageRefused(f"{folder}: image '{name}' of labels.csv is missing")
