"""Whether readers have begun: from then on nothing of a study changes. A file says so, whatever database there is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from radcommons.errors import PathInUse, StudyRefused
from radcommons.files import write_whole
from radcommons.folders import LOCK
from radcommons.study.design import SERVED

BEGUN = "begun"  # in the folder of the server; it is empty
SECONDS_FOR_A_LOCK = 20


def has_begun(folder: Path) -> bool:
    """Whether a reader has been shown an image of the study in this folder."""
    return (folder / SERVED / BEGUN).exists()


def close(folder: Path) -> None:
    """Readers begin: wait for a change that is under way; there is none after it."""
    with _alone(folder):
        write_whole(folder / SERVED / BEGUN, b"")


@contextmanager
def open_to_changes(folder: Path) -> Iterator[None]:
    """Hold a study while it is changed: no other process or thread changes it, and no reader begins.

    Raises:
        StudyRefused: a reader has begun.
    """
    with _alone(folder):
        if has_begun(folder):
            raise StudyRefused(f"{folder}: readers have begun, so nothing is changed any more; make another study")
        yield


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK, timeout=SECONDS_FOR_A_LOCK, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise PathInUse(f"another process changes {folder}; wait for it, or stop it") from None
    try:
        yield
    finally:
        lock.release()
