"""Flower's programs as processes of a command: their environment, their log, and their end."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from radcommons.errors import ExtraMissing
from radcommons.signals import ends_with_parent

try:
    import psutil
except ModuleNotFoundError:
    raise ExtraMissing("federated training needs", "federated") from None

SET_BY_US = {
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
}
STARTED_FOR = (
    "RADCOMMONS_STARTED_FOR"  # in the environment of all that a command starts: the folder of its Flower files
)
LOOPBACK = "localhost,127.0.0.1,::1"
PACKAGE = "radcommons.federated.deployment."
GRACE_SECONDS = 10.0
NOISE = re.compile(  # lines of Flower's that say nothing to who runs the command
    r"(DEBUG|INFO|WARNING) ?:|Successfully installed |ServerApp finished|\[flwr-|\s*$|ERROR ?:\s+Exit Code|"
    r"An unhandled exception|For more information|Traceback |  "
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.contextmanager
def running(
    module: str, arguments: Sequence[str], *, home: Path, log: Path, added: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A module of Flower's as a process, which is ended with all its children at the end of the context.

    It also ends when this process is killed.

    Args:
        home: folder of all that Flower keeps.
        log: file to which all output is added.
        added: variables of the environment.
    """
    command = [sys.executable, "-P", "-m", f"{PACKAGE}{module}", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(home) | dict(added or {}),
            start_new_session=True,  # Ctrl-C in the terminal reaches this process only
            preexec_fn=ends_with_parent,
        )
    try:
        yield process
    finally:
        _end(process)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a port can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def end_left_over(home: Path) -> None:
    """End what an earlier command of this folder has started, if it was killed.

    A SuperLink that is still ending would share its database with the next one, and its SuperExec would take the tasks
    of that one.
    The caller holds the folder, so there is no other command of it.
    """
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(STARTED_FOR) == str(home.resolve()):
                left.append(process)
    _end_all(left)


class Tail:
    """What is added to a log from now on, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The whole lines since the last call, without colours; none while there is no file."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [COLOURS.sub("", line.decode(errors="replace")).rstrip() for line in whole]


def _environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    proxies = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    own = {"FLWR_HOME": str(home), STARTED_FOR: str(home.resolve())}
    return {**os.environ, **SET_BY_US, **own, "PATH": path, "NO_PROXY": proxies, "no_proxy": proxies}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process and all its children to end, and kill those that do not."""
    children = []
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _end_all(children)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
