"""The folder of an unfinished audit: what has been worked out lies there, so that the same command goes on."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter

from radcommons.errors import PathInUse
from radcommons.files import put_whole, write_whole
from radcommons.folders import claim
from radcommons.records import AuditReport

REPORT = "audit.json"
PAGE = "report.html"
M = TypeVar("M", bound=BaseModel)


class Work:
    """Results of an audit's stages, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, out: Path, request: Mapping[str, Any]) -> "Work":
        """Begin or continue the audit of a request in `out`; raises PathInUse where it holds anything else."""
        claim(out, request, file=".audit/request.json")
        out.chmod(0o700)  # films will be seen on its page, and the folder may have been there
        return cls(out / ".audit")

    def array(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array made once; memory-mapped."""
        path = self.folder / f"{name}.npy"
        if not path.is_file():
            made = make()
            put_whole(path, lambda target: _save(target, made))
        array: np.ndarray = np.load(path, mmap_mode="r")
        return array

    def growing(
        self,
        name: str,
        shape: tuple[int, ...],
        blocks: Callable[[int], Iterator[tuple[int, np.ndarray]]],
        dtype: type[np.generic] = np.uint8,
    ) -> np.ndarray:
        """An array made block by block, going on after the last whole block.

        `blocks(start)` yields the first row and the rows of each block from row `start` on.
        """
        path, count = self.folder / f"{name}.npy", self.folder / f"{name}.done"
        done = int(count.read_text()) if count.is_file() else 0
        if done == 0:
            put_whole(path, lambda target: np.lib.format.open_memmap(target, "w+", dtype, shape).flush())
        array: np.ndarray = np.lib.format.open_memmap(path, "r+")
        if done < shape[0]:
            for first, rows in blocks(done):
                array[first : first + len(rows)] = rows
                done = first + len(rows)
                array.flush()  # type: ignore[attr-defined]
                write_whole(count, str(done))
        return array

    def records(self, name: str, kind: type[M], make: Callable[[], list[M]]) -> list[M]:
        """Records made once."""
        adapter = TypeAdapter(list[kind])  # type: ignore[valid-type]
        path = self.folder / f"{name}.json"
        if not path.is_file():
            write_whole(path, adapter.dump_json(make()))
        records: list[M] = adapter.validate_json(path.read_bytes())
        return records

    def finish(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)


def finished_report(out: Path) -> AuditReport | None:
    """The report of a finished audit in `out`, None where there is none; raises PathInUse where it is damaged."""
    path = out / REPORT
    return AuditReport.read(path, refused=PathInUse, remedy="choose another --out") if path.is_file() else None


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)
