"""A folder is one process's at a time, whatever became of those before, and nobody else writes to what is in it."""

import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from radcommons import folders
from radcommons.errors import DiskFull, PathInUse
from radcommons.folders import LOCK, alone_in, holds_other_than

HOLDING = """
import sys, time
from pathlib import Path
from radcommons.folders import alone_in
with alone_in(Path(sys.argv[1]), private=True):
    Path(sys.argv[1], "held").touch()
    while True:
        time.sleep(1)
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "PATIENCE_SECONDS", 0)


@pytest.fixture
def everybody() -> Iterator[None]:
    """A umask of 0, under which a program's own care is all there is."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_second_process_is_refused_in_one_line_until_the_first_is_killed(
    tmp_path: Path, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    other = start([sys.executable, "-c", HOLDING, out])
    other.wait_until((out / "held").exists)
    with monkeypatch.context() as patched:
        patched.setattr(folders, "PATIENCE_SECONDS", 0)
        with pytest.raises(PathInUse, match=r"^another process writes to .*/out; wait for it, .* another --out$"):
            with alone_in(out, private=True):
                pytest.fail("two at once")
    other.process.send_signal(signal.SIGKILL)
    assert other.end()[0] == -signal.SIGKILL and (out / LOCK).exists(), "what a kill leaves holds nobody up"
    with alone_in(out, private=True):
        (out / "mine").touch()
    assert sorted(path.name for path in out.iterdir()) == ["held", "mine"], "no lock is left to be shared"


def test_one_folder_may_be_held_inside_another_and_not_twice(tmp_path: Path, impatient: None) -> None:
    with alone_in(tmp_path, private=False), alone_in(tmp_path / "run", private=True):
        with pytest.raises(PathInUse, match="another process writes to"), alone_in(tmp_path, private=False):
            pytest.fail("two at once")


def test_a_folder_that_stays_empty_goes_again_with_those_made_above_it(tmp_path: Path) -> None:
    with alone_in(tmp_path / "a" / "b", private=False):
        assert holds_other_than(tmp_path) and not holds_other_than(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with (
        pytest.raises(PathInUse, match="out is a file; choose another --out"),
        alone_in(tmp_path / "out", private=True),
    ):
        pytest.fail("a file")
    assert (tmp_path / "out").read_text() == "mine" and holds_other_than(tmp_path / "out")


def failing(code: int) -> Callable[..., None]:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return acquire


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_is_named_and_gets_no_lock_that_would_outlive_a_kill(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import filelock._unix

    monkeypatch.setattr(filelock._unix, "lock_fd_nonblocking", failing(code))
    with alone_in(tmp_path, private=True):
        assert list(tmp_path.iterdir()) == []
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}: its file system cannot lock files (")
    assert line.endswith("; make sure that no other process writes there")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_finished_folder_that_may_only_be_read_is_opened(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", failing(code))
    with alone_in(tmp_path, private=True):
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", failing(errno.ENOSPC))
    with pytest.raises(DiskFull, match="is full; free some space and run the same command again"):
        with alone_in(tmp_path / "out", private=True):
            pytest.fail("no room")
    assert not (tmp_path / "out").exists()


def test_nobody_else_reads_what_is_private_or_writes_what_is_shared(tmp_path: Path, everybody: None) -> None:
    for private, folder_mode, file_mode in ((True, 0o700, 0o600), (False, 0o755, 0o644)):
        out = tmp_path / "above" / str(private)
        with alone_in(out, private=private):
            (out / "file").touch()
            (out / "inner").mkdir()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (out, *out.iterdir())}
        assert modes == {out.name: folder_mode, "inner": folder_mode, "file": file_mode}
        assert stat.S_IMODE(out.parent.stat().st_mode) == 0o755, "what lies above is not of one command only"
    (tmp_path / "after").touch()
    assert stat.S_IMODE((tmp_path / "after").stat().st_mode) == 0o666, "the caller's umask is its own again"


def test_a_stricter_umask_is_kept(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with alone_in(tmp_path / "out", private=False):
            (tmp_path / "out" / "file").touch()
        assert stat.S_IMODE((tmp_path / "out" / "file").stat().st_mode) == 0o600
    finally:
        os.umask(before)
