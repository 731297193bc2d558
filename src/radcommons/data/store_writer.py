"""Write a store block by block, in order, so that a killed import loses at most its current block.

Each block is appended to the image files, then a line is added to ``.import/journal.jsonl``. After a kill, the files
are truncated to the last whole journal line. ``store.json`` is written last: a store with it is complete.
"""

import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import polars as pl

from radcommons.data.listing import PARTS
from radcommons.data.store import JOURNAL_FOLDER, images_file, manifest_file
from radcommons.data.store_folder import TRUTH_FILE, import_begun, journal_file
from radcommons.errors import NothingToImport
from radcommons.files import write_whole
from radcommons.folders import claim, read_request
from radcommons.records import StoreRecord, sha256_file

WRITE_BEHIND_BYTES = 2**19  # smallest size of one block and resolution that is sent to the disk early


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The manifest's entry for one accepted image, with pseudonyms."""

    image_id: str
    patient: str
    split: str
    view: str | None
    age: float | None
    sex: str | None
    labels: tuple[int | None, ...]
    sha256: str
    stored_sha256: str
    upsampled: bool = False
    declared: tuple[str, ...] = ()


IMAGE_FIELDS = tuple(field.name for field in fields(StoredImage))


@dataclass(frozen=True, slots=True)
class RejectedImage:
    """A row of ``rejected.csv``: line of the source's table, pseudonym of the file, reason."""

    row: int
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """The result of one job: images of every resolution, uint8 (n, r, r), their entries, and the refusals."""

    levels: dict[int, np.ndarray]
    images: list[StoredImage]
    rejected: list[RejectedImage]


@dataclass(frozen=True, slots=True)
class Request:
    """The request of an import; two imports are the same if and only if their requests have the same digest."""

    name: str
    source: str
    findings: tuple[str, ...]
    resolutions: tuple[int, ...]
    label_policy: str
    fit: str
    split_salt: str
    absent: int
    key_fingerprint: str
    sha256: str

    def claim(self, out: Path, begun: dict[str, Any] | None) -> None:
        """Raise PathInUse, naming what differs, unless `out` was begun with this request."""
        named = {k: v for k, v in asdict(self).items() if k != "key_fingerprint"}  # it tells a person nothing
        claim(out, named, file=None, begun=begun)


class StoreWriter:
    """A running import."""

    def __init__(self, out: Path, request: Request) -> None:
        self.out = out
        self.request = request
        self.images: list[StoredImage] = []
        self.rejected: list[RejectedImage] = []
        self.blocks_done = 0
        self._journal = journal_file(out)

    @classmethod
    def begin(cls, out: Path, request: Request) -> Self:
        """Start an import in its own folder, or continue the same import after an interruption.

        The caller holds the folder. Raises PathInUse for an unfinished import of other data.
        """
        saved = out / JOURNAL_FOLDER / "request.json"
        if import_begun(out):
            request.claim(out, read_request(saved))
        else:
            if saved.is_file():
                _forget(out)
            saved.parent.mkdir(exist_ok=True)
            write_whole(saved, json.dumps(asdict(request)))
        writer = cls(out, request)
        writer._take_up()
        return writer

    def append(self, block: Block) -> None:
        """Add the next block: first its pixels, then the journal line that confirms them."""
        entry = {
            "images": [{name: getattr(i, name) for name in IMAGE_FIELDS} for i in block.images],
            "rejected": [asdict(r) for r in block.rejected],
        }
        for resolution in self.request.resolutions:
            if block.images:
                with images_file(self.out, resolution).open("ab") as file:
                    pixels = np.ascontiguousarray(block.levels[resolution])
                    file.write(pixels.data)
                    _begin_to_disk(file, pixels.nbytes)
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry) + "\n")
        self._count(block.images, block.rejected)

    def finish(self) -> StoreRecord:
        """Write headers, manifest, rejected.csv and store.json; raises NothingToImport for an empty store."""
        if not self.images:
            _forget(self.out)
            shutil.rmtree(self.out / JOURNAL_FOLDER)  # so that the same command tries again
            raise nothing_to_import((r.reason for r in self.rejected), self.request.absent)
        for resolution in self.request.resolutions:
            _write_header(images_file(self.out, resolution), len(self.images), resolution)
        self._write_rejected()
        self._write_manifest()
        record = self._record()
        write_whole(self.out / "store.json", record.to_json())
        forget_journal(self.out)
        return record

    def _take_up(self) -> None:
        """Read the journal's whole lines for which the image files have all pixels; truncate every file to them."""
        readable = min(_images_in(images_file(self.out, r), r) for r in self.request.resolutions)
        whole = 0
        if self._journal.is_file():
            with self._journal.open("rb") as file:
                for line in file:
                    entry = _journal_entry(line)
                    if entry is None or len(self.images) + len(entry["images"]) > readable:
                        break
                    self._count(
                        [_stored_image(i) for i in entry["images"]],
                        [RejectedImage(**r) for r in entry["rejected"]],
                    )
                    whole += len(line)
            os.truncate(self._journal, whole)
        for resolution in self.request.resolutions:
            file_path = images_file(self.out, resolution)
            if not self.images:
                _write_header(file_path, 0, resolution, fresh=True)
            os.truncate(file_path, _header_size(file_path) + len(self.images) * resolution**2)

    def _count(self, images: list[StoredImage], rejected: list[RejectedImage]) -> None:
        self.images += images
        self.rejected += rejected
        self.blocks_done += 1

    def _write_rejected(self) -> None:
        table = pl.DataFrame(
            [asdict(r) for r in self.rejected],
            schema={"row": pl.Int64, "file": pl.String, "reason": pl.String},
        )
        text = table.sort("row", maintain_order=True).write_csv()
        write_whole(self.out / "rejected.csv", text)

    def _write_manifest(self) -> None:
        columns = {"row": pl.Series(range(len(self.images)), dtype=pl.Int64)}
        for name in ("image_id", "patient", "split", "view", "age", "sex"):
            dtype = pl.Float32 if name == "age" else pl.String
            columns[name] = pl.Series([getattr(i, name) for i in self.images], dtype=dtype)
        for position, finding in enumerate(self.request.findings):
            columns[finding] = pl.Series([i.labels[position] for i in self.images], dtype=pl.Int8)
        for digest in ("sha256", "stored_sha256"):
            columns[digest] = pl.Series([getattr(i, digest) for i in self.images], dtype=pl.String)
        parquet = io.BytesIO()  # polars takes no path that is not UTF-8
        pl.DataFrame(columns).write_parquet(parquet)
        write_whole(manifest_file(self.out), parquet.getvalue())

    def _record(self) -> StoreRecord:
        parts = Counter(i.split for i in self.images)
        asked = asdict(self.request)
        digest = asked.pop("sha256")
        return StoreRecord(
            **asked,
            images=len(self.images),
            patients=len({i.patient for i in self.images}),
            rejected=len(self.rejected),
            upsampled=sum(i.upsampled for i in self.images),
            split={part: parts[part] for part in PARTS},
            request_sha256=digest,
            manifest_sha256=sha256_file(manifest_file(self.out)),
            declared=dict(Counter(word for i in self.images for word in i.declared).most_common()),
        )


def forget_journal(out: Path) -> None:
    """Remove the files of an unfinished import, after store.json is written."""
    shutil.rmtree(out / JOURNAL_FOLDER, ignore_errors=True)


def nothing_to_import(reasons: Iterable[str], absent: int) -> NothingToImport:
    """The error of an import without any image, with the most frequent reason."""
    counted = Counter(reasons)
    common = counted.most_common(1)
    because = f"; most often: {common[0][0]} ({common[0][1]:,} times)" if common else ""
    missing = f"; {absent:,} rows of the table have no image" if absent else ""
    return NothingToImport(f"no image could be imported, {counted.total():,} refused{because}{missing}")


def _forget(out: Path) -> None:
    """Remove the files of an import that has not finished any image."""
    for path in (*out.glob("images_*.npy"), out / TRUTH_FILE, journal_file(out)):
        path.unlink(missing_ok=True)


def _begin_to_disk(file: BinaryIO, size: int) -> None:
    """Start to write the last `size` bytes of a file to the disk, without waiting; `finish` waits for all.

    POSIX_FADV_DONTNEED makes Linux start writing; it keeps the pages in memory until they are on the disk.
    """
    if size >= WRITE_BEHIND_BYTES and sys.platform.startswith("linux"):
        file.flush()
        os.posix_fadvise(file.fileno(), file.tell() - size, size, os.POSIX_FADV_DONTNEED)


def _journal_entry(line: bytes) -> dict[str, Any] | None:
    """A whole journal line, or None for a truncated line."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return entry if line.endswith(b"\n") else None


def _stored_image(entry: dict[str, Any]) -> StoredImage:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}
    return StoredImage(**fields)


def _write_header(path: Path, count: int, resolution: int, *, fresh: bool = False) -> None:
    """The .npy header of a uint8 array (count, r, r); NumPy leaves room for the count to grow in place."""
    with path.open("wb" if fresh else "r+b") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, resolution, resolution)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        os.fsync(file.fileno())


def _header_size(path: Path) -> int:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _images_in(path: Path, resolution: int) -> int:
    """Number of whole images in a growing file; 0 if it is absent or has no header yet."""
    try:
        return (path.stat().st_size - _header_size(path)) // resolution**2
    except (OSError, ValueError, EOFError):
        return 0
