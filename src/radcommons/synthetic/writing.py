"""Writes a synthetic set so that a kill costs nothing.

::

    OUT/images/00000000.png ...   or .dcm; or one OUT/images.npz (images, labels, findings)
    OUT/labels.csv                torchxrayvision style
    OUT/dataset.json              StyleGAN style
    OUT/provenance.json           request, generators, labels of every image; written last, so
                                  that a set which has it is complete
    OUT/.partial/                 only while unfinished: request, journal, files not yet in place

The journal has one record of fixed size an image, at a place that follows from the image's index. An image
is done when its record is written and its file has the recorded size; a stopped set continues at the first
image that is not.
"""

import errno
import json
import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from radcommons.errors import DiskFull, PathInUse
from radcommons.folders import holds_other_than
from radcommons.models.generator import Batch
from radcommons.synthetic.dicom import StudyDate, encode_dicom, study_date_in_request
from radcommons.synthetic.npz import pack_npz
from radcommons.synthetic.png import encode_png
from radcommons.synthetic.tables import (
    FORMAT_VERSION,
    Entry,
    Format,
    dataset_json,
    image_name,
    is_complete,
    label_texts,
    labels_csv,
    provenance_json,
    read_request,
)

_CHUNK = 10_000  # journal records read at a time
_THREADS = min(8, os.cpu_count() or 1)


class SetWriter:
    """Writes a synthetic set, batch after batch from `done` to `count`, then `finish`.

    Attributes:
        done: leading images that are safely on disk; batches continue there, of any size.
        count: images of the finished set.
    """

    @classmethod
    def open(
        cls,
        out: Path,
        *,
        findings: Sequence[str],
        resolution: int,
        count: int,
        format: Format,
        seed: int,
        generators: Sequence[Mapping[str, Any]],
        label_choice: str = "training",
        study_date: StudyDate = "today",
    ) -> Self:
        """Start a set in `out`, or continue the one that the same request began there.

        Args:
            out: the set's folder; absent, empty, or holding this very set.
            findings: names of the label columns.
            resolution: R, pixels a side.
            count: images of the finished set.
            format: file format of the images.
            seed: root seed of the set.
            generators: one entry a generator, each with at least "name" and "digest"; written as given.
            label_choice: how the labels are chosen, in words; another choice is another request.
            study_date: of DICOM files; today is the day on which the set is begun, another day is another request.

        Raises:
            PathInUse: the folder holds something else; the message names what differs.
            DiskFull: no room to begin.
        """
        request: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "synthetic": True,
            "format": format,
            "count": count,
            "resolution": resolution,
            "seed": seed,
            "label_choice": label_choice,
            "findings": list(findings),
            "generators": [dict(generator) for generator in generators],
        }
        found = _found_request(out)
        if format == "dicom":
            request["study_date"] = study_date_in_request(study_date, found)
        if found is not None:
            _refuse_another_request(out, found, json.loads(json.dumps(request)))
        return cls(out, request)

    def __init__(self, out: Path, request: Mapping[str, Any]) -> None:
        self._out = out
        self._request = request
        self._format: Format = request["format"]
        self._pixels: int = request["resolution"] ** 2
        day = request.get("study_date")
        self._study_date = date.fromisoformat(day) if day else None
        self._partial = out / ".partial"
        self._journal = self._partial / "journal.bin"
        self._raw = self._partial / "images.raw"  # npz only: uint8 (count, R, R)
        labels_shape = (len(request["findings"]),)
        self._record = np.dtype([("bytes", "<u4"), ("source", "<u4"), ("labels", "<f4", labels_shape)])
        self.count: int = request["count"]
        self.done = self.count
        if is_complete(out):
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        self.done = 0
        with self._disk():
            self._partial.mkdir(parents=True, exist_ok=True)
            with self._replacing(self._partial / "request.json") as file:  # from here on the folder is ours
                file.write(json.dumps(request, indent=1).encode())
            self._journal.touch()
            if self._format == "npz":
                self._raw.touch()
            else:
                (out / "images").mkdir(exist_ok=True)
        self.done = self._count_done()

    def write(self, batch: Batch) -> None:
        """Write a batch that begins at `done`; each file appears whole or not at all."""
        assert batch.first == self.done and self.done + len(batch.images) <= self.count
        with self._disk():
            records = np.zeros(len(batch.images), self._record)
            records["source"] = batch.source
            records["labels"] = batch.labels
            if self._format == "npz":
                records["bytes"] = self._pixels
                _write_at(self._raw, batch.first * self._pixels, batch.images.tobytes())
            else:
                with ThreadPoolExecutor(_THREADS) as pool:  # the encoder lets go of the GIL
                    places = range(len(batch.images))
                    records["bytes"] = list(pool.map(lambda place: self._write_image(batch, place), places))
            _write_at(self._journal, batch.first * self._record.itemsize, records.tobytes())
        self.done += len(batch.images)

    def finish(self) -> None:
        """Write labels.csv, dataset.json and, last, provenance.json; a complete set is left alone."""
        assert self.done == self.count
        if is_complete(self._out):
            return
        tables = {
            "labels.csv": labels_csv(self._request["findings"], self._entries()),
            "dataset.json": dataset_json(self._entries()),
            "provenance.json": provenance_json(self._request, self._entries()),
        }
        with self._disk():
            if self._format == "npz":
                shape = (self.count, self._request["resolution"], self._request["resolution"])
                labels = np.fromfile(self._journal, self._record, count=self.count)["labels"]
                with self._replacing(self._out / "images.npz") as file, self._raw.open("rb") as pixels:
                    pack_npz(file, pixels, shape, labels, self._request["findings"])
            for name, lines in tables.items():
                with self._replacing(self._out / name) as file:
                    file.writelines(lines)
        shutil.rmtree(self._partial)

    def _write_image(self, batch: Batch, place: int) -> int:
        """Write one image file; returns its size in bytes."""
        index = batch.first + place
        if self._format == "png":
            content = encode_png(batch.images[place])
        else:
            generator = self._request["generators"][batch.source]
            labels = dict(zip(self._request["findings"], label_texts(batch.labels[place]), strict=True))
            content = encode_dicom(
                batch.images[place],
                labels,
                generator=generator["name"],
                digest=generator["digest"],
                seed=self._request["seed"],
                index=index,
                study_date=self._study_date,
            )
        with self._replacing(self._out / image_name(index, self._format)) as file:
            file.write(content)
        return len(content)

    def _count_done(self) -> int:
        records = np.fromfile(self._journal, self._record, count=self.count)
        if self._format == "npz":
            pixels_on_disk: int = self._raw.stat().st_size
            return min(len(records), pixels_on_disk // self._pixels)
        for index, size in enumerate(records["bytes"].tolist()):
            path = self._out / image_name(index, self._format)
            if not path.exists() or path.stat().st_size != size:
                return index
        return len(records)

    def _entries(self) -> Iterator[Entry]:
        """Every image in order, in constant memory."""
        records = np.memmap(self._journal, self._record, mode="r", shape=(self.count,))
        for start in range(0, self.count, _CHUNK):
            for index, record in enumerate(records[start : start + _CHUNK], start):
                name = image_name(index, self._format)
                yield Entry(name, index, int(record["source"]), label_texts(record["labels"]))

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[IO[bytes]]:
        """A file that takes the place of `path` once it is whole."""
        temporary = self._partial / f"{path.name}.new"
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskFull(
                f"{self._out}: the disk is full after {self.done} of {self.count} images; "
                "free space, then run the same command again"
            ) from None


def _write_at(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _found_request(out: Path) -> dict[str, Any] | None:
    """The request of the set in `out`, None where a new one can begin; else raises PathInUse."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise PathInUse(f"{out} is a file; choose a folder for the synthetic set")
    begun = out / ".partial" / "request.json"
    try:
        if is_complete(out):
            return read_request(out / "provenance.json")
        if begun.is_file():
            return read_request(begun)
    except ValueError:
        raise PathInUse(f"{out} holds something that is not a synthetic set; choose another folder") from None
    if holds_other_than(out, {".partial"}):
        raise PathInUse(f"{out} is not empty and holds no synthetic set; choose another folder")
    return None


def _refuse_another_request(out: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    version = found.get("format_version")
    if version != FORMAT_VERSION:
        raise PathInUse(
            f"{out} holds a synthetic set of format version {version} and this program writes {FORMAT_VERSION}; "
            "choose another folder"
        )
    differing = [
        f"{key} is {_short(found.get(key))} there and {_short(value)} here"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    if differing:
        raise PathInUse(f"{out} holds another synthetic set: {'; '.join(differing)}; choose another folder")


def _short(value: Any) -> str:
    return textwrap.shorten(json.dumps(value, ensure_ascii=False), 120, placeholder=" ...")
