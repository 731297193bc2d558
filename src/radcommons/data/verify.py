"""Check that a store's files are as imported, and list the damaged places."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from radcommons.data.pixels import pyramid
from radcommons.data.store import images_file, manifest_file, pixels_digest, read_record
from radcommons.progress import Track, silent
from radcommons.records import sha256_file

BLOCK = 64  # images read at a time


class Verification(NamedTuple):
    """Number of images in a store, and one line per fault."""

    images: int
    faults: list[str]


def verify(folder: Path, track: Track = silent) -> Verification:
    """Compare the manifest and the largest images with their digests, and the smaller images with the largest.

    Raises PathMissing or StoreRefused if `folder` is not a finished store; any other damage is a fault.
    """
    record = read_record(folder)
    digests, faults = _digests(folder, record.manifest_sha256)
    levels: dict[int, np.ndarray] = {}
    for resolution in record.resolutions:
        levels[resolution], fault = _readable(images_file(folder, resolution), record.images, resolution)
        faults += fault
    with track("Verifying", total=record.images) as advance:
        for first in range(0, record.images, BLOCK):
            rows = slice(first, min(record.images, first + BLOCK))
            faults += _damaged(levels, digests, rows)
            advance(rows.stop - rows.start)
    return Verification(record.images, faults)


def _digests(folder: Path, manifest_sha256: str) -> tuple[list[str] | None, list[str]]:
    """The digest of each row's largest image, or None and the fault."""
    path = manifest_file(folder)
    if not path.is_file():
        return None, ["manifest.parquet is missing"]
    if sha256_file(path) != manifest_sha256:
        return None, ["manifest.parquet is not the file that the import wrote"]
    return pl.read_parquet(path.read_bytes())["stored_sha256"].to_list(), []


def _readable(path: Path, images: int, side: int) -> tuple[np.ndarray, list[str]]:
    """The whole images that a file still has, uint8 (n, side, side), and a fault if some are missing."""
    nothing = np.empty((0, side, side), np.uint8)
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
    except FileNotFoundError:
        return nothing, [f"{path.name} is missing"]
    except (OSError, ValueError, EOFError):
        shape, fortran_order, dtype, start = (), False, np.dtype(np.uint8), 0
    if shape != (images, side, side) or fortran_order or dtype != np.uint8:
        return nothing, [f"{path.name}: its header is damaged"]
    whole = min(images, (path.stat().st_size - start) // side**2)
    fault = [f"{path.name} is truncated: rows {whole} to {images - 1} are lost"] if whole < images else []
    return np.memmap(path, np.uint8, "r", start, (whole, side, side)) if whole else nothing, fault


def _damaged(levels: dict[int, np.ndarray], digests: list[str] | None, rows: slice) -> list[str]:
    """Faults of a block of rows: compares each largest image with its digest, each smaller one with the largest."""
    largest = max(levels)
    block = np.asarray(levels[largest][rows])
    bad: set[int] = set()
    if digests is not None:
        bad = {i for i, image in enumerate(block) if pixels_digest(image) != digests[rows.start + i]}
    faults = [f"row {rows.start + i}: damaged at {largest} pixels" for i in sorted(bad)]
    for resolution, level in pyramid(block).items():
        stored = levels[resolution][rows]
        both = min(len(stored), len(level))
        differs = (stored[:both] != level[:both]).any(axis=(1, 2))
        damaged = sorted(set(np.flatnonzero(differs).tolist()) - bad)
        faults += [f"row {rows.start + i}: damaged at {resolution} pixels" for i in damaged]
    return faults
