"""A client of a federation: a SuperNode beside a store, until its ClientApp says that the training is finished."""

import contextlib
import re
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import tomli_w

from radcommons.errors import BadInput, FederationFailed, PathInUse, PathMissing
from radcommons.federated.deployment.apps import FINISHED, FLOWER, OTHER_APP, Apps, loaded
from radcommons.federated.deployment.keys import client_fingerprint
from radcommons.federated.deployment.processes import NOISE, Tail, end_left_over, free_port, running
from radcommons.files import write_whole
from radcommons.folders import alone_in, holds_other_than

LOG, APP_LOG, NODE, SECRET = "client.log", "app.log", "node.toml", "secret"
POLL = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2"}  # seconds; 0.05 costs a twelfth of a core
RESTART_SECONDS = 5.0
ONLINE_SECONDS = 75.0  # a server believes for up to 60 s that a killed client is there, and lets no second one in
LEAVE_SECONDS = 120.0  # after the end, for a server that has not fetched the last reply

ROUND = re.compile(r"\[RUN \d+, ROUND (.+)\]$")
RECEIVED, SENT = "Received successfully", "Sent successfully"
CONNECTED, LOST, AGAIN = "SuperNode ID:", "Connection attempt failed", "Connection successful"
NOT_LET_IN = "Failed to activate SuperNode"
OTHER_SERVER = re.compile(r"CERTIFICATE_VERIFY_FAILED.*?: (.*?) \(_ssl")

Say = Callable[[str], None]
Start = Callable[[], contextlib.AbstractContextManager[subprocess.Popen[bytes]]]


def join(
    store: Path,
    run: Path,
    *,
    server: str,
    certificate: Path,
    key: Path,
    limits: Path | None = None,
    apps: Apps = Apps(),  # noqa: B008
    say: Say = print,
) -> None:
    """Take part in a federation until its training is finished; reconnect whenever the server goes and comes back.

    The ClientApp finds `store`, `run` and `limits` ("" for none) in its `context.node_config`: absolute paths that come
    from this machine alone.

    Args:
        run: folder of the client's results; Flower's own files go to `flower` in it.
        server: HOST:PORT.
        certificate: the server's `ca.pem`.
        key: the client's private key.
        say: is given each line that the ClientApp prints, and what happens to the connection.
    Raises:
        BadInput: a file is missing or wrong, the run's folder holds something else, the server is another one, or it
            does not know the key.
        FederationFailed: the server sends another program, or this one cannot run.
    """
    if not re.fullmatch(r".+:\d+", server):
        raise BadInput(f"--server is {server}; it must be HOST:PORT, e.g. federation.example.org:8443")
    for path in (certificate, *([limits] if limits else [])):
        if not path.is_file():
            raise PathMissing(f"{path} is not a file")
    own = client_fingerprint(key)
    loaded(apps.check_client)(store, limits)
    home = (run / FLOWER).absolute()
    finished, log, app_log = run / FINISHED, home / LOG, home / APP_LOG
    if not (home / NODE).exists() and holds_other_than(run):
        raise PathInUse(f"{run} already holds something else; choose another --out")
    if finished.exists():
        say(f"{run}: the training is finished; another one needs another --out")
        return
    not_let_in_since = None
    with alone_in(home, private=True):
        end_left_over(home)
        paths = {"store": store, "run": run, "limits": limits}
        node = {name: str(path.absolute()) if path else "" for name, path in paths.items()}
        write_whole(home / NODE, tomli_w.dumps(node))
        write_whole(home / SECRET, secrets.token_bytes(32))
        while not finished.exists():
            port = str(free_port())
            secret = ["--superexec-auth-secret-file", str(home / SECRET)]
            supernode = [
                *(apps.server, apps.client),
                *("--superlink", server, "--root-certificates", str(certificate)),
                *("--auth-supernode-private-key", str(key), "--node-config", str(home / NODE)),
                *("--isolation", "process", "--host", "127.0.0.1", "--port", port, *secret),
            ]
            executor = [apps.client, "--runtime-api-address", f"127.0.0.1:{port}", "--insecure", *secret]
            seen = _Connection(finished, Tail(log), Tail(app_log), server, say)
            executor_status = seen.until_it_ends(
                lambda: running("supernode", supernode, home=home, log=log),  # noqa: B023
                lambda: running("executor", executor, home=home, log=app_log, added=POLL),  # noqa: B023
            )
            if OTHER_APP in seen.output:
                raise FederationFailed(
                    f"{server} sends another program than the installed one, which was not run; "
                    "install the same version of RadCommons as the server's"
                )
            if found := OTHER_SERVER.search(seen.output):
                raise BadInput(f"{server} is not the server of {certificate}: {found[1]}; ask its operator for ca.pem")
            if executor_status == 1:
                raise FederationFailed(f"the client's program ended: {seen.last_of_app}; see {app_log}")
            if NOT_LET_IN in seen.output:
                if not_let_in_since is None:
                    not_let_in_since = time.monotonic()
                    say(f"{server} does not let the key {own} in, yet: it is unknown or was connected a moment ago")
                elif time.monotonic() - not_let_in_since > ONLINE_SECONDS:
                    raise BadInput(f"{server} does not know the key {own}; give {key}.pub to the server's operator")
            elif not seen.let_in:
                raise FederationFailed(f"Flower's SuperNode did not start; see {log}")
            else:
                not_let_in_since = None
            if not finished.exists():
                time.sleep(RESTART_SECONDS)
    say(f"{run}: the training is finished")


class _Connection:
    """One SuperNode, its ClientApps, and in words what their logs mean."""

    def __init__(self, finished: Path, node: Tail, app: Tail, server: str, say: Say) -> None:
        self._finished, self._node, self._app, self._server, self._say = finished, node, app, server, say
        self._round, self._lost = "", False
        self.let_in = False
        self.output = ""  # of the SuperNode
        self.last_of_app = "no message"

    def until_it_ends(self, supernode: Start, executor: Start) -> int | None:
        """Return when a process ends, or when the server has gone after the training is finished.

        Returns:
            Exit status of the executor, if it has ended.
        """
        deadline = None
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(supernode())]
            while all(process.poll() is None for process in processes):
                if self.let_in and len(processes) == 1:
                    processes.append(stack.enter_context(executor()))
                self._read()
                if self._finished.exists():
                    if deadline is None:  # a server that was away before may still wait for the last reply
                        deadline, self._lost = time.monotonic() + LEAVE_SECONDS, False
                    if self._lost or time.monotonic() > deadline:
                        break
                time.sleep(0.2)
            self._read()
            return processes[1].poll() if len(processes) > 1 else None

    def _read(self) -> None:
        for line in self._app.lines():
            if not NOISE.match(line):
                self.last_of_app = line
                self._say(line)
        for line in self._node.lines():
            self.output += line + "\n"
            self._show(line)

    def _show(self, line: str) -> None:
        if found := ROUND.search(line):
            self._round = found[1]
        elif RECEIVED in line:
            self._is_there()
            self._say(f"{self._round}: received")
        elif SENT in line:
            self._say(f"{self._round}: sent")
        elif CONNECTED in line:
            self.let_in, self._lost = True, False
            self._say(f"connected to {self._server}")
        elif AGAIN in line:
            self._is_there()
        elif LOST in line and not self._lost:
            if not self._finished.exists():
                self._say(f"{self._server} does not answer; trying again until it does")
            self._lost = True

    def _is_there(self) -> None:
        if self._lost and self.let_in:
            self._say(f"connected to {self._server} again")
        self._lost = False
