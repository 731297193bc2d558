"""The store: one site's radiographs as memory-mapped arrays, one file per resolution, and a manifest.

On disk: ``store.json``, ``manifest.parquet``, ``images_0004.npy`` ... ``images_RRRR.npy`` (uint8, (N, R, R)),
``rejected.csv``, and ``pseudonym.key`` (secret; later imports with this key get the same pseudonyms).
A store never leaves the hospital.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from radcommons.data.listing import Part
from radcommons.errors import PathMissing, StoreRefused
from radcommons.records.store import PHANTOM, StoreRecord

JOURNAL_FOLDER = ".import"  # present while an import is unfinished


def images_file(folder: Path, resolution: int) -> Path:
    """Path of the images of one resolution."""
    return folder / f"images_{resolution:04d}.npy"


def manifest_file(folder: Path) -> Path:
    """Path of the manifest."""
    return folder / "manifest.parquet"


def pixels_digest(pixels: np.ndarray) -> str:
    """SHA-256 of an image's shape, type and pixels."""
    digest = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1).data)  # no copy
    return digest.hexdigest()


@dataclass(frozen=True)
class Store:
    """An opened store; images are read from the memory map on demand."""

    path: Path
    record: StoreRecord

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a finished store; raises PathMissing or StoreRefused with the next step."""
        path = Path(path)
        record = read_record(path)
        for resolution in record.resolutions:
            file = images_file(path, resolution)
            expected = (record.images, resolution, resolution)
            try:
                shape = np.load(file, mmap_mode="r").shape
            except (OSError, ValueError, EOFError):
                raise StoreRefused(f"{file} is missing or damaged; run 'radcommons data verify {path}'") from None
            if shape != expected:
                raise StoreRefused(
                    f"{file} has shape {shape}, store.json says {expected}; import again to a new folder"
                )
        return cls(path, record)

    @property
    def name(self) -> str:
        """The site's name."""
        return self.record.name

    @property
    def simulated(self) -> bool:
        """Whether all films are of the digital phantom, so that no patient is shown."""
        return self.record.source == PHANTOM

    @property
    def findings(self) -> tuple[str, ...]:
        """Canonical names in label order."""
        return self.record.findings

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4 ... the import's resolution."""
        return self.record.resolutions

    @cached_property
    def manifest(self) -> pl.DataFrame:
        """One row per image: row, image_id, patient, split, view, age, sex, one column per finding, two digests."""
        try:
            # bytes, because polars accepts only UTF-8 paths
            return pl.read_parquet(manifest_file(self.path).read_bytes())
        except (OSError, pl.exceptions.PolarsError):
            raise StoreRefused(
                f"{manifest_file(self.path)} is missing or damaged; restore it from a copy, or import to a new folder"
            ) from None

    def images(self, resolution: int) -> np.ndarray:
        """Memory map of one resolution, uint8 (N, resolution, resolution)."""
        if resolution not in self.resolutions:
            known = ", ".join(map(str, self.resolutions))
            raise StoreRefused(f"{self.path} has no images of side {resolution}; it has {known}")
        images: np.ndarray = np.load(images_file(self.path, resolution), mmap_mode="r")
        return images

    def rows(self, part: Part | None = None) -> np.ndarray:
        """Row numbers of one part of the split, ascending, int64; all rows if `part` is None."""
        if part is None:
            return np.arange(len(self.manifest))
        return np.flatnonzero((self.manifest["split"] == part).to_numpy())

    def labels(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Label matrix, float32 (n, findings): 1 present, 0 absent, NaN unknown."""
        columns = [self.manifest[f].cast(pl.Float32).fill_null(float("nan")).to_numpy() for f in self.findings]
        labels = np.stack(columns, axis=1) if columns else np.empty((len(self.manifest), 0), np.float32)
        return labels if rows is None else labels[rows]


def read_record(folder: Path) -> StoreRecord:
    """``store.json`` of a finished store; raises PathMissing or StoreRefused with the next step."""
    path = folder / "store.json"
    if not folder.is_dir():
        raise PathMissing(f"{folder} is not a folder; make a store with 'radcommons data import' or 'data phantom'")
    if not path.is_file():
        if (folder / JOURNAL_FOLDER).is_dir():
            raise StoreRefused(f"{folder} is an unfinished import; run the same import command again to finish it")
        raise StoreRefused(f"{folder} is not a store (no store.json)")
    return StoreRecord.read(
        path,
        refused=StoreRefused,
        remedy="restore it from a copy, or import again to a new folder",
        other_version="import again with this version, to a new folder",
    )
