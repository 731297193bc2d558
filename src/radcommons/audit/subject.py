"""What is audited: a generator, or a folder of synthetic images from anywhere, as arrays of grey values."""

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from radcommons.data.findings import NO_FINDING, canonical_or_none
from radcommons.data.store import Store
from radcommons.errors import FindingUnknown, GeneratorRefused, ImageRefused, SetRefused, SettingRefused
from radcommons.models.sampling import Generator, LabelChoice
from radcommons.models.synthetic.reading import SyntheticSet
from radcommons.models.synthetic.tables import is_complete
from radcommons.models.synthetic.writing import Batch
from radcommons.progress import Track
from radcommons.seeds import derive, numpy_stream

Draw = Literal["as in training", "balanced"]


@dataclass(frozen=True)
class Drawn:
    """Synthetic images; uint8 (n, R, R), labels float32 (n, F) in the subject's order of findings."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Subject:
    """A generator or a set; a set has no weights, and its images are what there is."""

    kind: Literal["generator", "set"]
    name: str
    digest: str
    findings: tuple[str, ...]
    resolution: int
    generator: Generator | None = None
    given: Drawn | None = None
    run: Path | None = None  # where the critic lies, if it does

    def available(self, count: int) -> int:
        """`count`, or as many images as a set has."""
        return count if self.given is None else min(count, len(self.given.labels))

    def batches(self, count: int, kind: Draw, *, seed: int, start: int = 0) -> Iterator[Batch]:
        """Images `start` ... `count`, the same for the same seed."""
        if self.generator is not None:
            choice, root = self._choice(kind), derive(seed, "audit", kind)
            yield from self.generator.batches(count, choice=choice, seed=root, start=start)
        else:
            images, labels = self._chosen(count, kind, seed)
            yield Batch(start, images[start:], labels[start:])

    def labels(self, count: int, kind: Draw, *, seed: int) -> np.ndarray:
        """Labels of these images, float32 (count, F)."""
        if self.generator is not None:
            return self.generator.labels(count, choice=self._choice(kind), seed=derive(seed, "audit", kind))
        return self._chosen(count, kind, seed)[1]

    def _choice(self, kind: Draw) -> LabelChoice:
        return LabelChoice(balanced=kind == "balanced" and bool(self.findings))

    def _chosen(self, count: int, kind: Draw, seed: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.given is not None
        rows = numpy_stream(seed, "audit", "set", kind).permutation(len(self.given.labels))
        if kind == "balanced":
            rows = _balanced(self.given.labels, rows)
        return self.given.images[rows[:count]], self.given.labels[rows[:count]]


def open_subject(reference: Path, store: Store, *, track: Track) -> Subject:
    """Open what is to be audited and hold it against the store.

    Raises:
        PathMissing, GeneratorRefused, SetRefused: it cannot be read.
        FindingUnknown, SettingRefused: its findings or its resolution are not the store's.
    """
    subject = _set(reference, store, track) if _is_set(reference) else _generator(reference)
    unknown = [finding for finding in subject.findings if finding not in store.findings]
    if unknown:
        common = [finding for finding in subject.findings if finding in store.findings]
        raise FindingUnknown(
            f"{reference} knows {', '.join(unknown)}, which {store.path} does not label; "
            f"in both are: {', '.join(common) or 'none'}; audit against a store that labels them all"
        )
    if subject.resolution not in store.resolutions:
        raise SettingRefused(
            f"{reference} draws {subject.resolution} x {subject.resolution} pixels and {store.path} holds images up to "
            f"{store.resolutions[-1]}; import the films again with --resolution {subject.resolution}"
        )
    return subject


def _is_set(reference: Path) -> bool:
    return (reference / "labels.csv").is_file() and not (reference / "config.json").is_file()


def _generator(reference: Path) -> Subject:
    generator = Generator.load(reference)
    bad = [name for name, value in generator.network.state_dict().items() if not bool(value.isfinite().all())]
    if bad:
        raise GeneratorRefused(f"{reference}: weight {bad[0]} holds a value that is not a number; train it again")
    inside = reference / "config.toml"
    return Subject(
        kind="generator",
        name=generator.name,
        digest=generator.digest,
        findings=generator.findings,
        resolution=generator.resolution,
        generator=generator,
        run=reference if inside.is_file() else None,
    )


def _set(reference: Path, store: Store, track: Track) -> Subject:
    if is_complete(reference):
        ours = SyntheticSet.open(reference)
        images = _read_all(len(ours), ours.image, ours.resolution, track)
        return _as_subject(reference, ours.findings, images, ours.labels)
    names, findings, labels = _foreign_table(reference / "labels.csv")
    first = _foreign_image(reference, names[0])
    fitting = [side for side in store.resolutions if side <= first.shape[0]]
    images = _read_all(len(names), lambda i: _foreign_image(reference, names[i]), fitting[-1], track)
    return _as_subject(reference, findings, images, labels)


def _as_subject(reference: Path, findings: tuple[str, ...], images: np.ndarray, labels: np.ndarray) -> Subject:
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    given = Drawn(images, labels)
    return Subject("set", reference.name, digest, findings, images.shape[-1], given=given)


def _read_all(count: int, read: Callable[[int], np.ndarray], side: int, track: Track) -> np.ndarray:
    images = np.empty((count, side, side), np.uint8)
    with track("Reading the set", total=count) as advance:
        for index in range(count):
            image = read(index)
            whole = image.shape == (side, side)
            images[index] = image if whole else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            advance(1)
    return images


def _foreign_table(path: Path) -> tuple[list[str], tuple[str, ...], np.ndarray]:
    """Names of the images, findings, and labels (n, F) of a ``labels.csv`` with a column "image"."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2 or "image" not in rows[0]:
        raise SetRefused(f"{path} needs a header with a column 'image', a column a finding, and a row an image")
    place = rows[0].index("image")
    columns = {i: canonical_or_none(name) for i, name in enumerate(rows[0]) if i != place}
    known = {i: finding for i, finding in columns.items() if finding not in (None, NO_FINDING)}
    if not known:
        raise SetRefused(f"{path} has no column named for a finding; its columns are {', '.join(rows[0])}")
    labels = np.empty((len(rows) - 1, len(known)), np.float32)
    for number, row in enumerate(rows[1:], start=2):
        try:
            labels[number - 2] = [float(row[i]) for i in known]
        except (ValueError, IndexError):
            raise SetRefused(f"{path} line {number}: every finding needs a number from 0 to 1") from None
    if not ((labels >= 0) & (labels <= 1)).all():
        line = 2 + int(np.flatnonzero(~((labels >= 0) & (labels <= 1)).all(axis=1))[0])
        raise SetRefused(f"{path} line {line}: every finding needs a number from 0 to 1")
    return [row[place] for row in rows[1:]], tuple(known.values()), labels


def _foreign_image(folder: Path, name: str) -> np.ndarray:
    """A square grey image, uint8 (S, S), from the set's folder or its folder ``images``."""
    for path in (folder / name, folder / "images" / name):
        if path.is_file():
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise ImageRefused(f"{path} cannot be read as an image")
            if image.shape[0] != image.shape[1]:
                raise ImageRefused(f"{path} is {image.shape[1]} x {image.shape[0]} pixels; an audit needs squares")
            return np.asarray(image, np.uint8)
    raise ImageRefused(f"{folder}: image '{name}' of labels.csv is missing")


def _balanced(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rows with findings taking turns, each row once, in the given order; then what is left."""
    queues = [[row for row in order if labels[row, finding] >= 0.5] for finding in range(labels.shape[1])]
    taken: dict[int, None] = {}
    while any(queues):
        for queue in queues:
            while queue:
                row = int(queue.pop(0))
                if row not in taken:
                    taken[row] = None
                    break
    return np.array([*taken, *(row for row in order if row not in taken)], np.int64)
