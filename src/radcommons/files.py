"""Files that are whole or not there, and files that a kill may have left damaged."""

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def put_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file that takes the place of `path` once it is whole and on the disk.

    A kill or a power cut leaves the old one, or none, or all of the new one.
    """
    temporary = path.with_name(path.name + ".partial")
    write(temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_whole(path: Path, content: str | bytes) -> None:
    """`put_whole` of text, as UTF-8, or bytes."""
    data = content.encode() if isinstance(content, str) else content
    put_whole(path, lambda target: target.write_bytes(data))


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of an .npz file by name; None where it is gone, empty, cut short or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE:
        return None
