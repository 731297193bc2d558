"""Any signal to stop is heard by every command: one line, status 130, nothing finished is lost."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.gan.settings import TrainSettings
from radcommons.gan.training import train
from radcommons.signals import STOP_SIGNALS

RADCOMMONS = [sys.executable, "-m", "radcommons"]
STOPPED = "radcommons: stopped; run the same command again to continue"
Start = Callable[..., Any]
Tiny = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def generator(phantom_store: Store, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(phantom_store, tiny(total_images=64), out)
    return out


@pytest.fixture
def training(phantom_store: Store, tiny: Tiny, tmp_path: Path, start: Start) -> Any:
    """A training that no test waits for the end of, under way, with no checkpoint yet."""
    tiny(total_images=10**8, images_per_phase=10**6, checkpoint_every=10**8, samples_every=10**8).save(
        tmp_path / "long.toml"
    )
    command = [*RADCOMMONS, "train", phantom_store.path, "--out", tmp_path / "run", "--config", tmp_path / "long.toml"]
    begun = start(command)
    log = tmp_path / "run" / "log.jsonl"
    begun.wait_until(lambda: log.exists() and log.read_text())
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    return begun


@pytest.mark.slow
@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_training_saves_at_any_of_them(number: signal.Signals, training: Any, tmp_path: Path) -> None:
    training.signal_all(number)
    status, out, err = training.end()
    assert (status, err.splitlines()[-2:]) == (130, ["stopping after this step ...", STOPPED])
    assert "stopped and saved at" in out
    assert (tmp_path / "run" / "checkpoint.pt").exists() and (tmp_path / "run" / "generator").is_dir()


def test_a_scheduler_may_say_so_more_than_once(training: Any, tmp_path: Path) -> None:
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
        training.signal_all(number)
    status, _, err = training.end()
    assert (status, err.splitlines()[-2:]) == (130, ["stopping after this step ...", STOPPED])
    assert err.count("stopping") == 1 and (tmp_path / "run" / "checkpoint.pt").exists()


ONE_LONG_STEP = """
import sys, time
from pathlib import Path
from radcommons.cli import run
from radcommons.gan.recipes.progan.training import ProganTraining
def step(*_, **__):
    Path(sys.argv[1]).touch()
    while True:
        time.sleep(0.01)
ProganTraining.step = step
sys.exit(run(sys.argv[2:]))
"""


def test_a_second_ctrl_c_ends_at_once(phantom_store: Store, tiny: Tiny, tmp_path: Path, start: Start) -> None:
    tiny().save(tmp_path / "config.toml")
    command = ["train", phantom_store.path, "--out", tmp_path / "run", "--config", tmp_path / "config.toml"]
    begun = start([sys.executable, "-c", ONE_LONG_STEP, tmp_path / "in the step", *command])
    begun.wait_until((tmp_path / "in the step").exists)
    begun.signal_all(signal.SIGINT)
    assert "stopping after this step ...\n" in iter(begun.process.stderr.readline, "")
    begun.signal_all(signal.SIGINT)
    assert begun.end()[0] == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_a_set_keeps_the_images_that_are_done(
    number: signal.Signals, generator: Path, tmp_path: Path, start: Start
) -> None:
    begun = start([*RADCOMMONS, "generate", generator, "--out", tmp_path / "set", "-n", "1000000"])
    rows = tmp_path / "set" / ".partial" / "images.rows"
    begun.wait_until(lambda: rows.exists() and rows.stat().st_size > 0)  # after the first images
    begun.signal_all(number)
    status, out, err = begun.end()
    assert (status, out, err.splitlines()[-1]) == (130, "", STOPPED) and "Traceback" not in err
    assert (tmp_path / "set" / "images" / "00000000.png").exists() and rows.exists()
    assert not (tmp_path / "set" / ".lock").exists()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the worker processes")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_workers_neither_die_of_it_nor_outlive_the_command(
    number: signal.Signals, tmp_path: Path, start: Start
) -> None:
    out = tmp_path / "store"
    options = ["--patients", "20000", "--resolution", "256", "--workers", "2"]
    begun = start([*RADCOMMONS, "data", "phantom", "--out", out, *options])
    journal = out / ".import" / "journal.jsonl"
    begun.wait_until(lambda: journal.exists() and journal.stat().st_size)
    workers = children(begun.process.pid)
    assert len(workers) == 2
    begun.signal_all(number)
    status, _, err = begun.end()  # which waits for the workers: they hold the pipes
    assert (status, err.splitlines()[-1]) == (130, STOPPED), err
    assert "Traceback" not in err and "memory" not in err
    assert not [pid for pid in workers if alive(pid)]


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(pid) for path in listed for pid in path.read_text().split()]
    return [pid for pid in found if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


IN_A_TERMINAL = """
import fcntl, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from radcommons.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_closed_terminal_saves_though_nothing_can_be_printed(
    phantom_store: Store, tiny: Tiny, tmp_path: Path
) -> None:
    settings, run_folder = tmp_path / "long.toml", tmp_path / "run"
    tiny(total_images=10**8, images_per_phase=10**6, checkpoint_every=10**8, samples_every=10**8).save(settings)
    command = ["train", phantom_store.path, "--out", run_folder, "--config", settings]
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", IN_A_TERMINAL, *map(str, command)]
    process = subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        while not (run_folder / "log.jsonl").exists() or not (run_folder / "log.jsonl").read_text():
            if select.select([ours], [], [], 0.01)[0]:
                os.read(ours, 4096)
            assert process.poll() is None
        os.close(ours)
        assert process.wait() == 130
        assert (run_folder / "checkpoint.pt").exists() and not (run_folder / ".lock").exists()
    finally:
        process.kill()
        process.wait()


def test_nohup_keeps_a_command_from_a_closed_terminal(generator: Path, tmp_path: Path, start: Start) -> None:
    ignoring = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    program = ignoring + "from radcommons.cli import run; sys.exit(run(sys.argv[1:]))"
    command = ["generate", generator, "--out", tmp_path / "set", "-n", "3000"]
    begun = start([sys.executable, "-c", program, *command])
    begun.wait_until((tmp_path / "set" / "images" / "00000000.png").exists)
    begun.signal_all(signal.SIGHUP)
    assert begun.end()[0] == 0 and (tmp_path / "set" / "provenance.json").exists()


def test_a_command_leaves_the_handlers_of_its_caller(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    assert run(["data", "info", str(tmp_path)]) == 2
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


SIGNALLED_AT_EXIT = """
import atexit, os, signal, sys
atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
from radcommons.cli import main
main()
"""


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["data", "info", "absent"], 2)])
def test_a_signal_after_the_work_does_not_replace_its_status(arguments: list[str], status: int, start: Start) -> None:
    begun = start([sys.executable, "-c", SIGNALLED_AT_EXIT, *arguments])
    assert begun.end()[0] == status
