import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork
from radcommons.models.classifier_files import save_classifier


@pytest.fixture(scope="module")
def trained(phantom_store: Store, tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained") / "run"
    training.train(phantom_store, tiny(), folder)
    return folder


def test_an_interpolation_and_a_map_are_on_one_page(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "e"
    assert run(["explain", "morph", str(trained), "--finding", "Effusion", "--out", str(out), "--frames", "3"]) == 0
    assert "label interpolations: Effusion" in capsys.readouterr().out
    arguments = ["explain", "map", str(trained), "--finding", "Effusion", "--out", str(out), "-n", "8", "--json"]
    assert run([*arguments, "--extractor", "off", "--singles", "1", "--smooth", "0"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["maps"][0]["images"] == 8 and said["morphs"][0]["findings"] == ["Effusion"]
    assert said["page"] == str(out / "explain.html") and (out / "explain.html").is_file()


def test_all_explains_every_finding_against_a_phantom(
    trained: Path, phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", "all", str(trained), "--out", str(tmp_path / "e"), "--store", str(phantom_store.path)]
    sizes = ["-n", "8", "--frames", "2", "--patients", "1", "--singles", "0", "--extractor", "off", "--seed", "5"]
    assert run([*arguments, *sizes]) == 0
    said = capsys.readouterr().out
    assert all(f"{finding}: " in said for finding in phantom_store.findings) and "explain.html" in said


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["map", "--finding", "Efusion"], "the nearest is 'Effusion'"),
        (["map", "--finding", "Effusion", "-n", "0"], "n is 0; it must be 1 or more"),
        (["map", "--all", "--finding", "Effusion"], "exclude each other"),
        (["morph", "--all", "--patients", "600"], "pass --patients 252 or fewer"),
        (["morph", "--all", "--frames", "1000000"], "pass --frames "),
        (["morph"], "no finding is named; pass --finding NAME or --all"),
        (["map", "--all", "--boxes", "absent.csv"], "absent.csv does not exist"),
        (["map", "--all", "--store", "absent"], "absent is not a folder"),
        (["map", "--all", "--extractor", "inceptoin"], "inceptoin"),
        (["map", "--all", "--singles", "99"], "--singles"),
        (["morph", "--all", "--audit", "absent"], "absent/audit.json does not exist"),
    ],
)
def test_bad_requests_are_one_line_exit_2_and_leave_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    verb, *rest = extra
    assert run(["explain", verb, str(trained), "--out", str(tmp_path / "e"), *rest]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "e").exists()


def test_a_store_is_no_generator(phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "morph", str(phantom_store.path), "--all", "--out", str(tmp_path / "e")]) == 2
    assert "neither a run nor a generator package" in capsys.readouterr().err


def test_correlate_names_the_common_findings_and_those_left_out(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = tmp_path / "films" / "classifier"
    network = ClassifierNetwork(ClassifierConfig(network="densenet-small", side=32, findings=2))
    save_classifier(
        classifier,
        network,
        name="films",
        findings=("Effusion", "Hernia"),
        images_seen=1,
        validation_loss=None,
        thresholds={},
    )
    arguments = [
        "explain",
        "correlate",
        str(trained),
        "--classifier",
        str(classifier.parent),
        "--out",
        str(tmp_path / "e"),
    ]
    assert run([*arguments, "-n", "12", "--seed", "2"]) == 0
    said = capsys.readouterr().out
    assert "Effusion: " in said and "only the classifier knows Hernia; left out" in said
    assert run([*arguments, "-n", "12", "--evaluation", str(tmp_path)]) == 2
    assert "evaluation.json does not exist; name the folder of a finished" in capsys.readouterr().err
    assert run([*arguments, "-n", "12", "--pair", "Effusion:Edema"]) == 2
    assert "'Edema' is not known to both; known are Effusion" in capsys.readouterr().err
