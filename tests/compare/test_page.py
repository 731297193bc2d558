import base64
import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radcommons.cli import run
from radcommons.compare.measures import all_measures
from radcommons.compare.page import draw_sheet, render, summary
from radcommons.compare.subjects import Compared
from radcommons.models.generator import Generator
from radcommons.pictures import PAPER
from radcommons.records import AuditReport

Audit = Callable[..., AuditReport]
BETTER = "✓</span> better</span>"


def page_of(*compared: Compared) -> str:
    return render(compared, all_measures([one.report for one in compared]))


def row(page: str, name: str) -> str:
    """The cells of the first row that begins with a name."""
    return re.search(rf'<th scope="row">{re.escape(name)}.*?</tr>', page, re.DOTALL)[0]  # type: ignore[index]


def test_every_number_stands_beside_that_of_the_other_and_the_better_one_is_marked(audit: Audit) -> None:
    page = page_of(Compared("A: site-a", audit(), None), Compared("B: site-b", audit(fid=(90.0, 80.0, 99.0)), None))
    fid = row(page, "Frechet distance (FID)")
    assert fid.index("60.0 (55.0 to 65.0)") < fid.index(BETTER) < fid.index("90.0 (80.0 to 99.0)")
    assert fid.count(BETTER) == 1 and fid.count("real films: 27.0") == 2 and "lower is better" in fid
    assert row(page, "features (extractor)").count("toy") == 2
    assert row(page, "numbers of images").count("40 images, 40 films") == 2
    assert page.count("passed</span>") == 4, "privacy and quality of both"
    assert row(page, "Effusion").count("learned</span>") == 2
    assert 'data-head="B: site-b"' in fid, "on a phone the cells say whose they are"
    assert "A: site-a is better in 1 of 4 measures that compare: Frechet distance (FID)." in page


def test_what_does_not_compare_is_said_and_nothing_is_marked(audit: Audit) -> None:
    other = audit(fid=(90.0, 80.0, 99.0), extractor="other", judge="another", settings={"policy": {"recall": 0.5}})
    page = page_of(Compared("A: site-a", audit(), None), Compared("B: site-b", other, None))
    assert "These numbers do not compare (other features)" in page
    assert "These AUCs do not compare (other classifiers)" in page
    assert "not compared: other features" in row(page, "Effusion: FID over that of training films")
    assert "judged by different policies" in page and BETTER not in page


def test_rules_whose_outcomes_differ_stand_before_the_others_which_are_folded(audit: Audit) -> None:
    whole = audit()
    lines = [
        line.model_copy(update={"outcome": "not met"}) if line.rule == "near-duplicates" else line
        for line in whole.judgement.lines
    ]
    leaky = whole.model_copy(update={"judgement": whole.judgement.model_copy(update={"lines": tuple(lines)})})
    page = page_of(Compared("A: site-a", whole, None), Compared("B: site-b", leaky, None))
    privacy, _, rest = page.partition("<h2>Privacy")[2].partition("<h2>Quality</h2>")
    shown, _, folded = privacy.partition("<details>")
    assert "near-duplicates" in shown and "✗</span> not met" in shown and "data copying" not in shown
    assert "data copying" in folded and "near-duplicates" not in folded
    assert "All rules have the same outcome in every audit." in rest


def test_the_page_holds_synthetic_pictures_in_one_layout_and_names_those_that_are_missing(
    audited_run: Any, audit: Audit
) -> None:
    generator = Generator.load(audited_run.run, device="cpu")
    here = Compared("A: site-a", audit(), generator)
    page = page_of(here, Compared("B: site-b", audit(), generator), Compared("C: site-c", audit(digest="f" * 64), None))
    assert page.count('alt="Synthetic images of') == 2 and "No pictures of C: site-c" in page
    assert page.count("Rows from the top: No Finding, Effusion, Pleural_Thickening") == 2
    assert "<script" not in page and page.count("src=") == page.count('src="data:')


def test_a_row_of_a_finding_that_a_generator_does_not_know_stays_empty(audited_run: Any) -> None:
    generator = Generator.load(audited_run.run, device="cpu")
    drawn = draw_sheet(generator, "A", ["Effusion", "Fibrosis"], 64)
    encoded = drawn.partition("base64,")[2].partition('"')[0]
    sheet = np.array(Image.open(BytesIO(base64.b64decode(encoded))))[:, 100:]  # without the names
    assert (sheet[-64:] == PAPER).all() and not (sheet[:64] == PAPER).all()


def test_the_summary_counts_what_is_open(audit: Audit) -> None:
    measures = all_measures([audit(), audit()])
    assert summary(measures, ["A", "B"]) == [
        "In 4 of 4 measures that compare none is better: the intervals overlap.",
    ]


def test_the_command_writes_one_page_and_says_what_it_says(
    audited_run: Any, packaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "both.html"
    command = ["compare", str(audited_run.audit), str(packaged), "--out", str(out)]
    assert run([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in said["generators"]] == ["A: site-a (audit)", "B: site-a (package)"]
    assert said["measures"][0]["name"] == "Frechet distance (FID)" and said["measures"][0]["better"] is None
    assert "films of patients" not in out.read_text(encoding="utf-8")
    assert run(command) == 2
    assert f"{out} exists; choose another --out" in capsys.readouterr().err
    assert run([*command[:-1], str(tmp_path / "both.pdf")]) == 2
    assert "its name must end in .html" in capsys.readouterr().err


def test_the_page_is_accessible_and_fits_every_screen(
    audited_run: Any, audit: Audit, tmp_path: Path, faults_of_file: Callable[[Path], list[str]]
) -> None:
    generator = Generator.load(audited_run.run, device="cpu")
    other = audit(fid=(90.0, 80.0, 99.0), by_finding=())
    page = page_of(
        Compared("A: site-a", audit(), generator),
        Compared("B: a-hospital-with-a-long-name", other, generator),
        Compared("C: site-c", audit(), None),
    )
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    assert faults_of_file(tmp_path / "page.html") == []
