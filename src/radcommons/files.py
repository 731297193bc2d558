"""Files and folders are written whole or not at all; damaged files and a full disk are recognised."""

import contextlib
import errno
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from radcommons.errors import DiskFull, RadCommonsError

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
PARTIAL = ".partial"  # at the end of an unfinished file's name, before the suffix
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
NO_ROOM_SAID = re.compile(r"No space left on device|quota exceeded|\d+ requested and \d+ written")  # numpy: the last


@contextlib.contextmanager
def full_disk_is_clear(folder: Path) -> Iterator[None]:
    """Turn what any library raises on a full disk into DiskFull: one line that names the folder and says what to do."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RadCommonsError) or not _is_full(error):
            raise
        raise DiskFull(f"the disk of {folder} is full; free some space and run the same command again") from None


def put_whole(
    path: Path, write: Callable[[Path], object], *, previous: Path | None = None, on_disk: bool = True
) -> None:
    """Let `write` make a file, which replaces `path` once it is whole and on the disk.

    After a kill or a power cut the old file is there, or none, or the whole new one.

    Args:
        write: is given the path to write to, which has the suffix of `path`.
        previous: where to keep the old file; by default it is replaced.
        on_disk: whether to wait for the disk. Otherwise a power cut (but no kill) may leave a part of the new file.
    Raises:
        DiskFull: there is no room; the old one stays.
    """
    temporary = _partial(path)
    with full_disk_is_clear(path.parent):
        try:
            write(temporary)
            if on_disk:
                _to_disk(temporary)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)


def write_whole(path: Path, content: str | bytes, *, on_disk: bool = True) -> None:
    """`put_whole` of text, as UTF-8, or bytes."""
    data = content.encode() if isinstance(content, str) else content
    put_whole(path, lambda target: target.write_bytes(data), on_disk=on_disk)


def write_array(path: Path, array: np.ndarray) -> None:
    """`put_whole` of an array, as an .npy file."""
    put_whole(path, lambda target: np.save(target, array, allow_pickle=False))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """`put_whole` of arrays by name, as a compressed .npz file."""
    put_whole(path, lambda target: np.savez_compressed(target, allow_pickle=False, **arrays))


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill; it replaces `folder` once its files are whole and on the disk.

    Raises:
        DiskFull: there is no room; the old one stays.
    """
    new, old = _partial(folder), folder.with_name(f"{folder.name}.old")
    with full_disk_is_clear(folder.parent):
        for left in (new, old):  # by a kill
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            yield new
            for path in new.rglob("*"):
                if path.is_file():
                    _to_disk(path)
        except BaseException:
            shutil.rmtree(new)
            raise
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
        shutil.rmtree(old, ignore_errors=True)


def is_partial(path: Path) -> bool:
    """Whether `put_whole` or `whole_folder` had not finished this file or folder."""
    return path.stem.endswith(PARTIAL) and path.stem != PARTIAL


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of an .npz file by name; None if it is missing, empty, cut short or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE:
        return None


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _is_full(error: BaseException | None) -> bool:
    """Whether an error, or its cause, is about a full disk."""
    while error is not None:
        if getattr(error, "errno", None) in NO_ROOM or NO_ROOM_SAID.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
