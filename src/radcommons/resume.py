"""Results of a stopped command, so that the same command continues from there.

Records and arrays are kept in a folder of one request (`Kept`), rows that are made block by block in a file that grows
(`Rows`). A result with its own files is finished once its record is there (`record_of`). What cannot be read is
computed again.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike
from pydantic import BaseModel, TypeAdapter, ValidationError

from radcommons.files import UNREADABLE, put_whole, read_arrays, write_array, write_whole

M = TypeVar("M", bound=BaseModel)


class Rows:
    """Rows of one shape, written in order to a file without a header: its length tells how many there are.

    After a kill the last row may be incomplete; it does not count.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._path = path
        self._shape = shape
        self.dtype = np.dtype(dtype)
        self._bytes = self.dtype.itemsize * int(np.prod(shape))

    def __len__(self) -> int:
        return self._path.stat().st_size // self._bytes if self._path.is_file() else 0

    def write(self, first: int, rows: np.ndarray) -> None:
        """Write rows from number `first` on, at most `len`; they replace all rows from there on."""
        with self._path.open("ab") as file:
            file.truncate(first * self._bytes)
            file.write(np.ascontiguousarray(rows, self.dtype).data)

    def read(self) -> np.ndarray:
        """All rows, (n, *shape), memory-mapped."""
        count = len(self)
        if count == 0:
            return np.empty((0, *self._shape), self.dtype)
        return np.memmap(self._path, self.dtype, "r", shape=(count, *self._shape))


class Kept:
    """Named results of one request in a folder, each written whole."""

    def __init__(self, folder: Path, request: str | None = None) -> None:
        """Open the folder; remove its content first if it is of another request.

        Args:
            request: digest of all that the results depend on; None if the caller has already checked it.
        """
        self.folder = folder
        asked = folder / "request"
        if request is not None and not (asked.is_file() and asked.read_text(encoding="utf-8") == request):
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        if request is not None:
            write_whole(asked, request)

    def array(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array made once; memory-mapped."""
        path = self.folder / f"{name}.npy"
        try:
            array: np.ndarray = np.load(path, mmap_mode="r")
        except UNREADABLE:
            write_array(path, make())
            array = np.load(path, mmap_mode="r")
        return array

    def records(self, name: str, kind: type[M], make: Callable[[], list[M]]) -> list[M]:
        """Records made once."""
        adapter = TypeAdapter(list[kind])  # type: ignore[valid-type]
        path = self.folder / f"{name}.json"
        try:
            records: list[M] = adapter.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            records = make()
            write_whole(path, adapter.dump_json(records))
        return records

    def growing(
        self,
        name: str,
        shape: tuple[int, ...],
        blocks: Callable[[int], Iterator[tuple[int, np.ndarray]]],
        dtype: DTypeLike = np.uint8,
    ) -> np.ndarray:
        """An array made block by block, from the last whole row on; memory-mapped.

        `blocks(start)` yields the first row and the rows of each block from row `start` on, in order.
        """
        rows = Rows(self.folder / f"{name}.rows", shape[1:], dtype)
        if len(rows) < shape[0]:
            for first, block in blocks(len(rows)):
                rows.write(first, block)
        return rows.read()

    def put(self, name: str, **arrays: np.ndarray) -> None:
        """Save arrays in place of those saved before."""
        put_whole(self.folder / f"{name}.npz", lambda path: np.savez(path, allow_pickle=False, **arrays))

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """The arrays that `put` saved last; None if none can be read."""
        return read_arrays(self.folder / f"{name}.npz")

    def finish(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)


def record_of(path: Path, digest: str) -> dict[str, Any] | None:
    """The JSON record of finished results; None unless it is whole and its "digest" begins with `digest`."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record if record["digest"].startswith(digest) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
