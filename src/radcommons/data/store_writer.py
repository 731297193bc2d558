"""Writes a store block by block, in order, so that a killed import loses at most the block it was on.

Image files grow at their end; a line of ``.import/journal.jsonl`` is added once a block's pixels are in them.
After a kill the files are cut back to the last whole journal line. ``store.json`` comes last and means complete.
"""

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from radcommons.data.listing import PARTS
from radcommons.data.store import JOURNAL_FOLDER, images_file
from radcommons.errors import DiskFull, NothingToImport, PathInUse, StoreRefused
from radcommons.records import StoreRecord, sha256_file


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The manifest's entry for one accepted image; every identifier is already a pseudonym."""

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


@dataclass(frozen=True, slots=True)
class RejectedImage:
    """A line of ``rejected.csv``: line of the source's table, pseudonym of the file, reason."""

    row: int
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """What one job made: images of every resolution, uint8 (n, r, r), their entries, and the refusals."""

    levels: dict[int, np.ndarray]
    images: list[StoredImage]
    rejected: list[RejectedImage]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; two imports are the same exactly where their requests have the same digest."""

    name: str
    source: str
    findings: tuple[str, ...]
    resolutions: tuple[int, ...]
    label_policy: str
    fit: str
    split_salt: str
    absent: int
    sha256: str


class StoreWriter:
    """An import under way."""

    def __init__(self, out: Path, request: Request, images: list[StoredImage], journal: Path, blocks: int) -> None:
        self.out = out
        self.request = request
        self.images = images
        self.rejected: list[RejectedImage] = []
        self.blocks_done = blocks
        self._journal = journal

    @classmethod
    def begin(cls, out: Path, request: Request) -> Self:
        """Start an import, or take up the same one where it was cut off; raises PathInUse for another."""
        folder = out / JOURNAL_FOLDER
        if not folder.is_dir() and out.exists() and (not out.is_dir() or any(_foreign(out))):
            raise PathInUse(f"{out} already holds something else; choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        asked = folder / "request.json"
        if asked.is_file() and _saved_digest(asked) != request.sha256:
            raise PathInUse(
                f"{out} holds an unfinished import of other data or settings; "
                "run that command again, delete the folder, or choose another --out"
            )
        asked.write_text(json.dumps(asdict(request)), encoding="utf-8")
        writer = cls(out, request, [], folder / "journal.jsonl", 0)
        writer._take_up()
        return writer

    def append(self, block: Block) -> None:
        """Add the next block: pixels first, then the journal line that makes them count."""
        entry = {
            "images": [asdict(i) for i in block.images],
            "rejected": [asdict(r) for r in block.rejected],
        }
        with disk_full_is_clear(self.out):
            for resolution in self.request.resolutions:
                if block.images:
                    with images_file(self.out, resolution).open("ab") as file:
                        file.write(np.ascontiguousarray(block.levels[resolution]).data)
            with self._journal.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(entry) + "\n")
        self._count(block.images, block.rejected)

    def finish(self) -> StoreRecord:
        """Write headers, manifest, rejected.csv and store.json; raises NothingToImport for an empty store."""
        if not self.images:
            reasons = Counter(r.reason for r in self.rejected).most_common(1)
            shutil.rmtree(self.out / JOURNAL_FOLDER)  # so that the same command tries again
            for resolution in self.request.resolutions:
                images_file(self.out, resolution).unlink()
            because = f"; most often: {reasons[0][0]} ({reasons[0][1]} times)" if reasons else ""
            raise NothingToImport(f"no image could be imported, {len(self.rejected)} refused{because}")
        with disk_full_is_clear(self.out):
            for resolution in self.request.resolutions:
                _write_header(images_file(self.out, resolution), len(self.images), resolution)
            self._write_rejected()
            self._write_manifest()
            record = self._record()
            temporary = self.out / "store.json.partial"
            temporary.write_text(record.to_json(), encoding="utf-8")
            temporary.replace(self.out / "store.json")
        shutil.rmtree(self.out / JOURNAL_FOLDER)
        return record

    def _take_up(self) -> None:
        """Read the journal's whole lines and cut every file back to what they promise."""
        whole = 0
        if self._journal.is_file():
            with self._journal.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    entry = json.loads(line)
                    self._count(
                        [StoredImage(**{**i, "labels": tuple(i["labels"])}) for i in entry["images"]],
                        [RejectedImage(**r) for r in entry["rejected"]],
                    )
                    whole += len(line)
            os.truncate(self._journal, whole)
        for resolution in self.request.resolutions:
            file_path = images_file(self.out, resolution)
            if not file_path.exists() or not self.images:
                _write_header(file_path, 0, resolution, fresh=True)
            end = _header_size(file_path) + len(self.images) * resolution**2
            if file_path.stat().st_size < end:
                raise StoreRefused(f"{file_path} is shorter than its journal says; delete {self.out} and import again")
            os.truncate(file_path, end)

    def _count(self, images: list[StoredImage], rejected: list[RejectedImage]) -> None:
        self.images += images
        self.rejected += rejected
        self.blocks_done += 1

    def _write_rejected(self) -> None:
        table = pl.DataFrame(
            [asdict(r) for r in self.rejected],
            schema={"row": pl.Int64, "file": pl.String, "reason": pl.String},
        )
        table.sort("row", maintain_order=True).write_csv(self.out / "rejected.csv")

    def _write_manifest(self) -> None:
        columns: dict[str, Any] = {
            "row": pl.Series(range(len(self.images)), dtype=pl.Int64),
            **{k: pl.Series([getattr(i, k) for i in self.images], dtype=pl.String) for k in ("image_id", "patient")},
            "split": pl.Series([i.split for i in self.images], dtype=pl.String),
            "view": pl.Series([i.view for i in self.images], dtype=pl.String),
            "age": pl.Series([i.age for i in self.images], dtype=pl.Float32),
            "sex": pl.Series([i.sex for i in self.images], dtype=pl.String),
        }
        for position, finding in enumerate(self.request.findings):
            columns[finding] = pl.Series([i.labels[position] for i in self.images], dtype=pl.Int8)
        for digest in ("sha256", "stored_sha256"):
            columns[digest] = pl.Series([getattr(i, digest) for i in self.images], dtype=pl.String)
        pl.DataFrame(columns).write_parquet(self.out / "manifest.parquet")

    def _record(self) -> StoreRecord:
        parts = Counter(i.split for i in self.images)
        return StoreRecord(
            name=self.request.name,
            source=self.request.source,
            findings=self.request.findings,
            resolutions=self.request.resolutions,
            label_policy=self.request.label_policy,
            fit=self.request.fit,
            images=len(self.images),
            patients=len({i.patient for i in self.images}),
            rejected=len(self.rejected),
            absent=self.request.absent,
            upsampled=sum(i.upsampled for i in self.images),
            split={part: parts[part] for part in PARTS},
            split_salt=self.request.split_salt,
            request_sha256=self.request.sha256,
            manifest_sha256=sha256_file(self.out / "manifest.parquet"),
        )


@contextmanager
def disk_full_is_clear(out: Path) -> Iterator[None]:
    """Turn "no space left" into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(f"the disk of {out} is full; free some space and run the same command again") from None


def require_free_space(out: Path, images: int, resolution: int) -> None:
    """Raise DiskFull before anything is written where `images` with their pyramid cannot fit."""
    needed = images * resolution**2 * 4 // 3
    existing = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"the import needs about {needed / 2**30:.1f} GiB and {existing} has {free / 2**30:.1f} GiB free; "
            "free some space, choose another --out or a smaller --resolution"
        )


def _foreign(out: Path) -> Iterator[Path]:
    return (p for p in out.iterdir() if p.name not in ("pseudonym.key", "truth.npz"))


def _saved_digest(path: Path) -> str | None:
    try:
        digest: str = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        return digest
    except (ValueError, KeyError):
        return None


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
