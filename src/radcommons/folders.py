"""The folders that commands write: one process at a time, and who may read what lies in them."""

import contextlib
import errno
import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from radcommons.errors import DiskFull, PathInUse

logger = logging.getLogger(__name__)

LOCK = ".lock"  # in the folder while a process writes there; left by a kill, and then held by nobody
PATIENCE_SECONDS = 5.0  # with one that was just killed or stopped: its workers end soon after it
PRIVATE, SHARED = 0o077, 0o022  # umask of what stays in the hospital, and of what may leave it
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def alone_in(folder: Path, *, private: bool) -> Iterator[None]:
    """Hold `folder`, which is made where it is absent, for this process only, and set who may read what is written.

    The lock falls with the process, however that ends. A folder that was made and stays empty is removed again.

    Args:
        private: whether what is written is for its owner only, as all that is made of patients' films; else everybody
            may read it as far as the umask lets them. Nobody else may write in either case.
    Raises:
        PathInUse: another process holds the folder, or it is a file.
        DiskFull: there is no room to begin.
    """
    with contextlib.ExitStack() as stack:
        if folder.exists() and not folder.is_dir():
            raise PathInUse(f"{folder} is a file; choose another --out")
        try:
            for made in make_folder(folder, private=private):
                stack.callback(_remove_if_empty, made)
            stack.enter_context(readable_by_owner(private))
            _hold(folder, stack)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise DiskFull(f"the disk of {folder} is full; free some space and run the same command again") from None
        yield


def holds_other_than(folder: Path, ours: Collection[str] = ()) -> bool:
    """Whether `folder` is a file, or holds anything but `ours` and its lock."""
    if not folder.exists():
        return False
    return not folder.is_dir() or any(path.name != LOCK and path.name not in ours for path in folder.iterdir())


@contextlib.contextmanager
def readable_by_owner(private: bool) -> Iterator[None]:
    """Files and folders made in here are for the owner only, or else nobody else may write to them.

    Within what is private everything is. The umask is of the whole process.
    """
    before = os.umask(PRIVATE)
    if not private:
        os.umask(before | SHARED)
    try:
        yield
    finally:
        os.umask(before)


def make_folder(folder: Path, *, private: bool) -> list[Path]:
    """Make a folder, and those above it that are absent, which are never private; returns what was made, top first."""
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
            return  # nothing can be written here: what is finished can still be read
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
    """Remove the file, then the lock: in the other order, a process that has it by now would lose it."""
    with contextlib.suppress(OSError):  # Windows removes no open file
        path.unlink()
    lock.release()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
