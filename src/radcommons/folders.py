"""The folders that commands write: one process at a time, one request each, and who may read their files."""

import contextlib
import errno
import json
import logging
import os
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from radcommons.errors import PathInUse
from radcommons.files import full_disk_is_clear, is_partial, write_whole

logger = logging.getLogger(__name__)

REQUEST = "request.json"  # in a folder of results: what was asked for
LOCK = ".lock"  # in the folder while a process writes there; a killed process leaves the file, but does not hold it
PATIENCE_SECONDS = 5.0  # the workers of a process that was just killed or stopped end soon after it
PRIVATE, SHARED = 0o077, 0o022  # umask of what stays in the hospital, and of what may leave it
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def alone_in(folder: Path, *, private: bool) -> Iterator[None]:
    """Hold `folder` for this process only, making it if it is absent, and set who may read the new files.

    The system frees the lock when the process ends. A new folder that stays empty is removed again, and so is a request
    without any result.

    Args:
        private: whether only the owner may read what is written, as with all that is made of patients' films; otherwise
            everybody may, as far as the umask allows. Nobody else may write in either case.
    Raises:
        PathInUse: another process holds the folder, or it is a file.
        DiskFull: there is no room to begin, or later inside the block.
    """
    with full_disk_is_clear(folder), contextlib.ExitStack() as stack:
        if folder.exists() and not folder.is_dir():
            raise PathInUse(f"{folder} is a file; choose another --out")
        for made in make_folder(folder, private=private):
            stack.callback(_remove_if_empty, made)
        stack.enter_context(readable_by_owner(private))
        _hold(folder, stack)
        if not (folder / REQUEST).exists():
            stack.callback(_forget_request, folder)
        yield


def claim(
    folder: Path,
    request: Mapping[str, Any],
    *,
    file: str | None = REQUEST,
    begun: Mapping[str, Any] | None = None,
    ours: Collection[str] = (),
) -> None:
    """Begin a request in `folder`, or go on where the same one was begun; refuse a folder that holds anything else.

    Args:
        request: all that the results depend on: JSON values by name. It may contain a digest of all of it as "sha256":
            two requests with the same digest are the same.
        file: where in the folder the request is kept; None if the caller keeps it in its own format.
        begun: what was asked for in this folder, if the caller has read it from its own format.
        ours: names of files that may be there before the request is begun.
    Raises:
        PathInUse: the folder was begun with another request (the message says what differs), holds something else, or
            is a file. Nothing is changed then.
    """
    asked = json.loads(json.dumps(request))
    others = holds_other_than(folder, ours if file is None else {file, *ours})
    if begun is None and file is not None:
        begun = read_request(folder / file)
        if begun is not None and begun.keys() == asked.keys() and not others:
            begun = None  # a request of this kind, killed before its first result
    if begun is None:
        if folder.exists() and not folder.is_dir():
            raise PathInUse(f"{folder} is a file; choose another --out")
        if others:
            raise PathInUse(f"{folder} already holds something else; choose another --out")
        if file is not None:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / file, json.dumps(asked, indent=1))
        return
    if begun.get("sha256") == asked.get("sha256", ""):
        return
    differing = [name for name, value in asked.items() if begun.get(name) != value]
    if differing:
        named = [f"{n} = {_short(begun.get(n))}, not {_short(asked[n])}" for n in differing if n != "sha256"]
        changes = "; ".join(named) or "other data or settings"
        raise PathInUse(f"{folder} was begun with {changes}; use those, or choose another --out")


def read_request(path: Path) -> dict[str, Any] | None:
    """The request that `claim` keeps in a file; None if there is no file. Raises PathInUse for a damaged one."""
    if not path.is_file():
        return None
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise PathInUse(f"{path} is damaged; choose another --out")
    return request


def holds_other_than(folder: Path, ours: Collection[str] = ()) -> bool:
    """Whether `folder` holds anything but `ours`, its lock, and unfinished files of a killed process."""
    if not folder.is_dir():
        return folder.exists()
    return any(p.name != LOCK and p.name not in ours and not is_partial(p) for p in folder.iterdir())


@contextlib.contextmanager
def readable_by_owner(private: bool) -> Iterator[None]:
    """New files and folders are for the owner only if `private`; otherwise others may read them but not write.

    Inside a private block everything is private. The umask is that of the whole process.
    """
    before = os.umask(PRIVATE)
    if not private:
        os.umask(before | SHARED)
    try:
        yield
    finally:
        os.umask(before)


def make_folder(folder: Path, *, private: bool) -> list[Path]:
    """Make a folder and the absent ones above it, which are never private; returns the new folders, top first."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    for path in absent:
        with readable_by_owner(private and path == folder):
            path.mkdir(exist_ok=True)
    return absent


def _hold(folder: Path, stack: contextlib.ExitStack) -> None:
    """Lock `folder` until `stack` closes."""
    lock = FileLock(folder / LOCK, timeout=PATIENCE_SECONDS, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise PathInUse(f"another process writes to {folder}; wait for it, stop it, or choose another --out") from None
    except OSError as error:
        if error.errno in NOT_WRITABLE:
            return  # this process cannot write here, but it can read finished results
        if error.errno not in NO_LOCKS:
            raise
        (folder / LOCK).unlink(missing_ok=True)
        logger.warning(
            "%s: its file system cannot lock files (%s); make sure that no other process writes there",
            folder,
            error.strerror,
        )
        return
    stack.callback(_let_go, lock, folder / LOCK)


def _let_go(lock: FileLock, path: Path) -> None:
    """Remove the file, then release the lock: in the other order, another process could hold it and lose its file."""
    with contextlib.suppress(OSError):  # Windows removes no open file
        path.unlink()
    lock.release()


def _short(value: Any) -> str:
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1...", json.dumps(value, ensure_ascii=False).strip('"'))
    return textwrap.shorten(text, 120, placeholder=" ...")


def _forget_request(folder: Path) -> None:
    """Remove the request that `claim` wrote if there is no result: such a folder is free for any request."""
    if not holds_other_than(folder, {REQUEST}):
        (folder / REQUEST).unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
