"""A folder is one process's at a time, whatever became of those before, and nobody else writes to what is in it."""

import errno
import json
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
from radcommons.folders import LOCK, alone_in, claim, holds_other_than

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


def test_the_same_request_goes_on_and_another_is_told_what_differs(tmp_path: Path) -> None:
    asked = {"store": "0123abcd" * 8, "part": "test", "findings": ("Edema",), "seed": 0}
    with alone_in(tmp_path / "out", private=True):
        for _ in range(2):
            claim(tmp_path / "out", asked)
            (tmp_path / "out" / "result").write_text("mine")
    other = {**asked, "store": "4567" * 16, "findings": ("Edema", "Mass"), "new": None}
    with pytest.raises(PathInUse) as refused:
        claim(tmp_path / "out", other)
    assert str(refused.value) == (
        f"{tmp_path / 'out'} was begun with store = 0123abcd..., not 45674567...; "
        'findings = ["Edema"], not ["Edema", "Mass"]; use those, or choose another --out'
    )
    (tmp_path / "out" / "request.json").write_text("[")
    with pytest.raises(PathInUse, match=r"request\.json is damaged; choose another --out$"):
        claim(tmp_path / "out", asked)
    assert (tmp_path / "out" / "result").read_text() == "mine"


def test_requests_of_one_digest_are_the_same_and_where_only_the_digest_differs_it_is_not_shown(tmp_path: Path) -> None:
    claim(tmp_path, {"sha256": "a", "since": 2}, begun={"sha256": "a"})
    with pytest.raises(PathInUse, match="was begun with other data or settings; use those"):
        claim(tmp_path, {"sha256": "a", "name": "x"}, begun={"sha256": "b", "name": "x"})


def test_a_strangers_files_are_left_alone_and_what_a_kill_left_unfinished_is_no_strangers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PathInUse, match="file is a file; choose another --out"):
        claim(tmp_path / "file", {})
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        claim(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    claim(tmp_path, {}, ours={"file"}, file=None)
    (tmp_path / "file").rename(tmp_path / "request.partial.json")
    claim(tmp_path, {"seed": 1})
    assert json.loads((tmp_path / "request.json").read_text()) == {"seed": 1}


def test_a_request_of_which_nothing_came_leaves_the_folder_free(tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "request.json").write_text('{"seed": 2}')
    claim(tmp_path / "killed", {"seed": 1})
    assert json.loads((tmp_path / "killed" / "request.json").read_text()) == {"seed": 1}
    for theirs in ('{"to": "you"}', "[]", "mine"):
        (tmp_path / "killed" / "request.json").write_text(theirs)
        with pytest.raises(PathInUse), alone_in(tmp_path / "killed", private=True):
            claim(tmp_path / "killed", {"seed": 1})
        assert (tmp_path / "killed" / "request.json").read_text() == theirs, "a stranger's"
    (tmp_path / "killed" / "request.json").unlink()
    (tmp_path / "killed").rmdir()
    for out in (tmp_path / "new", tmp_path):
        with pytest.raises(ZeroDivisionError), alone_in(out, private=True):
            claim(out, {"seed": 1})
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


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


def test_a_disk_that_fills_up_while_a_folder_is_written_to_is_the_same_line(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="out is full; free some space and run the same command again"):
        with alone_in(tmp_path / "out", private=True):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
