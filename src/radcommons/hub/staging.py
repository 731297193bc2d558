"""Where a deposit lies until it is published; nothing of it is public."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from filelock import FileLock, Timeout

from radcommons.hub.models import Deposit

SECONDS_FOR_A_TURN = 20.0  # that one request waits for another of the same deposit


def staging(deposit: Deposit) -> Path:
    """The folder of a deposit, which may not exist."""
    folder: Path = settings.RADCOMMONS_DATA / "staging" / deposit.pk
    return folder


def staged(deposit: Deposit) -> Path:
    """Its package."""
    return staging(deposit) / "package"


@contextmanager
def in_turn(deposit: Deposit) -> Iterator[None]:
    """One request at a time changes a deposit, and sees its newest state; raises Timeout."""
    staging(deposit).mkdir(parents=True, exist_ok=True)
    with FileLock(staging(deposit) / ".lock", timeout=SECONDS_FOR_A_TURN):
        deposit.refresh_from_db()
        yield


@contextmanager
def examined_here(deposit: Deposit) -> Iterator[bool]:
    """Whether this process alone examines a deposit now; the system frees the lock of a process that is killed."""
    staging(deposit).mkdir(parents=True, exist_ok=True)
    lock = FileLock(staging(deposit) / ".examined")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        deposit.refresh_from_db()
        yield True
    finally:
        lock.release()


def size_here(path: Path) -> int:
    """Bytes of a file that came in so far."""
    return path.stat().st_size if path.is_file() else 0
