import csv
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pydicom
import pytest

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings


@pytest.fixture(scope="module")
def trained(phantom_store: Store, tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    training.train(phantom_store, tiny(), folder)
    return folder


def test_a_run_becomes_a_labelled_set(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert run(["generate", str(trained), "--out", str(out), "-n", "12", "--balanced", "--seed", "4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"] == 12 and said["resolution"] == 16 and said["labels"] == "balanced over findings"
    with (out / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and list(rows[0]) == ["image", *said["findings"]]
    assert (out / rows[0]["image"]).is_file()
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["seed"] == 4 and provenance["generators"][0]["digest"] == said["generator_digest"]
    style = json.loads((out / "dataset.json").read_text())
    assert len(style["labels"]) == 12
    page = Path(said["contact_sheet"]).read_text(encoding="utf-8")
    assert "Labels: balanced over findings" in page and ": 12 images</h3>" in page


def test_given_labels_reach_the_table(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    given = ["--label", "Effusion=1", "--label", "Cardiomegaly=0.5"]
    assert run(["generate", str(trained), "--out", str(out), "-n", "3", *given]) == 0
    with (out / "labels.csv").open() as file:
        row = next(csv.DictReader(file))
    assert row["Effusion"] == "1" and row["Cardiomegaly"] == "0.5" and row["Nodule"] == "0"


def test_dicom_output_says_that_it_is_synthetic(trained: Path, tmp_path: Path) -> None:
    assert run(["generate", str(trained), "--out", str(tmp_path / "d"), "-n", "2", "--format", "dicom"]) == 0
    for path in (tmp_path / "d" / "images").iterdir():
        assert pydicom.dcmread(path)[0x0008, 0x001C].value == "YES"


def test_a_dicom_set_has_the_date_of_the_drawing_unless_told_otherwise(trained: Path, tmp_path: Path) -> None:
    command = ["generate", str(trained), "-n", "2", "--format", "dicom"]
    before = date.today()
    assert run([*command, "--out", str(tmp_path / "default")]) == 0
    assert run([*command, "--out", str(tmp_path / "given"), "--study-date", "2020-02-29"]) == 0
    assert run([*command, "--out", str(tmp_path / "none"), "--study-date", "none"]) == 0
    dates = {
        name: {pydicom.dcmread(path).StudyDate for path in (tmp_path / name / "images").iterdir()}
        for name in ("default", "given", "none")
    }
    assert dates["given"] == {"20200229"} and dates["none"] == {""}
    (drawn,) = dates["default"]
    assert before <= date.fromisoformat(drawn) <= date.today()


def test_the_same_command_again_draws_nothing(trained: Path, tmp_path: Path, capsys) -> None:
    arguments = ["generate", str(trained), "--out", str(tmp_path / "set"), "-n", "5"]
    assert run(arguments) == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "set").rglob("*")}
    assert run(arguments) == 0
    assert "already there" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "set").rglob("*")}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--label", "Efusion=1"], "the nearest is 'Effusion'"),
        (["--label", "Effusion=2"], "label Effusion is 2.0; it must be from 0 (absent) to 1 (present)"),
        (["--label", "Effusion"], "write it as FINDING=VALUE"),
        (["--label", "Effusion=much"], "write it as FINDING=VALUE"),
        (["--label", "Effusion=1", "--balanced"], "either given or balanced"),
        (
            ["--format", "dicom", "--study-date", "28.11.2026"],
            "is not a date; write it as YYYY-MM-DD, or today or none",
        ),
        (["--study-date", "2026-11-28"], "png files have no study date; add --format dicom or drop --study-date"),
        (["--format", "npz", "--study-date", "today"], "npz files have no study date"),
        (["--format", "gif"], "'gif' is not one of 'png', 'dicom', 'npz'"),
    ],
)
def test_bad_requests_are_one_line_exit_2_and_leave_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert run(["generate", str(trained), "--out", str(tmp_path / "set"), "-n", "3", *extra]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_a_folder_that_holds_something_else_is_left_alone(trained: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    assert run(["generate", str(trained), "--out", str(tmp_path), "-n", "3"]) == 2
    assert "already holds something else; choose another --out" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_store_is_no_generator(phantom_store: Store, tmp_path: Path, capsys) -> None:
    assert run(["generate", str(phantom_store.path), "--out", str(tmp_path / "set"), "-n", "3"]) == 2
    assert "neither a run nor a generator package" in capsys.readouterr().err
