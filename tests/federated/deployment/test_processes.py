"""Processes that Flower's programs run in: environment, log, end."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from radcommons.federated.deployment import processes
from radcommons.federated.deployment.processes import Tail, end_left_over, free_port, is_free, running

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(99)"])
print("child", child.pid, flush=True)
time.sleep(99)
"""


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """Makes `running` run this code; returns the name to give it."""
    (folder / "planted.py").write_text(code)
    monkeypatch.setattr(processes, "PACKAGE", "")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "planted"


def wait_for_line(log: Path, text: str) -> str:
    for _ in range(300):
        if log.exists() and text in log.read_text():
            return log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{text!r} is not in {log}")


def test_a_process_and_its_children_end_with_the_context_though_they_ignore_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)
    name = module(tmp_path, monkeypatch, STUBBORN)
    with running(name, [], home=tmp_path, log=tmp_path / "log") as process:
        child = int(wait_for_line(tmp_path / "log", "child").split()[1])
    assert process.returncode == -signal.SIGKILL
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_ends_when_the_command_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(tmp_path, monkeypatch, "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(99)\n")
    code = (
        "import sys, time, pathlib\nfrom radcommons.federated.deployment import processes\n"
        "processes.PACKAGE = ''\nhere = pathlib.Path(sys.argv[1])\n"
        "with processes.running('planted', [], home=here, log=here / 'log'): time.sleep(99)\n"
    )
    source = str(Path(processes.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(tmp_path)])}
    command = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    child = int(wait_for_line(tmp_path / "log", "pid").split()[1])
    command.kill()
    command.wait()
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_flower_is_kept_from_the_network_the_home_folder_and_proxies_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    names = ["FLWR_HOME", "FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK", "NO_PROXY", "ADDED"]
    names.append("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION")
    name = module(tmp_path, monkeypatch, f"import os\nprint([os.environ[n] for n in {names}], flush=True)\n")
    with running(name, [], home=tmp_path / "flower", log=tmp_path / "log", added={"ADDED": "yes"}) as process:
        process.wait()
    proxies = "intranet.example,localhost,127.0.0.1,::1"
    assert eval((tmp_path / "log").read_text()) == [str(tmp_path / "flower"), "0", "1", proxies, "yes", "1"]


def test_a_port_is_free_once_nobody_listens() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)


def test_what_a_killed_command_of_this_folder_started_is_ended_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has a session of its own and ignores the signal, as one that waits for its connections."""
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)
    name = module(tmp_path, monkeypatch, STUBBORN.replace('"])', '"], start_new_session=True)'))
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    with running(name, [], home=elsewhere, log=tmp_path / "other") as other:
        with running(name, [], home=here, log=tmp_path / "log") as process:
            child = int(wait_for_line(tmp_path / "log", "child").split()[1])
            process.kill()
            process.wait()
            assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
            (tmp_path / "link").symlink_to(here)
            end_left_over(tmp_path / "link")
            assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        assert other.poll() is None


def test_the_tail_of_a_log_has_whole_lines_that_came_after_it_was_opened(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert Tail(log).lines() == []
    log.write_text("old\n")
    tail = Tail(log)
    with log.open("a") as file:
        file.write("\x1b[92mINFO \x1b[0m: new\nhal")
    assert tail.lines() == ["INFO : new"]
    with log.open("a") as file:
        file.write("f\n")
    assert tail.lines() == ["half"]
    assert tail.lines() == []
