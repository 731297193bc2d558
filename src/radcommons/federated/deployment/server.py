"""The server of a federation: a SuperLink with TLS, which knows its clients by their keys, and one run of the training.

The same call goes on after a kill: the database remembers the clients, the ServerApp its last round.
"""

import ipaddress
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from flwr.common.constant import Status, SubStatus
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    StreamLogsRequest,
    UnregisterNodeRequest,
)
from flwr.proto.run_pb2 import Run
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab

from radcommons.errors import BadInput, FederationFailed, PathMissing
from radcommons.federated.deployment.apps import CONFIG_VARIABLE, FLOWER, OUT_VARIABLE, Apps, loaded
from radcommons.federated.deployment.bundle import bundle
from radcommons.federated.deployment.keys import CA, CERTIFICATE, SERVER_KEY, fingerprint, read_public_keys
from radcommons.federated.deployment.processes import COLOURS, NOISE, Tail, end_left_over, is_free, running
from radcommons.folders import alone_in

LOG, TRAINING_LOG, DATABASE = "server.log", "training.log", "state.db"
START_SECONDS = 60.0
STREAM_SECONDS = 1.0  # until a broken stream of log lines is opened again
MOST_RUNS = 1000  # that are looked through for unfinished ones

FAILED = "ServerApp failed with exception: "
RAISED = re.compile(r"ERROR :\s+ServerApp raised an exception")
UNKNOWN_KEY = re.compile(r"public key: b'([^']+)', exception: No SuperNode found")

Say = Callable[[str], None]


def serve(
    config: Path,
    out: Path,
    *,
    certificates: Path,
    clients: Path,
    host: str = "0.0.0.0",
    port: int = 8443,
    apps: Apps = Apps(),  # noqa: B008
    say: Say = print,
) -> None:
    """Run a training of the federation to its end, then end every process that was started for it.

    Args:
        config: given to the ServerApp as an absolute path in the environment variable `CONFIG_VARIABLE`.
        out: folder of the results, given in `OUT_VARIABLE`; Flower's own files go to `flower` in it.
        certificates: folder made by `new_certificate`.
        clients: folder of the clients' public keys. No other is let in; nor is one whose file was removed since.
        host: address to listen on: 0.0.0.0 (all IPv4), :: (all IPv6), or a loopback address.
        say: is given each line that the ServerApp prints, and the keys of clients that are not let in.
    Raises:
        BadInput: a file or a setting is missing or wrong, or the port is taken.
        FederationFailed: the training did not end well; the message names the reason.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not (address.is_unspecified or address.is_loopback):
        raise BadInput(f"--host is {host}; it must be 0.0.0.0 (all IPv4), :: (all IPv6) or 127.0.0.1 (this machine)")
    for path in (config, *(certificates / name for name in (CA, CERTIFICATE, SERVER_KEY))):
        if not path.is_file():
            raise PathMissing(f"{path} is not a file; certificates come from 'radcommons federate keys --host NAME'")
    keys = read_public_keys(clients)
    loaded(apps.check_server)(config, out, len(keys))
    home = (out / FLOWER).absolute()
    log, training_log = home / LOG, home / TRAINING_LOG
    with alone_in(home, private=True):
        end_left_over(home)
        if not is_free(host, port):
            raise BadInput(f"port {port} of {host} is used by another program; choose another --port")
        arguments = [
            *("--host", host, "--port", str(port), "--database", str(home / DATABASE)),
            *("--ssl-ca-certfile", str(certificates / CA), "--ssl-certfile", str(certificates / CERTIFICATE)),
            *("--ssl-keyfile", str(certificates / SERVER_KEY), "--enable-supernode-auth"),
            "--disable-runtime-dependency-installation",
        ]
        variables = {CONFIG_VARIABLE: str(config.absolute()), OUT_VARIABLE: str(out.absolute())}
        with (
            running("superlink", arguments, home=home, log=log, added=variables) as superlink,
            _control(f"{'[::1]' if ':' in host else '127.0.0.1'}:{port}", certificates / CA, superlink, log) as control,
        ):
            _register(control, keys, say)
            for run in _runs(control):
                if run.status.status != Status.FINISHED:
                    control.StopRun(StopRunRequest(run_id=run.run_id))
            say(f"listening on {host}:{port} for {len(keys)} clients: {', '.join(keys)}")
            started = control.StartRun(StartRunRequest(fab=fab_to_proto(Fab("", bundle(apps), {}))))
            with _strangers_named(log, say):
                _follow(control, started.run_id, training_log, say, lambda: superlink.poll() is None)
            (run,) = (run for run in _runs(control) if run.run_id == started.run_id)
    if run.status.sub_status != SubStatus.COMPLETED:
        reason = run.status.details.removeprefix(FAILED) or run.status.sub_status
        raise FederationFailed(f"the training failed: {reason}; see {training_log}")


@contextmanager
def _control(address: str, ca: Path, superlink: subprocess.Popen[bytes], log: Path) -> Iterator[ControlHttpClient]:
    """The SuperLink's interface for its operator, once it answers."""
    client = ControlHttpClient.from_server_address(
        server_address=address, insecure=False, root_certificates=ca.read_bytes(), interceptors=[]
    )
    deadline = time.monotonic() + START_SECONDS
    with closing(client):
        while True:
            try:
                client.ListNodes(ListNodesRequest())
                break
            except httpx.TransportError as error:
                if superlink.poll() is not None or time.monotonic() > deadline:
                    raise FederationFailed(f"Flower's SuperLink did not start: {error}; see {log}") from None
            time.sleep(0.1)
        try:
            yield client
        except httpx.TransportError:
            raise FederationFailed(f"Flower's SuperLink ended; see {log}, and run the same command again") from None


def _register(control: ControlHttpClient, keys: dict[str, bytes], say: Say) -> None:
    """Make the registered clients those of `keys`."""
    nodes = {node.public_key: node for node in control.ListNodes(ListNodesRequest()).nodes_info}
    for name, key in keys.items():
        known = nodes.pop(key, None)
        if known is None:
            control.RegisterNode(RegisterNodeRequest(public_key=key, name=name))
        elif known.status == NodeStatus.UNREGISTERED:
            raise BadInput(f"the key of {name} was removed from this server before; ask for a new one")
    for node in nodes.values():
        if node.status != NodeStatus.UNREGISTERED:
            control.UnregisterNode(UnregisterNodeRequest(node_id=node.node_id))
            say(f"{node.name} (key {fingerprint(node.public_key)}) is no longer a client")


def _runs(control: ControlHttpClient) -> list[Run]:
    return list(control.ListRuns(ListRunsRequest(limit=MOST_RUNS)).run_dict.values())


def _follow(
    control: ControlHttpClient, run_id: int, training_log: Path, say: Say, is_there: Callable[[], bool]
) -> None:
    """Pass on what the ServerApp prints until it ends; its log file gets Flower's lines and the traceback too.

    Args:
        is_there: whether the SuperLink runs; then a broken stream is opened again.
    """
    with training_log.open("a", encoding="utf-8") as file:
        raised, latest, ended = False, 0.0, False
        while not ended:
            try:
                for part in control.StreamLogs(StreamLogsRequest(run_id=run_id, after_timestamp=latest)):
                    latest = part.latest_timestamp
                    text = COLOURS.sub("", part.log_output)
                    file.write(text)
                    file.flush()
                    for line in text.splitlines():
                        raised = raised or RAISED.match(line) is not None
                        if not raised and not NOISE.match(line):
                            say(line)
                ended = True
            except httpx.TransportError:
                time.sleep(STREAM_SECONDS)
                if not is_there():
                    raise


@contextmanager
def _strangers_named(log: Path, say: Say) -> Iterator[None]:
    """Say the fingerprint of each key that is not let in, once."""
    tail, ended, seen = Tail(log), threading.Event(), set()

    def watch() -> None:
        while not ended.wait(0.5):
            for line in tail.lines():
                if found := UNKNOWN_KEY.search(line):
                    key = fingerprint(found[1].replace("\\n", "\n").encode())
                    if key not in seen:
                        say(f"a client with the unknown key {key} was not let in")
                    seen.add(key)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
