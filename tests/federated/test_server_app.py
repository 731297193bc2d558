"""The real training between processes: server and clients as three terminals run them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytest.importorskip("flwr", reason="needs the extra 'federated'")

from radcommons.audit.inputs.subject import open_subject
from radcommons.data.store import Store
from radcommons.federated.deployment.keys import CLIENT_KEY, CLIENT_PUBLIC, new_certificate, new_client_key
from radcommons.federated.deployment.processes import free_port
from radcommons.federated.server_app import in_lines
from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.federated.simulation import simulate
from radcommons.progress import silent
from radcommons.runs import checkpoint

SECONDS = 240.0  # most, on a busy machine


@pytest.mark.slow
def test_between_processes_as_in_a_simulation(
    federation: Callable[..., SimulationSettings], phantom_store: Store, tmp_path: Path
) -> None:
    settings = federation(train={"total_images": 48}, clients=2, stores=[phantom_store.path] * 2)
    simulate(settings, tmp_path / "simulated")
    FederatedSettings.model_validate(settings.model_dump(exclude={"stores", "division", "concentration"})).save(
        tmp_path / "federation.toml"
    )
    new_certificate(tmp_path / "server-keys", ["localhost"])
    (tmp_path / "clients").mkdir()
    commands = []
    port = str(free_port())
    here = tmp_path / "server-keys"
    for name in ("client-01", "client-02"):
        new_client_key(tmp_path / name)
        shutil.copy(tmp_path / name / CLIENT_PUBLIC, tmp_path / "clients" / f"{name}.pub")
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\n')
        commands.append(
            ["client", str(phantom_store.path), "--out", str(tmp_path / "runs" / name), "--server", f"localhost:{port}",
             "--certificate", str(here / "ca.pem"), "--key", str(tmp_path / name / CLIENT_KEY),
             "--limits", str(tmp_path / f"{name}.toml")]
        )  # fmt: skip
    commands.append(
        ["server", str(tmp_path / "federation.toml"), "--out", str(tmp_path / "served"), "--certificates", str(here),
         "--clients", str(tmp_path / "clients"), "--host", "127.0.0.1", "--port", port]
    )  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "radcommons", "federate", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ), cwd=tmp_path,
        )
        for words in commands
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=SECONDS)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert "Training together: 32 of 48 images" in said[2] and "finished after" in said[2]
    page = tmp_path / "served" / "training.html"
    assert f"watch the training: open {page}" in said[2] and "Training: finished" in page.read_text(encoding="utf-8")
    assert "round 1: received" in said[0] and str(phantom_store.path) not in said[2]
    served, simulated = (checkpoint.load(tmp_path / run, torch.device("cpu")) for run in ("served", "simulated"))
    assert served is not None and simulated is not None
    for network in ("generator", "critic", "ema"):
        assert all(torch.equal(served[0][network][name], simulated[0][network][name]) for name in served[0][network])
    subject = open_subject(tmp_path / "runs" / "client-01", phantom_store, track=silent)
    assert subject.critic is not None and subject.patients is not None


def test_each_round_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with in_lines("Training together", total=1000, done=100) as advance:
        advance(50)
    assert capsys.readouterr().out == "Training together: 150 of 1,000 images\n"
