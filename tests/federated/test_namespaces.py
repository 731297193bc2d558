"""A server and three hospitals as four machines: in network namespaces, where a client can reach the server alone."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs the extra 'federated'")

import radcommons
from radcommons.data.store import Store
from radcommons.federated.deployment.keys import CLIENT_KEY, CLIENT_PUBLIC, new_certificate, new_client_key
from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.federated.simulation import simulate

SERVER, PORT, SECONDS = "10.77.0.1", 8443, 600  # most, on a busy machine
SITES = ("client-01", "client-02", "client-03")
ALONE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc"]
CABLES = """
mount -t tmpfs none /run
ip link add hub type bridge
ip link set hub up
"""
MACHINE = """
ip netns add {name}
ip link add v-{name} type veth peer name eth0 netns {name}
ip link set v-{name} master hub up
ip -n {name} link set lo up
ip -n {name} link set eth0 up
ip -n {name} address add {address}/32 dev eth0
"""
ROUTE = "ip -n {name} route add {to}/32 dev eth0\n"
TRIED_ELSEWHERE = """
import contextlib, pathlib, socket
def tried():
    names, values = (line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines()[:2])
    six = dict(line.split() for line in pathlib.Path("/proc/net/snmp6").read_text().splitlines())
    return int(dict(zip(names, values))["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])
before = tried()
with contextlib.suppress(OSError):
    socket.create_connection(("192.0.2.1", 80))
print(before, tried())
"""  # how often there was no route for a packet, also after one that has none


def network() -> str:
    """Commands that connect four machines; each has routes to the server, or from it, and no other."""
    addresses = {"server": SERVER} | {site: f"10.77.0.{number}" for number, site in enumerate(SITES, start=2)}
    lines = [CABLES, *(MACHINE.format(name=name, address=address) for name, address in addresses.items())]
    for site in SITES:
        lines += [ROUTE.format(name="server", to=addresses[site]), ROUTE.format(name=site, to=SERVER)]
    return "".join(lines)


@pytest.fixture(scope="module")
def needs_namespaces() -> None:
    for command in ("unshare", "ip"):
        if shutil.which(command) is None:
            pytest.skip(f"needs the command {command}")
    tried = subprocess.run([*ALONE, network()], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"network namespaces are not allowed here: {tried.stderr.strip().splitlines()[-1]}")


def python_in(name: str, *words: str) -> str:
    return shlex.join(["ip", "netns", "exec", name, sys.executable, *words])


@pytest.mark.slow
def test_clients_that_reach_nothing_but_the_server_train_to_the_weights_of_a_simulation(
    needs_namespaces: None,
    federation: Callable[..., SimulationSettings],
    weights: Callable[[Path], dict[str, np.ndarray]],
    phantom_store: Store,
    tmp_path: Path,
) -> None:
    settings = federation(train={"total_images": 96}, clients=3, stores=[phantom_store.path] * 3)
    simulate(settings, tmp_path / "simulated")
    asked = settings.model_dump(exclude={"stores", "division", "concentration"})
    FederatedSettings.model_validate(asked).save(tmp_path / "federation.toml")
    new_certificate(tmp_path / "keys", [SERVER])
    (tmp_path / "clients").mkdir()
    commands = {"server": ["server", "federation.toml", "--certificates", "keys", "--clients", "clients"]}
    for site in SITES:
        new_client_key(tmp_path / site)
        shutil.copy(tmp_path / site / CLIENT_PUBLIC, tmp_path / "clients" / f"{site}.pub")
        (tmp_path / f"{site}.toml").write_text(f'name = "{site}"\n')
        commands[site] = ["client", str(phantom_store.path), "--server", f"{SERVER}:{PORT}", "--limits", f"{site}.toml"]
        commands[site] += ["--certificate", "keys/ca.pem", "--key", f"{site}/{CLIENT_KEY}"]
    script = network()
    for name, words in commands.items():
        run = python_in(name, "-m", "radcommons", "federate", *words, "--out", f"runs/{name}")
        script += f"({run} > {name}.log 2>&1; echo $? > {name}.status) &\n"
    script += "wait\n" + "".join(f"{python_in(site, '-c', TRIED_ELSEWHERE)} > {site}.elsewhere\n" for site in SITES)
    environment = {**os.environ, "PYTHONPATH": str(Path(radcommons.__file__).parents[1])}
    subprocess.run([*ALONE, script], cwd=tmp_path, env=environment, check=True, timeout=SECONDS)

    said = {name: (tmp_path / f"{name}.log").read_text() for name in commands}
    assert [(tmp_path / f"{name}.status").read_text().strip() for name in commands] == ["0"] * 4, said
    assert [(tmp_path / f"{site}.elsewhere").read_text().strip() for site in SITES] == ["0 1"] * 3
    assert f"connected to {SERVER}:{PORT}" in said["client-01"]
    served, simulated = weights(tmp_path / "runs" / "server"), weights(tmp_path / "simulated")
    assert served.keys() == simulated.keys()
    assert all((served[name] == simulated[name]).all() for name in simulated)
