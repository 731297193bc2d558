import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.cli import run
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store

SETTINGS = """
network = "densenet-small"
side = 32
optimiser = "adam"
learning_rate = 0.002
batch_size = 32
epochs = {epochs}
findings = ["Effusion"]
log_every = 32
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom hospital with both classes of effusions in every part."""
    out = tmp_path_factory.mktemp("commands") / "site-a"
    ingest_phantoms(out, patients=120, site="A", resolution=32, seed=11)
    return out


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "quick.toml"
    path.write_text(SETTINGS.format(epochs=2))
    return path


@pytest.fixture(scope="module")
def classifier(site: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classifiers") / "run"
    assert run(["classify", "train", str(site), "--out", str(out), "--config", str(config)]) == 0
    return out


def refuse_constant(name: str) -> Any:
    pytest.fail(f"{name} is not JSON")


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out, parse_constant=refuse_constant)
    assert isinstance(found, dict)
    return found


def test_training_prints_one_json_object_and_repeats_as_a_no_op(
    site: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["classify", "train", str(site), "--out", str(tmp_path / "run"), "--json"]
    assert run([*train, "--config", str(config)]) == 0
    first = printed(capsys)
    assert first["finished"] and first["epochs"] == 2 and first["findings"] == ["Effusion"]
    assert first["images_seen"] == 2 * first["training_images"]
    assert 0 <= first["validation_auc"] <= 1
    assert run(train) == 0, "no preset needed: the run knows its settings"
    again = printed(capsys)
    assert again["finished"] and again["images_seen"] == first["images_seen"]
    assert again["validation_loss"] == first["validation_loss"]


def test_an_evaluation_prints_one_json_object_without_nan(
    classifier: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = ["classify", "eval", str(classifier), str(site), "--out", str(tmp_path / "e"), "--bootstrap-samples", "200"]
    assert run([*judge, "--json"]) == 0
    found = printed(capsys)
    assert found["report"] == str(tmp_path / "e" / "evaluation.html")
    (effusion,) = found["findings"]
    assert effusion["finding"] == "Effusion" and 0 <= effusion["auc"]["low"] <= effusion["auc"]["high"] <= 1
    assert found["images"] == len(Store.open(site).rows("test")) and found["bootstrap_samples"] == 200
    assert run([*judge, "--json"]) == 0, "the same again is no other"
    assert printed(capsys) == found
    assert run([*judge, "--part", "val"]) == 2
    assert "was begun with part = test, not val; use those, or choose another --out" in capsys.readouterr().err
    judge[-3] = str(tmp_path / "val")
    assert run([*judge, "--part", "val", "--by-image"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("val part of ") and "AUC" in out and "95% intervals over images" in out
    assert str(site) not in (tmp_path / "e" / "evaluation.json").read_text(), "no path of the machine"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--part", "all"], "--part is 'all'; it must be train, val or test"),
        (["--finding", "Efusion"], "does not know Efusion; the nearest is 'Effusion'"),
        (["--finding", "Effusion", "--finding", "Mass"], "does not know Mass; in both are Effusion: name them with"),
        (["--bootstrap-samples", "5"], "5 is not in the range x>=100"),
    ],
)
def test_a_bad_request_to_judge_is_one_line(
    extra: list[str], message: str, classifier: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", "eval", str(classifier), str(site), "--out", str(tmp_path / "e"), *extra]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not (tmp_path / "e").exists()


def test_what_is_not_a_classifier_or_not_a_store_is_one_line(
    classifier: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", "eval", str(site), str(site), "--out", str(tmp_path / "e")]) == 2
    assert "holds no classifier (no config.json); name a run of 'classify train'" in capsys.readouterr().err
    assert run(["classify", "eval", str(classifier), str(classifier), "--out", str(tmp_path / "e")]) == 2
    assert "is not a store (no store.json)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--preset", "papr"], "preset 'papr' is not known; the nearest is 'paper'"),
        (["--set", "sied=64"], "'sied' is not a setting; the nearest is 'side'"),
        (["--set", "findings=Efusion"], "'Efusion' is not labelled in site-a (train); the nearest is 'Effusion'"),
        (["--set", "findings=[]"], "'findings' is []"),
        (["--preset", "small-32", "--config", "x.toml"], "exclude each other"),
        (["--validation", "nowhere"], "nowhere is not a folder"),
        (["--preset", "paper", "--weights", "nowhere.pth"], "nowhere.pth is not a file; give densenet121-a639ec97.pth"),
    ],
)
def test_a_bad_request_to_train_is_one_line(
    extra: list[str], message: str, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", "train", str(site), "--out", str(tmp_path / "run"), *extra]) == 2
    captured = capsys.readouterr()
    assert message in captured.err.splitlines()[-1] and captured.out == "" and "Traceback" not in captured.err
    assert not (tmp_path / "run").exists()


def test_a_run_with_other_settings_and_a_foreign_folder_are_refused(
    classifier: Path, site: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["classify", "train", str(site), "--config", str(config)]
    assert run([*train, "--out", str(classifier), "--set", "seed=4"]) == 2
    assert "was begun with seed = 0, not 4; use those, or choose another --out" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert run([*train, "--out", str(tmp_path)]) == 2
    assert "already holds something else; choose another --out" in capsys.readouterr().err
    assert run(["classify", "eval", str(classifier), str(site), "--out", str(tmp_path)]) == 2
    assert "already holds something else; choose another --out" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, example in (("train", "torchrun --nproc-per-node 8"), ("eval", "radcommons classify eval classifiers/")):
        assert run(["classify", verb, "--help"]) == 0
        assert example in capsys.readouterr().out


@pytest.mark.slow
def test_a_signal_saves_and_the_same_command_continues(site: Path, tmp_path: Path, start: Callable[..., Any]) -> None:
    (tmp_path / "long.toml").write_text(SETTINGS.format(epochs=10_000) + "patience = 10000\n")
    command = [sys.executable, "-m", "radcommons", "classify", "train", site, "--out", tmp_path / "run"]
    log = tmp_path / "run" / "log.jsonl"
    seen = []
    for _ in range(2):
        before = log.read_text() if log.exists() else ""
        training = start([*command, "--config", tmp_path / "long.toml"])
        training.wait_until(lambda before=before: log.exists() and len(log.read_text()) > len(before))
        training.process.send_signal(signal.SIGINT)
        status, out, err = training.end()
        assert status == 130 and "Traceback" not in err
        assert "stopped and saved" in out and "run the same command again to continue" in err
        seen.append(out)
    assert seen[0] != seen[1], "further on"
