import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from radcommons.audit.inputs.subject import open_subject
from radcommons.audit.tests.patient_level_split import trained_on_store
from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.federated.settings import SimulationSettings
from radcommons.federated.simulation import divided, simulate
from radcommons.gan.training import train
from radcommons.models.generator import Generator
from radcommons.models.generator_files import load_patients
from radcommons.progress import silent
from radcommons.runs import checkpoint
from radcommons.runs.log import read_log

Make = Callable[..., SimulationSettings]
CPU = torch.device("cpu")


def state_of(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    loaded = checkpoint.load(run, CPU)
    assert loaded is not None
    return {name: loaded[0][name] for name in ("generator", "critic")}


def equal(first: Path, second: Path) -> bool:
    one, two = state_of(first), state_of(second)
    return all(torch.equal(one[n][k], two[n][k]) for n in one for k in one[n])


def test_one_client_gives_the_weights_of_a_training_alone(
    family: str, federation: Make, phantom_store: Store, tmp_path: Path
) -> None:
    settings = federation(family, clients=1)
    outcome = simulate(settings, tmp_path / "together")
    train(phantom_store, settings.train, tmp_path / "alone")
    assert outcome.finished and equal(tmp_path / "together", tmp_path / "alone")


def test_a_federation_ends_in_a_run_that_draws_and_knows_its_patients(
    family: str, federation: Make, phantom_store: Store, out: Path
) -> None:
    outcome = simulate(federation(family), out)
    entries = read_log(out)
    assert outcome.finished and outcome.rounds == len(entries) == entries[-1]["round"]
    assert all(entry["clients"] == 3 for entry in entries) and "generator_loss" in entries[-1]
    generator = Generator.load(out)
    assert generator.generate(3, seed=0).images.shape == (3, 16, 16)
    patients = load_patients(out)
    assert patients is not None
    assert len(patients.hashes) == len(set(phantom_store.manifest["patient"][phantom_store.rows("train")]))
    record = json.loads((out / "generator" / "federation.json").read_text())
    assert record["clients"] == 3 and record["rounds"] == outcome.rounds and record["privacy"] is None
    assert record["films"] == (films := len(phantom_store.rows("train")))
    page = (out / "training.html").read_text(encoding="utf-8")
    assert "Training: finished" in page and f"learns from {films} films that stay with the clients" in page
    assert ", ".join(("No finding", *generator.findings)) in page


def test_stopped_and_continued_gives_the_same_weights(family: str, federation: Make, tmp_path: Path) -> None:
    settings = federation(family, clients_share=0.7)
    simulate(settings, tmp_path / "whole")
    calls = iter([False, True])
    stopped = simulate(settings, tmp_path / "parts", should_stop=lambda: next(calls))
    assert stopped.rounds == 2 and not stopped.finished
    assert simulate(settings, tmp_path / "parts").finished
    assert equal(tmp_path / "whole", tmp_path / "parts")


def test_a_round_that_only_the_clients_remember_is_repeated(federation: Make, tmp_path: Path) -> None:
    """As after a kill of the server between the clients' answers and its checkpoint."""
    settings = federation()
    simulate(settings, tmp_path / "whole")
    simulate(settings, tmp_path / "killed", should_stop=iter([False, True]).__next__)
    shutil.copytree(tmp_path / "killed", tmp_path / "before")
    stops = iter([True])
    simulate(settings, tmp_path / "killed", should_stop=lambda: next(stops))
    for file in ("checkpoint.pt", "checkpoint-previous.pt"):
        shutil.copy(tmp_path / "before" / file, tmp_path / "killed" / file)
    assert simulate(settings, tmp_path / "killed").finished
    assert equal(tmp_path / "whole", tmp_path / "killed")


def test_a_critic_that_stays_at_home_is_no_clients_but_its_own(federation: Make, out: Path) -> None:
    settings = federation(share="generator")
    simulate(settings, out)
    critics = []
    for client in ("client-01", "client-02"):
        folder = max((out / "clients" / client / "rounds").iterdir())
        loaded = checkpoint.load(folder, CPU)
        assert loaded is not None and loaded[0]["optimisers"]
        critics.append(loaded[0]["critic"])
    assert not all(torch.equal(critics[0][name], critics[1][name]) for name in critics[0])


def test_each_of_several_stores_gets_a_run_to_audit(federation: Make, phantom_store: Store, out: Path) -> None:
    settings = federation(clients=2, stores=[phantom_store.path, phantom_store.path])
    simulate(settings, out)
    for client in ("client-01", "client-02"):
        folder = out / "clients" / client
        assert load_patients(folder) is not None
        loaded = checkpoint.load(folder, CPU)
        assert loaded is not None and loaded[0]["manifest_sha256"] == phantom_store.record.manifest_sha256
        ours, all_of_them = Generator.load(folder), Generator.load(out)
        assert (ours.generate(2, seed=1).images == all_of_them.generate(2, seed=1).images).all()
    assert load_patients(out) is None
    ours, of_all = (open_subject(run, phantom_store, track=silent) for run in (folder, out))
    assert trained_on_store(ours, phantom_store) is True and trained_on_store(of_all, phantom_store) is None


def test_the_division_follows_the_seed_and_needs_patients(federation: Make, phantom_store: Store) -> None:
    settings = federation(division="by finding", concentration=0.3)
    first, second = divided(settings, phantom_store), divided(settings, phantom_store)
    assert [part.tolist() for part in first] == [part.tolist() for part in second]
    with pytest.raises(SettingRefused, match="cannot be divided among 500 clients"):
        divided(federation(clients=500), phantom_store)


@pytest.mark.slow
def test_ray_gives_the_weights_of_clients_in_turn(federation: Make, tmp_path: Path) -> None:
    """In an empty network, since Ray asks the network for its own address when it starts."""
    settings = federation(train={"total_images": 48})
    simulate(settings, tmp_path / "turn")
    settings.save(tmp_path / "settings.toml")
    script = (
        "import sys; from pathlib import Path\n"
        "from radcommons.federated.settings import SimulationSettings\n"
        "from radcommons.federated.simulation import simulate\n"
        "simulate(SimulationSettings.load(Path(sys.argv[1])), Path(sys.argv[2]), engine='ray')\n"
    )
    alone = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if shutil.which("ip") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace of its own can be had here")
    done = subprocess.run(
        [*alone, sys.executable, "-c", script, str(tmp_path / "settings.toml"), str(tmp_path / "ray")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert equal(tmp_path / "turn", tmp_path / "ray")
