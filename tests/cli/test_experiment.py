"""``radcommons experiment``: one TOML file in, table and figure out; one line and a status where it cannot be."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.cli import run
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings

SIZES = """
repeats = 1
bootstrap_samples = 100
diversity_pairs = 10
{sizes}
[classifier]
network = "densenet-small"
side = 32
epochs = 1
optimiser = "adam"
learning_rate = 0.001
"""
ENRICH = """
real_images = 16
real_positives = 3
kept_images = 8
kept_positives = 3
synthetic_images = 8
synthetic_positives = 2"""


@pytest.fixture(scope="module")
def folder(tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom hospital, a run on its training part, and a run whose list names its test patients."""
    at = tmp_path_factory.mktemp("experiment-commands")
    ingest_phantoms(at / "site", patients=70, site="A", resolution=32, seed=7)
    store = Store.open(at / "site")
    training.train(store, tiny(total_images=64), at / "run")
    shutil.copytree(at / "run", at / "indiscreet")
    record = patients_record(store, store.rows("test"))
    (at / "indiscreet" / "generator" / "patients.json").write_text(record.to_json(), encoding="utf-8")
    for name, generator in (("enrich", "run"), ("seen", "indiscreet")):
        head = f'store = "{at / "site"}"\ngenerators = ["{at / generator}"]\nfinding = "Nodule"'
        (at / f"{name}.toml").write_text(head + SIZES.format(sizes=ENRICH), encoding="utf-8")
    return at


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command says."""
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("radcommons: ")]
    assert said.out == "" and len(lines) == 1 and said.err.splitlines()[-1] == lines[0]
    return lines[0]


def test_enrich_prints_one_json_object_and_leaves_table_and_figure(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["experiment", "enrich", str(folder / "enrich.toml"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert run([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["experiment"] == "enrich" and len(said["arms"]) == 9 and said["settings"]["real_images"] == 16
    assert said == json.loads((tmp_path / "out" / "result.json").read_text())
    assert {"table.md", "figure.svg"} < {p.name for p in (tmp_path / "out").iterdir()}
    assert run(arguments) == 0, "again, from what is there"
    text = capsys.readouterr().out
    assert text.startswith(said["sentence"]) and "Nodule: AUC" in text and "figure.svg" in text
    assert run([*arguments, "--set", "seed=2"]) == 2
    assert "was begun with seed = 0, not 2; use those, or choose another --out" in refusal(capsys)


def test_test_patients_that_the_generator_has_seen_are_refused_with_status_3(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["experiment", "enrich", str(folder / "seen.toml"), "--out", str(tmp_path / "out")]) == 3
    assert re.search(
        r"indiscreet: \d+ of \d+ test and validation patients were in this generator's training", refusal(capsys)
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("real_image=9", "'real_image' is not a setting; the nearest is 'real_images'"),
        ("finding=Nodul", "finding 'Nodul' is not labelled in"),
        ("real_positives=17", "'real_positives' is 17, more than 'real_images', 16"),
        ("real_images=800", "arm 'real only' asks for 797 training films without the finding"),
        ("preset=papr", "preset 'papr' is not known; the nearest is 'paper'"),
        ("store=absent", "absent"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    arguments = ["experiment", "enrich", str(folder / "enrich.toml"), "--out", str(tmp_path / "out"), "--set", override]
    assert run(arguments) == 2
    assert message in refusal(capsys)


FEDERATED = """
stores = ["{site}"]
clients = 3
local_iterations = 1
arms = ["centralised", "federated"]
repeats = 1
points = 1
images = 12
critic_images = 32
[train]
family = "rgan"
total_images = 24
resolution = 16
latent_size = 5
channels = {{ 4 = 6, 8 = 5, 16 = 4 }}
batch_size = 8
"""


def test_federated_prints_one_json_object_and_leaves_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "federated.toml").write_text(FEDERATED.format(site=folder / "site"), encoding="utf-8")
    arguments = ["experiment", "federated", str(tmp_path / "federated.toml"), "--out", str(tmp_path / "out")]
    assert run([*arguments, "--set", "share=generator"]) == 2
    assert "'share' is decided by the arm; leave it out" in refusal(capsys)
    assert run([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in said["arms"]] == ["centralised", "federated"]
    assert said == json.loads((tmp_path / "out" / "result.json").read_text())
    assert run(arguments) == 0, "again, from what is there"
    text = capsys.readouterr().out
    assert text.startswith(said["sentence"]) and "report.html" in text


def test_a_stopped_experiment_says_how_to_go_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "federated.toml").write_text(FEDERATED.format(site=folder / "site"), encoding="utf-8")
    monkeypatch.setattr("radcommons.cli.experiment.stop_after_step", lambda: lambda: True)
    arguments = ["experiment", "federated", str(tmp_path / "federated.toml"), "--out", str(tmp_path / "out")]
    assert run([*arguments, "--set", "points=2"]) == 130
    assert refusal(capsys) == "radcommons: stopped; run the same command again to continue"


def test_merge_reads_its_own_settings(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "merge", str(folder / "enrich.toml"), "--out", str(tmp_path / "out")]) == 2
    said = refusal(capsys)
    assert "'generator_a' is missing" in said and "'generators' is not a setting" in said
    assert not (tmp_path / "out").exists()


def test_help_says_what_the_experiments_ask(capsys: pytest.CaptureFixture[str]) -> None:
    for name, question in (
        ("enrich", "does another cause explain the improvement?"),
        ("merge", "of two sites than of one?"),
        ("transfer", "how much of what real films teach"),
    ):
        assert run(["experiment", name, "--help"]) == 0
        assert question in " ".join(capsys.readouterr().out.replace("│", " ").split())
