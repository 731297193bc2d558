"""A federation of processes on this machine: TLS, keys, clients that come and go, a server that is killed."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

pytest.importorskip("flwr", reason="needs the extra 'federated'")

from flwr.common.constant import ErrorCode
from flwr.proto.control_pb2 import ListNodesRequest
from flwr.supercore.control import ControlHttpClient
from typer.testing import CliRunner

import radcommons
from radcommons.cli import federate
from radcommons.data.store import Store
from radcommons.errors import BadInput, KeyRefused, PathInUse, PathMissing, SettingRefused, StoreRefused
from radcommons.federated.deployment import server as server_module
from radcommons.federated.deployment.client import join
from radcommons.federated.deployment.keys import CLIENT_KEY, CLIENT_PUBLIC, new_certificate, new_client_key
from radcommons.federated.deployment.processes import free_port
from radcommons.federated.deployment.server import serve
from radcommons.federated.server import require_possible
from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.federated.simulation import simulate
from radcommons.models.generator import Generator

HERE = Path(__file__).parent
SITES = ("site-a", 'site b\'s "own"', "site-c")  # names that a shell, TOML and Flower's own parser would stumble over
START_SECONDS, ROUND_SECONDS = 240.0, 120.0  # most, on a busy machine


def left_over(folder: Path) -> list[psutil.Process]:
    """Processes, other than this one, that name a folder in their command."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(folder) in " ".join(process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


@dataclass
class Command:
    """One running command, with its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def says(self, text: str, seconds: float = START_SECONDS) -> None:
        wait_for(lambda: text in self.output or self.process.poll() is not None, seconds)
        assert text in self.output, f"{text!r} is not in:\n{self.output}"

    def ends(self, seconds: float = START_SECONDS) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end in {seconds:g} s:\n{self.output}")

    def kill_group(self) -> None:
        """As `kill -9 -- -PID`: what it started in sessions of their own lives on."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_family(self) -> None:
        """As if the machine had lost its power."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family[1:])
        self.process.wait()


@dataclass
class Federation:
    """A server and its clients in one folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    commands: list[Command] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)  # of the commands' environment

    @property
    def out(self) -> Path:
        return self.folder / "the server's results"

    @property
    def checkpoint(self) -> dict[str, int]:
        return json.loads((self.out / "checkpoint.json").read_text())

    def run_of(self, site: str) -> Path:
        return self.folder / "runs" / site

    def server(self, host: str = "127.0.0.1", **config: Any) -> Command:
        (self.folder / "config.json").write_text(json.dumps(config))
        return self.server_of("config.json", host)

    def server_of(self, config: str, host: str = "127.0.0.1") -> Command:
        words = ["server", str(self.folder / config), "--out", str(self.out), "--host", host]
        words += ["--certificates", str(self.folder / "keys/server"), "--clients", str(self.folder / "clients")]
        return self.start("server", *words, "--port", str(self.port))

    def client(self, site: str, server: str = "server", **variables: str) -> Command:
        return self.client_of(self.folder / "stores" / site, site, server, **variables)

    def client_of(self, store: Path, site: str, server: str = "server", *more: str, **variables: str) -> Command:
        words = ["client", str(store), "--out", str(self.run_of(site)), "--server", f"localhost:{self.port}", *more]
        words += ["--certificate", str(self.folder / "keys" / server / "ca.pem")]
        return self.start(site, *words, "--key", str(self.folder / "keys" / site / CLIENT_KEY), **variables)

    def start(self, name: str, *words: str, **variables: str) -> Command:
        log = self.folder / f"{name}-{len(self.commands)}.log"
        path = os.pathsep.join([str(HERE), str(Path(radcommons.__file__).parents[1])])
        command = [sys.executable, str(HERE / "toy_federation.py"), "federate", *words]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": path, **self.variables, **variables},
                start_new_session=True,
            )
        self.commands.append(Command(process, log))
        return self.commands[-1]

    def slow(self, site: str, seconds: float) -> None:
        number = {"add": 1 + SITES.index(site), "seconds": seconds}
        (self.folder / "stores" / site / "number.json").write_text(json.dumps(number))

    def nothing_is_left(self, seconds: float = 15.0) -> None:
        assert wait_for(lambda: not left_over(self.folder), seconds), left_over(self.folder)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    new_certificate(tmp_path / "keys" / "server", ["localhost", *own_addresses()])
    (tmp_path / "clients").mkdir()
    for site in SITES:
        new_client_key(tmp_path / "keys" / site)
        shutil.copy(tmp_path / "keys" / site / CLIENT_PUBLIC, tmp_path / "clients" / f"{site}.pub")
        (tmp_path / "stores" / site).mkdir(parents=True)
        made.slow(site, 0.0)
    try:
        yield made
    finally:
        for command in made.commands:
            if command.process.poll() is None:
                command.kill_family()
        for process in left_over(tmp_path):
            process.kill()


def own_addresses() -> list[str]:
    """Addresses of this machine that are not loopback."""
    found = [a.address for addresses in psutil.net_if_addrs().values() for a in addresses if a.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")]


@pytest.mark.slow
def test_three_clients_train_with_a_server_that_lets_in_no_other_and_all_say_when_it_is_done(
    federation: Federation,
) -> None:
    new_client_key(federation.folder / "keys" / "stranger")
    (federation.folder / "stores" / "stranger").mkdir()
    server = federation.server(host="0.0.0.0", clients=3, rounds=2)
    clients = [federation.client(site) for site in SITES]
    stranger = federation.client("stranger")
    server.says("listening on 0.0.0.0")
    stranger.says("does not let the key")
    fingerprint = stranger.output.split("does not let the key ")[1].split()[0]
    server.says(f"a client with the unknown key {fingerprint} was not let in")
    for address in own_addresses()[:1]:  # as another machine would: only the interface for clients answers
        with (
            contextlib.closing(control(federation, address)) as outside,
            pytest.raises(httpx.HTTPStatusError) as refused,
        ):
            outside.ListNodes(ListNodesRequest())
        assert refused.value.response.status_code == 403
    assert server.ends() == 0, server.output
    assert [client.ends() for client in clients] == [0, 0, 0], [client.output for client in clients]
    assert "round 2 of 2: x = 4, 3 replies" in server.output
    for site, client in zip(SITES, clients, strict=True):
        assert client.output.strip().endswith(f"{federation.run_of(site)}: the training is finished")
        assert (federation.run_of(site) / "rounds.txt").read_text().split() == ["1", "2"]
    stranger.process.send_signal(signal.SIGINT)
    assert stranger.ends() == 130
    assert stranger.output.strip().endswith("stopped; run the same command again to continue")
    federation.nothing_is_left()
    again = federation.client(SITES[0])
    assert again.ends() == 0
    assert (
        again.output.strip()
        == f"{federation.run_of(SITES[0])}: the training is finished; another one needs another --out"
    )
    assert not (Path.home() / ".flwr" / "apps").exists() or "radcommons" not in str(
        list((Path.home() / ".flwr" / "apps").iterdir())
    )


def control(federation: Federation, address: str) -> ControlHttpClient:
    ca = (federation.folder / "keys/server/ca.pem").read_bytes()
    return ControlHttpClient.from_server_address(f"{address}:{federation.port}", False, ca, [])


@pytest.mark.slow
def test_the_training_goes_on_after_a_client_and_then_the_server_are_killed_in_the_middle_of_a_round(
    federation: Federation,
) -> None:
    first, second, third = SITES
    federation.slow(third, 60.0)
    server = federation.server(clients=3, rounds=6, timeout=15.0)
    clients = [federation.client(site) for site in SITES]
    clients[2].says("round 1: received")
    time.sleep(1.0)
    clients[2].kill_family()
    server.says("round 1 of 6: x = 1, 2 replies, []", ROUND_SECONDS)  # silence, not an error, within the time limit
    federation.slow(first, 5.0)
    for client in clients[:2]:
        client.says("round 2: received", START_SECONDS)
    server.process.kill()  # the command alone: what it started ends by itself
    assert federation.checkpoint["round"] == 1
    federation.slow(first, 0.0)
    federation.slow(second, 5.0)  # time for a client that comes back late: nobody is to be given up now
    again = federation.server(clients=2, rounds=6, timeout=60.0)
    again.says("listening")
    time.sleep(3.0)
    again.process.send_signal(signal.SIGINT)
    assert again.ends() == 130
    again = federation.server(clients=2, rounds=6, timeout=60.0)
    again.says("round 2 of 6", START_SECONDS)
    assert "round 1 of 6" not in again.output
    assert again.ends(START_SECONDS) == 0, again.output
    assert [client.ends() for client in clients[:2]] == [0, 0]
    assert federation.checkpoint["round"] == 6
    for site in SITES[:2]:
        assert (federation.run_of(site) / "rounds.txt").read_text().split()[-1] == "6"
    federation.nothing_is_left()


REAL_APPS = "radcommons.federated.server_app:app slow_apps:client"
TRAINING = {
    "family": "rgan", "total_images": 176, "resolution": 16, "latent_size": 5, "channels": {"4": 6, "8": 5, "16": 4},
    "noise": [16], "batch_size": 8, "checkpoint_every": 48, "samples_every": 48, "log_every": 16,
}  # fmt: skip


@pytest.mark.slow
def test_a_killed_server_goes_on_to_the_weights_of_an_undisturbed_training_and_a_killed_client_is_named(
    federation: Federation, phantom_store: Store, weights: Callable[[Path], dict[str, np.ndarray]]
) -> None:
    """Three clients show 48 films together in a round; the fourth round is the last, also without one of them."""
    asked = {"clients": 3, "local_iterations": 2, "train": TRAINING}
    FederatedSettings.parse(asked, source="test").save(federation.folder / "federation.toml")
    undisturbed, rounds = federation.folder / "simulated", iter((False, False, True))
    simulated = SimulationSettings.parse({**asked, "stores": [phantom_store.path] * 3}, source="test")
    simulate(simulated, undisturbed, should_stop=lambda: next(rounds))

    federation.variables["TOY_APPS"] = REAL_APPS
    server = federation.server_of("federation.toml")
    clients = []
    for number, site in enumerate(SITES, start=1):
        limits = federation.folder / f"limits-{number}.toml"
        limits.write_text(f'name = "client-{number:02d}"\n')
        clients.append(federation.client_of(phantom_store.path, site, "server", "--limits", str(limits)))
    (federation.folder / "limits-1.round").write_text("2")
    (federation.folder / "limits-3.round").write_text("4")
    for client in clients:
        client.says("round 2: received")
    server.kill_group()
    (federation.folder / "limits-1.round").unlink()
    again = federation.server_of("federation.toml")
    again.says("96 of 176 images")
    assert "48 of 176 images" in server.output and "48 of 176 images" not in again.output

    clients[2].says("round 4: received", START_SECONDS)
    served, expected = weights(federation.out), weights(undisturbed)
    assert served.keys() == expected.keys() and all((served[name] == expected[name]).all() for name in expected)
    clients[2].kill_family()
    again.says("round 4: client-03 did not answer", START_SECONDS)
    assert again.ends(START_SECONDS) == 0, again.output
    assert "176 of 176 images" in again.output and "client-03 has not taken the generator" in again.output
    assert [client.ends() for client in clients[:2]] == [0, 0], [client.output for client in clients]
    for site in SITES[:2]:
        assert Generator.load(federation.run_of(site)).digest == Generator.load(federation.out).digest
    federation.nothing_is_left()


@pytest.mark.slow
def test_a_client_trusts_no_other_server_or_program_and_a_training_that_fails_is_one_line_at_the_server(
    federation: Federation,
) -> None:
    (federation.folder / "stores" / SITES[1] / "number.json").write_text("{}")  # its app will miss its number
    server = federation.server(clients=2, rounds=1)
    other = federation.client(SITES[0], TOY_APPS="toy_apps:server toy_apps:other_client toy_apps:check toy_apps:check")
    failing = federation.client(SITES[1])
    new_certificate(federation.folder / "keys" / "impostor", ["localhost"])
    elsewhere = federation.client(SITES[2], server="impostor")
    assert elsewhere.ends() == 2
    assert "is not the server of" in elsewhere.output and "ask its operator for ca.pem" in elsewhere.output
    assert other.ends() == 2
    assert "sends another program than the installed one, which was not run" in other.output
    assert not (federation.run_of(SITES[0]) / "rounds.txt").exists()
    assert server.ends() == 2
    said = server.output.strip().splitlines()
    assert said[-1].startswith("radcommons: the training failed: no reply in round 1, but ")
    unavailable, raised = ErrorCode.NODE_UNAVAILABLE, ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert f"({unavailable}, " in said[-1] and f"({raised}, \"<class 'KeyError'>" in said[-1]
    assert "Traceback" not in server.output
    assert "ValueError: no reply" in (federation.out / "flower" / "training.log").read_text(encoding="utf-8")
    failing.says("KeyError: 'add'")
    failing.says("does not answer")
    failing.process.send_signal(signal.SIGTERM)
    assert failing.ends() == 130
    federation.nothing_is_left()


def test_a_server_says_what_is_missing_before_it_starts_anything(
    federation: Federation,
) -> None:
    config, keys, clients = federation.folder / "config.json", federation.folder / "keys/server", federation.folder
    config.write_text("{}")
    with pytest.raises(PathMissing, match=r"absent.*ca\.pem is not a file.*radcommons federate keys --host NAME"):
        serve(config, federation.out, certificates=federation.folder / "absent", clients=clients / "clients")
    with pytest.raises(
        PathMissing, match=r"holds no public key of a client; put there each hospital's client_key\.pub"
    ):
        serve(config, federation.out, certificates=keys, clients=clients / "stores")
    with pytest.raises(BadInput, match=r"--host is 10\.0\.0\.7; it must be 0\.0\.0\.0 "):
        serve(config, federation.out, certificates=keys, clients=clients / "clients", host="10.0.0.7")
    assert not federation.out.exists()


PRIVACY = "noise_multiplier = 0.1\nclipping_norm = 1\ndelta = 1e-5\nlargest_epsilon = 1"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('preset = "dmeo"', "preset 'dmeo' is not known; the nearest is 'demo'"),
        ('preset = "demo"\nclient = 3', "config.toml: 'client' is not a setting; the nearest is 'clients'"),
        ('preset = "demo"\nclients = 0', "config.toml: 'clients' is 0: input should be greater"),
        ('preset = "demo"\nclients = 4', "4 clients are needed, and there are the keys of 3; add keys, or lower"),
        ('preset = "demo"\nstores = ["a"]', "config.toml: only 'radcommons federate simulate' takes stores"),
        ("clients = 3", "config.toml: 'train' is missing"),
        ("clients = ", "config.toml is not a TOML file"),
        ('clients = 3\n[train]\npreset = "smal-64"', "config.toml: preset 'smal-64' is not known; the nearest is"),
        ('preset = "demo"\n[train]\nresolution = 48', "config.toml: train: 'resolution' is 48: must be a power of two"),
        ('preset = "demo"\n[train]\nresolution = 64', "config.toml: train: 'channels' has no entry for 64"),
        ('preset = "demo"\n[train]\nlearning_rate = { 4 = -1 }', "train: 'learning_rate.4' is -1: input should be"),
        (
            'preset = "demo"\n[train]\nfindings = ["Efusion"]',
            "finding 'Efusion' is not known; the nearest is 'Effusion'",
        ),
        (f'preset = "demo"\nclients = 3\n[privacy]\n{PRIVACY}', "'largest_epsilon' is 1, and one round has"),
    ],
)
def test_settings_under_which_no_training_can_begin_are_refused_before_anything_is_started(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, config: str, said: str
) -> None:
    refusal = refused_before_the_start(federation, monkeypatch, config)
    assert said in refusal and "\n" not in refusal
    assert not federation.out.exists()


def test_the_folder_of_another_training_is_refused_before_anything_is_started(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.out.mkdir()
    (federation.out / "notes.txt").touch()
    config = 'preset = "demo"\nclients = 3'
    assert "already holds something else" in refused_before_the_start(federation, monkeypatch, config)
    (federation.out / "notes.txt").unlink()
    begun = FederatedSettings.parse({"clients": 3, "train": {"preset": "demo-32", "seed": 5}}, source="test")
    begun.save(federation.out / "config.toml")
    assert "was begun with train = " in refused_before_the_start(federation, monkeypatch, config)
    assert [path.name for path in federation.out.iterdir()] == ["config.toml"]


def refused_before_the_start(federation: Federation, monkeypatch: pytest.MonkeyPatch, config: str) -> str:
    """What the server says of its settings; fails if it looks at its port or starts a process."""
    for name in ("is_free", "running"):
        monkeypatch.delattr(server_module, name, raising=False)
    path = federation.folder / "config.toml"
    path.write_text(config)
    keys = federation.folder / "keys" / "server"
    with pytest.raises(BadInput) as refused:
        serve(path, federation.out, certificates=keys, clients=federation.folder / "clients", port=federation.port)
    return str(refused.value)


def test_a_training_that_was_begun_goes_on_with_as_many_clients_as_a_round_needs(tmp_path: Path) -> None:
    settings = FederatedSettings.parse(
        {"clients": 3, "minimum_clients": 2, "train": {"preset": "demo-32"}}, source="test"
    )
    settings.save(tmp_path / "config.toml")
    with pytest.raises(SettingRefused, match="3 clients are needed, and there are the keys of 2"):
        require_possible(settings, tmp_path, 2)
    (tmp_path / "checkpoint.pt").touch()
    require_possible(settings, tmp_path, 2)
    with pytest.raises(SettingRefused, match="2 clients are needed, and there are the keys of 1"):
        require_possible(settings, tmp_path, 1)


def test_a_port_in_use_is_named(federation: Federation) -> None:
    (federation.folder / "config.toml").write_text('preset = "demo"\nclients = 3')
    with (
        socket.create_server(("127.0.0.1", federation.port)),
        pytest.raises(BadInput, match=f"port {federation.port} "),
    ):
        serve(
            federation.folder / "config.toml",
            federation.out,
            certificates=federation.folder / "keys/server",
            clients=federation.folder / "clients",
            host="127.0.0.1",
            port=federation.port,
        )


def test_a_client_says_what_is_missing_before_it_starts_anything(federation: Federation) -> None:
    site = SITES[0]
    run, ca = federation.run_of(site), federation.folder / "keys/server/ca.pem"
    store, key = federation.folder / "stores" / site, federation.folder / "keys" / site / CLIENT_KEY
    with pytest.raises(PathMissing, match=r"absent\.pem is not a file"):
        join(store, run, server="localhost:1", certificate=run / "absent.pem", key=key)
    with pytest.raises(PathMissing, match=r"limits\.toml is not a file"):
        join(store, run, server="localhost:1", certificate=ca, key=key, limits=run / "limits.toml")
    with pytest.raises(KeyRefused, match="is not a client's private key"):
        join(store, run, server="localhost:1", certificate=ca, key=ca)
    with pytest.raises(BadInput, match="--server is localhost; it must be HOST:PORT"):
        join(store, run, server="localhost", certificate=ca, key=key)
    with pytest.raises(StoreRefused, match="is not a store"):
        join(store, run, server="localhost:1", certificate=ca, key=key)
    assert not run.exists()


def test_a_client_leaves_a_folder_alone_that_is_not_its_own_and_names_a_wrong_limit(
    federation: Federation, phantom_store: Store
) -> None:
    run, ca = federation.run_of(SITES[0]), federation.folder / "keys/server/ca.pem"
    key = federation.folder / "keys" / SITES[0] / CLIENT_KEY
    (run / "generator").mkdir(parents=True)
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        join(phantom_store.path, run, server="localhost:1", certificate=ca, key=key)
    limits = federation.folder / "limits.toml"
    limits.write_text("largest_image = 5")
    with pytest.raises(SettingRefused, match=r"limits\.toml: 'largest_image' is not a setting; the nearest is"):
        join(phantom_store.path, run, server="localhost:1", certificate=ca, key=key, limits=limits)
    assert [path.name for path in run.iterdir()] == ["generator"]


def test_the_command_makes_keys_for_a_server_or_a_client_and_says_who_gets_them(tmp_path: Path) -> None:
    typed = CliRunner()
    made = typed.invoke(federate.app, ["keys", "--out", str(tmp_path / "server"), "--host", "10.0.0.7"])
    assert made.exit_code == 0
    *_, last = made.output.strip().splitlines()
    assert last == f"{tmp_path / 'server' / 'ca.pem'}: give it to every client, with the server's address"
    made = typed.invoke(federate.app, ["keys", "--out", str(tmp_path / "client"), "--client", "--json"])
    assert json.loads(made.output)["public"] == str(tmp_path / "client" / CLIENT_PUBLIC)
    for words in ([], ["--client", "--host", "a"]):
        refused = typed.invoke(federate.app, ["keys", "--out", str(tmp_path / "none"), *words])
        assert isinstance(refused.exception, SettingRefused)
    assert not (tmp_path / "none").exists()
