import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.records import StudyResult
from radcommons.study.analysis import analyse, analyse_answers
from radcommons.study.answers import read_answers
from radcommons.study.report import as_text, csv_table, paper_table, render, table_cell, write_imrmc

Write = Callable[..., Path]
Simulate = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def result(simulate: Simulate, write_answers: Write) -> StudyResult:
    groups = {"computer vision": [(0.6, 0.6, 0)] * 3, "<radiologists>": [(0.8, 0.7, 0)] * 3}
    path = write_answers(simulate(groups, blocks=("256", "512"), images=40, late=0.05))
    return analyse_answers(read_answers(path), answers_sha256="0" * 64, timed_out="half", bootstrap_samples=100, seed=0)


def test_the_table_has_the_papers_layout(result: StudyResult) -> None:
    heads, rows = paper_table(result)
    assert heads == ["group", "256", "512"]
    assert [row[0] for row in rows] == ["computer vision", "<radiologists>", "all readers"]
    first = result.results[0].model_copy(update={"standard_error": 0.049})
    first = first.model_copy(update={"accuracy": first.accuracy.model_copy(update={"value": 0.6})})
    assert first.kappa is not None
    first = first.model_copy(update={"kappa": first.kappa.model_copy(update={"value": -0.03})})
    assert table_cell(first) == "60 ± 5 (-0.03)"  # as in the paper
    assert table_cell(first.model_copy(update={"standard_error": None, "kappa": None})) == "60 ± - (-)"


def test_the_csv_table_has_the_numbers_of_the_record(result: StudyResult) -> None:
    lines = list(csv.DictReader(csv_table(result).splitlines()))
    assert len(lines) == 6 and lines[0]["group"] == "computer vision"
    for line, of_record in zip(lines, result.results, strict=True):
        assert float(line["accuracy"]) == pytest.approx(of_record.accuracy.value, rel=1e-5)
        assert float(line["standard_error"]) == pytest.approx(of_record.standard_error, rel=1e-5)
        assert float(line["kappa_low"]) == pytest.approx(of_record.kappa.low if of_record.kappa else None, rel=1e-5)


def test_the_page_loads_nothing_escapes_names_and_has_every_reader_and_test(result: StudyResult) -> None:
    page = render(result)
    assert 'src="http' not in page and "<script" not in page and "@import" not in page
    assert page.count("href=") == page.count('href="#main"') == 1  # the link that skips to the content
    assert "<radiologists>" not in page and "&lt;radiologists&gt;" in page
    assert result.sentence in page
    for reader in {r.reader for r in result.by_reader}:
        assert reader.replace("<", "&lt;").replace(">", "&gt;") in page
    for test in result.tests:
        assert test.what.replace("<", "&lt;").replace(">", "&gt;") in page
    assert page.count("data:image/svg+xml") == 2


def test_the_page_is_accessible_and_fits_every_screen(
    result: StudyResult, tmp_path: Path, faults_of_file: Callable[[Path], list[str]]
) -> None:
    (tmp_path / "study.html").write_text(render(result), encoding="utf-8")
    assert faults_of_file(tmp_path / "study.html") == []


def test_a_page_without_confidence_and_with_one_reader_can_be_made(simulate: Simulate, write_answers: Write) -> None:
    path = write_answers(simulate({"one": [(0.5, 0.5, 0)]}, images=8, confident=False))
    answers = read_answers(path)
    one = analyse_answers(answers, answers_sha256="0", timed_out="excluded", bootstrap_samples=100, seed=0)
    assert "not at all" in render(one) and "there is no ROC curve" in as_text(one, Path("out")).replace("\n", " ")


def test_the_export_has_the_truth_of_every_image_and_every_answer(
    simulate: Simulate, write_answers: Write, tmp_path: Path
) -> None:
    lines = simulate({"a": [(0.8, 0.8, 0)] * 2}, images=6, late=0.3, seed=3)
    answers = read_answers(write_answers(lines))
    write_imrmc(answers, tmp_path / "imrmc.csv")
    rows = list(csv.DictReader((tmp_path / "imrmc.csv").read_text().splitlines()))
    truths = {row["caseID"]: row["score"] for row in rows if row["readerID"] == row["modalityID"] == "truth"}
    assert truths == {str(line[4]): "1" if line[5] == "synthetic" else "0" for line in lines}
    scores = {(row["readerID"], row["caseID"], row["modalityID"]): row["score"] for row in rows[len(truths) :]}
    sign = {"synthetic": 1, "real": -1, "timed out": 0}
    assert scores == {
        (str(line[0]), str(line[4]), str(line[2])): str(sign[str(line[6])] * int(line[7] or 0)) for line in lines
    }
    assert "0" in scores.values()


def test_the_export_without_confidence_has_the_calls(simulate: Simulate, write_answers: Write, tmp_path: Path) -> None:
    answers = read_answers(write_answers(simulate({"a": [(0.8, 0.8, 0)]}, images=20, late=0.3, confident=False)))
    write_imrmc(answers, tmp_path / "imrmc.csv")
    rows = list(csv.DictReader((tmp_path / "imrmc.csv").read_text().splitlines()))
    assert {row["score"] for row in rows if row["readerID"] != "truth"} == {"1", "-1", "0"}


def test_the_markdown_table_begins_with_the_sentence_and_ends_with_the_notes(
    simulate: Simulate, write_answers: Write, tmp_path: Path
) -> None:
    path = write_answers(simulate({"a": [(0.8, 0.8, 0)] * 3}, images=20, late=0.1))
    found = analyse(path, tmp_path / "out", bootstrap_samples=100)
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.startswith(found.sentence) and f"Note: {found.notes[-1]}." in text
    assert "| group | 256 |" in text and "| against chance | a, 256: accuracy against 0.5 |" in text
