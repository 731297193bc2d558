"""What is exported is what readers answered."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.study.design import SOURCES, StudySources


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def read(serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any) -> Any:
    """A study of which ann has read seven images and bea one; the design asks for confidence."""
    study = serve_study(practice=2, seconds=30, confidence=True, comment=True)
    ann, bea = reader("ann"), reader("bea")
    for position in range(9):
        shown = ann.show()
        clock.wait(2.5)
        answer = "synthetic" if position % 2 else "real"
        ann.ask("answer", position=shown["position"], answer=answer)
        ann.ask("details", position=shown["position"], confidence=1 + position % 5, comment="=1+1, é")
    for _ in range(2):
        bea.show()
        bea.ask("answer", position=_, answer="real")
        bea.ask("details", position=_, confidence=3)
    bea.show()
    clock.wait(100)  # bea has gone
    return study


def test_the_csv_has_a_line_for_each_answer_without_practice_as_the_analysis_reads_it(
    read: Any, coordinator: Callable[[], Any]
) -> None:
    answer = coordinator().get("/export/answers.csv")
    lines = table(answer.content.decode())
    assert answer["Content-Disposition"] == 'attachment; filename="answers.csv"'
    assert list(lines[0]) == [
        "reader",
        "group",
        "block",
        "position",
        "image",
        "truth",
        "answer",
        "confidence",
        "seconds",
    ]
    order = read.order(1)[2:9]
    ann, bea = ([line for line in lines if line["reader"] == name] for name in ("ann", "bea"))
    assert [(line["image"], line["truth"]) for line in ann] == [(image.name, image.truth) for image in order]
    assert [(line["block"], line["position"]) for line in ann] == [*(("16", str(n)) for n in range(1, 7)), ("32", "1")]
    assert {line["seconds"] for line in ann} == {"2.5"}
    assert [line["confidence"] for line in ann] == ["3", "4", "5", "1", "2", "3", "4"]
    assert [(line["answer"], line["confidence"], line["seconds"]) for line in bea] == [("timed out", "", "30.0")]


def test_the_json_has_all_that_is_kept_but_not_where_the_films_are(read: Any, coordinator: Callable[[], Any]) -> None:
    found = json.loads(coordinator().get("/export/answers.json").content)
    assert [reader["reader"] for reader in found["readers"]] == ["ann", "bea"]
    assert found["readers"][0]["displays"][0]["monitor"] == "a test"
    assert sum(line["practice"] for line in found["answers"]) == 4
    assert found["answers"][2]["comment"] == "=1+1, é" and found["answers"][2]["scale"] == 2
    assert "store" not in found["study"] and "synthetic" not in found["study"]


def test_imrmc_has_the_truth_once_for_each_image_and_signed_scores(read: Any, coordinator: Callable[[], Any]) -> None:
    lines = table(coordinator().get("/export/imrmc.csv").content.decode())
    truth = {line["caseID"]: line["score"] for line in lines if line["readerID"] == "truth"}
    assert truth == {image.name: str(int(image.truth == "synthetic")) for image in read.images if not image.practice}
    assert {line["modalityID"] for line in lines if line["readerID"] == "truth"} == {"truth"}
    scores = [(line["modalityID"], line["score"]) for line in lines if line["readerID"] == "ann"]
    assert scores == [*(("16", score) for score in ("-3", "4", "-5", "1", "-2", "3")), ("32", "-4")]
    assert [line["score"] for line in lines if line["readerID"] == "bea"] == ["0"]


def test_there_is_no_other_file(read: Any, coordinator: Callable[[], Any]) -> None:
    assert coordinator().get("/export/readers.csv").status_code == 404


def test_the_analysis_of_a_served_study_says_whose_images_were_answered_and_when(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any, tmp_path: Path
) -> None:
    study = serve_study(practice=2)
    synthetic = [image for image in study.images if image.truth == "synthetic"]
    shown = [image.name for image in synthetic if not image.practice]
    drawn_by = {image.name: "a" * 64 for image in synthetic} | {shown[0]: "b" * 64}
    del drawn_by[shown[1]]  # of a set that does not say
    (study.folder / SOURCES).write_text(StudySources(sources=(), drawn_by=drawn_by).to_json())
    ann = reader("ann")
    ann.read(14)
    day = clock().date().isoformat()
    clock.wait(5 * 86_400)
    reader("bea").read(2)  # practice images only
    place = ["study", "analyse", str(study.folder), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "radcommons", *place]
    subprocess.run([*command, "--bootstrap-samples", "100"], check=True, capture_output=True)
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert record["generators"] == [{"digest": "a" * 64, "images": 4}, {"digest": "b" * 64, "images": 1}]
    assert record["last_answer"] == day and record["synthetic_images"] == 6
    (study.folder / SOURCES).write_text("{}")
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "sources.json is damaged; make the study again" in refused.stderr
