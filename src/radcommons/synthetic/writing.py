"""Writes a synthetic set so that a kill costs nothing.

::

    OUT/images/00000000.png ...   or .dcm; or one OUT/images.npz (images, labels, findings)
    OUT/labels.csv                torchxrayvision style
    OUT/dataset.json              StyleGAN style
    OUT/provenance.json           request, generators, labels of every image; written last, so
                                  that a set which has it is complete
    OUT/.partial/                 only while unfinished: the request; labels, generator and size of the images so far;
                                  for npz their pixels

A stopped set continues at the first image whose file is not there, or not of that size.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from radcommons.errors import PathInUse
from radcommons.files import put_whole, write_whole
from radcommons.folders import claim, read_request
from radcommons.models.generator import Batch
from radcommons.resume import Rows, first_missing
from radcommons.synthetic.dicom import StudyDate, encode_dicom, study_date_in_request
from radcommons.synthetic.npz import pack_npz
from radcommons.synthetic.png import encode_png
from radcommons.synthetic.tables import (
    FORMAT_VERSION,
    PROVENANCE,
    Entry,
    Format,
    dataset_json,
    image_name,
    is_complete,
    label_texts,
    labels_csv,
    provenance_json,
    request_of,
)

PARTIAL = ".partial"  # subfolder of an unfinished set
_CHUNK = 10_000  # records read at a time
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
        begun = _begun(out)
        if format == "dicom":
            request["study_date"] = study_date_in_request(study_date, begun)
        claim(out, request, file=f"{PARTIAL}/request.json", begun=begun, ours={PARTIAL})
        return cls(out, request)

    def __init__(self, out: Path, request: Mapping[str, Any]) -> None:
        self._out = out
        self._request = request
        self._format: Format = request["format"]
        day = request.get("study_date")
        self._study_date = date.fromisoformat(day) if day else None
        self._partial = out / PARTIAL
        labels_shape = (len(request["findings"]),)
        record = [("bytes", "<u4"), ("source", "<u4"), ("labels", "<f4", labels_shape)]
        side = request["resolution"]
        self._records = Rows(self._partial / "journal.bin", (), record)
        self._raw = Rows(self._partial / "images.raw", (side, side), np.uint8)  # npz only
        self.count: int = request["count"]
        self.done = self.count
        if is_complete(out):
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        if self._format == "npz":
            self.done = min(len(self._records), len(self._raw))
        else:
            (out / "images").mkdir(exist_ok=True)
            sizes = self._records.read()["bytes"].tolist()
            self.done = first_missing((out / image_name(i, self._format), size) for i, size in enumerate(sizes))

    def write(self, batch: Batch) -> None:
        """Write a batch that begins at `done`; each file appears whole or not at all."""
        assert batch.first == self.done and self.done + len(batch.images) <= self.count
        records = np.zeros(len(batch.images), self._records.dtype)
        records["source"] = batch.source
        records["labels"] = batch.labels
        if self._format == "npz":
            self._raw.write(batch.first, batch.images)
            records["bytes"] = batch.images[0].nbytes
        else:
            with ThreadPoolExecutor(_THREADS) as pool:  # the encoder lets go of the GIL
                places = range(len(batch.images))
                records["bytes"] = list(pool.map(lambda place: self._write_image(batch, place), places))
        self._records.write(batch.first, records)
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
        if self._format == "npz":
            images, labels = self._raw.read(), self._records.read()["labels"]
            findings = self._request["findings"]
            put_whole(self._out / "images.npz", lambda path: pack_npz(path, images, labels, findings))
        for name, lines in tables.items():
            put_whole(self._out / name, partial(_write_lines, lines=lines))
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
        write_whole(self._out / image_name(index, self._format), content, on_disk=False)
        return len(content)

    def _entries(self) -> Iterator[Entry]:
        """Every image in order, in constant memory."""
        records = self._records.read()
        for start in range(0, self.count, _CHUNK):
            for index, record in enumerate(records[start : start + _CHUNK], start):
                name = image_name(index, self._format)
                yield Entry(name, index, int(record["source"]), label_texts(record["labels"]))


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(lines)


def _begun(out: Path) -> dict[str, Any] | None:
    """The request of the set in `out`; None where there is none."""
    if not is_complete(out):
        return read_request(out / PARTIAL / "request.json")
    try:
        return request_of(out / PROVENANCE)
    except ValueError:
        raise PathInUse(f"{out / PROVENANCE} is damaged; choose another --out") from None
