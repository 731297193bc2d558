import csv
import json
from pathlib import Path

import pytest

from radcommons.cli import run

COLUMNS = ["reader", "group", "block", "position", "image", "truth", "answer", "confidence", "seconds"]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for reader in range(4):
            for image in range(40):
                truth = ("real", "synthetic")[image % 2]
                answer = truth if (image + reader) % 5 else "real"
                group = ("computer vision", "radiologists")[reader // 2]
                out.writerow([f"r{reader}", group, "256", image + 1, f"i{image}", truth, answer, 3, 9])
    return path


def test_answers_become_a_table_a_sentence_and_files(
    answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["study", "analyse", str(answers), "--out", str(tmp_path / "out"), "--bootstrap-samples", "100"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("In block 256 the 4 readers were right in 90% (95% interval ")
    assert "all readers" in said and str(tmp_path / "out" / "study.html") in said


def test_the_record_is_what_json_prints(answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "analyse", str(answers), "--out", str(tmp_path / "out"), "--bootstrap-samples", "100", "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "study.json").read_text())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("synthetic", "fake"), "truth must be real or synthetic"),
        (("i1,", "i0,"), "this reader has already answered this image in this block, in line 2"),
        (("synthetic,", "real,"), "this reader saw only real images in this block"),
    ],
)
def test_answers_that_cannot_be_analysed_are_one_line_and_status_2(
    answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    answers.write_text(answers.read_text().replace(*change))
    assert run(["study", "analyse", str(answers), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not (tmp_path / "out").exists()


def test_an_empty_file_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "answers.csv").write_text("")
    assert run(["study", "analyse", str(tmp_path / "answers.csv"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "radcommons: answers.csv is empty\n"


def test_a_plan_is_a_small_table_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "plan", "--readers", "6", "--images", "100", "--images", "50", "--simulations", "200"]
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("power to tell an accuracy of 0.6 apart from 0.5")
    assert lines[1].split() == ["readers", "50", "100"] and lines[2].split()[0] == "6"
    assert lines[3] == "one reader alone, for that reader only: 194 images"
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["powers"]["6"]["50"] < found["powers"]["6"]["100"] and found["one_reader_images"] == 194


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--accuracy", "0.5"], "--accuracy is 0.5; it must be above 0.5 and below 1"),
        (["--reader-spread", "0.5"], "choose one below 0.49"),
        (["--readers", "1"], "--readers"),
        (["--readers", "6", "--readers", "6"], "--readers"),
        (["--readers", "10000", "--images", "10000"], "at most 1,000,000"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line_and_status_2(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["study", "plan", *options]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1
