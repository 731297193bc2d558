"""Writes a synthetic set so that a kill costs nothing.

::

    OUT/images/00000000.png ...   or .dcm; or one OUT/images.npz (images, labels, findings)
    OUT/labels.csv                torchxrayvision style
    OUT/dataset.json              StyleGAN style
    OUT/provenance.json           request, generators, labels of every image; written last: it marks a finished set
    OUT/.partial/                 only while unfinished: the request; file size and labels of each image so far; for npz
                                  their pixels

A stopped set continues at the first image whose file is missing or has another size.
"""

import os
import shutil
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import accumulate, takewhile
from itertools import count as count_from
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from radcommons.errors import PathInUse
from radcommons.files import put_whole, write_whole
from radcommons.folders import claim, read_request
from radcommons.models.generator import Batch
from radcommons.precision import kept
from radcommons.resume import Rows
from radcommons.synthetic.dicom import StudyDate, encode_dicom, study_date_in_request
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
from radcommons.threads import open_pool

PARTIAL = ".partial"  # subfolder of an unfinished set
_NPZ_BYTES = 2**20  # written at once
_THREADS = min(8, os.cpu_count() or 1)


class SetWriter:
    """Writes a synthetic set, batch after batch from `done` to `count`, then `finish`.

    Attributes:
        done: leading images that are safely on disk; batches continue there, of any size.
        count: images of the finished set.
    """

    def __init__(
        self,
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
    ) -> None:
        """Start a set in `out`, or continue the one that the same request began there.

        Args:
            out: the set's folder; absent, empty, or holding this very set.
            generators: one entry for each, with at least "name" and "digest"; written as given. They draw in this
                order: as many images as "images" says, or equal parts if no entry has it.
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

        self._out, self._partial, self._request = out, out / PARTIAL, request
        parts = len(generators)
        equal = (count * (place + 1) // parts - count * place // parts for place in range(parts))
        images = [generator.get("images", part) for generator, part in zip(generators, equal, strict=True)]
        self._stops = list(accumulate(images))  # of each generator's images
        self._format: Format = format
        day = request.get("study_date")
        self._study_date = date.fromisoformat(day) if day else None
        row = [("bytes", "<u4"), ("labels", "<f4", (len(findings),))]
        self._rows = Rows(self._partial / "images.rows", (), row)
        self._raw = Rows(self._partial / "images.raw", (resolution, resolution), np.uint8)  # npz only
        self.count = self.done = count
        if is_complete(out):
            shutil.rmtree(self._partial, ignore_errors=True)
        elif self._format == "npz":
            self.done = min(len(self._rows), len(self._raw))
        else:
            (out / "images").mkdir(exist_ok=True)
            sizes = enumerate(self._rows.read()["bytes"])
            self.done = sum(1 for _ in takewhile(lambda image: self._is_whole(*image), sizes))

    def write(self, batch: Batch) -> None:
        """Write a batch that begins at `done`; each file appears whole or not at all."""
        assert batch.first == self.done and self.done + len(batch.images) <= self.count
        rows = np.zeros(len(batch.images), self._rows.dtype)
        rows["labels"] = batch.labels
        if self._format == "npz":
            self._raw.write(batch.first, batch.images)
        else:
            with open_pool(_THREADS, with_torch=False) as pool:
                rows["bytes"] = list(pool.map(self._write_image, count_from(batch.first), batch.images, batch.labels))
        self._rows.write(batch.first, rows)
        self.done += len(batch.images)

    def finish(self) -> None:
        """Write labels.csv, dataset.json and, last, provenance.json; a complete set is left alone."""
        assert self.done == self.count
        if is_complete(self._out):
            return
        findings = self._request["findings"]
        if self._format == "npz":
            # Not compressed: deflate saves less than a third on films, and a compressed file cannot be mapped.
            arrays = {"images": self._raw.read(), "labels": self._rows.read()["labels"], "findings": np.array(findings)}
            put_whole(self._out / "images.npz", lambda path: _write_npz(path, arrays))
        self._write_lines("labels.csv", labels_csv(findings, self._entries()))
        self._write_lines("dataset.json", dataset_json(self._entries()))
        self._write_lines(PROVENANCE, provenance_json(self._request, self._entries()))
        shutil.rmtree(self._partial)

    def _is_whole(self, index: int, size: int) -> bool:
        path = self._out / image_name(index, self._format)
        return path.is_file() and path.stat().st_size == size

    def _source(self, index: int) -> int:
        """Which of the generators draws an image."""
        return bisect_right(self._stops, index)

    def _write_image(self, index: int, image: np.ndarray, labels: np.ndarray) -> int:
        """Write one image file; returns its size in bytes."""
        if self._format == "png":
            content = encode_png(image)
        else:
            generator = self._request["generators"][self._source(index)]
            texts = zip(self._request["findings"], label_texts(labels), strict=True)
            content = encode_dicom(
                image,
                {finding: text for finding, text in texts if text},
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
        for index, labels in enumerate(self._rows.read()["labels"]):
            yield Entry(image_name(index, self._format), index, self._source(index), label_texts(labels))

    def _write_lines(self, name: str, lines: Iterable[bytes]) -> None:
        def write(path: Path) -> None:
            with path.open("wb") as file:
                file.writelines(lines)

        put_whole(self._out / name, write)


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """What ``np.savez`` writes, in constant memory: NumPy copies the whole of an array that it finds in one piece."""
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                rows = max(1, _NPZ_BYTES // max(1, array[:1].nbytes))
                for first in range(0, len(array), rows):
                    file.write(array[first : first + rows].tobytes())


def begun_precision(out: Path, asked: str) -> str:
    """`asked`; for "auto" the precision in which the set in `out` was begun, if there is one."""
    begun = _begun(out)
    return kept(asked, begun["generators"][0] if begun else None)


def _begun(out: Path) -> dict[str, Any] | None:
    """The request of the set in `out`; None where there is none."""
    if not is_complete(out):
        return read_request(out / PARTIAL / "request.json")
    try:
        return request_of(out / PROVENANCE)
    except ValueError:
        raise PathInUse(f"{out / PROVENANCE} is damaged; choose another --out") from None
