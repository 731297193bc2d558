"""The page of an audit: verdicts first, every table and picture named, the scale of likeness with both its ends."""

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from radcommons.audit import page, sheets, tables
from radcommons.audit.figures import ATTACKS, LINES, attack_plot
from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.errors import BadInput
from radcommons.pages import component
from radcommons.pictures import GAP
from radcommons.records import AuditReport, Estimate, Fidelity, PrivacyTestKind, Space
from radcommons.seeds import derive


@pytest.fixture
def report(audited: Path) -> AuditReport:
    return AuditReport.read(audited / "audit.json", refused=BadInput, remedy="")


class Elements(HTMLParser):
    """The tags of a page with their attributes, in order, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.words += "" if tag in ("a", "b", "code", "span") else "\n"

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_verdicts_are_headings_then_come_the_numbers_then_the_findings(audited: Path) -> None:
    text = (audited / "report.html").read_text()
    places = [text.index(part) for part in ("Privacy: passed", "Quality: failed</h2>", "to know first", "learned")]
    assert places == sorted(places)
    assert text.count("rule by rule</a>") == 2, "one for privacy, one for quality"
    links = [attributes["href"] for attributes in Elements(text).all("a")]
    assert {"release.html", "audit.json"} <= set(links)


def test_every_table_has_a_caption_and_scopes_and_every_picture_words_of_its_own(audited: Path) -> None:
    elements = Elements((audited / "report.html").read_text())
    assert len(elements.all("caption")) == len(elements.all("table")) > 10
    assert all("scope" in attributes for attributes in elements.all("th"))
    described = [attributes["alt"] for attributes in elements.all("img")]
    assert all(described) and len(set(described)) == len(described) > 30


def test_no_number_is_written_with_an_exponent_and_no_names_run_into_each_other(audited: Path) -> None:
    words = Elements((audited / "report.html").read_text().partition("</style>")[2]).words
    assert not re.search(r"\d[eE][-+]\d", words) and not re.search(r"[a-z][.:;][A-Z]", words)
    assert [tables.number(value) for value in (9.1e-17, -1e-5, 0.5, 12.3456, 4321.0, 0)] == [
        "below 0.001", "above -0.001", "0.5", "12.3", "4,321", "0",
    ]  # fmt: skip


def test_simulated_films_are_stamped_and_a_hospital_s_page_says_that_it_stays(
    gathered: Material, inputs: PrivacyInputs, report: AuditReport
) -> None:
    assert report.simulated and "no patient is behind them" in page.render(report, gathered, inputs)
    real = page.render(report.model_copy(update={"simulated": False}), gathered, inputs)
    assert "This page shows films of patients and stays in the hospital." in real and "no patient is behind" not in real
    assert sheets.stamp(gathered.store) == "SIMULATED" and sheets.stamp(SimpleNamespace(simulated=False)) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("space", get_args(Space))
def test_a_sheet_shows_the_most_alike_first_and_both_ends_of_the_scale(
    space: Space, gathered: Material, inputs: PrivacyInputs
) -> None:
    sheet = sheets.neighbour_sheet(gathered, inputs, space)
    shown = [*sheet.first, *sheet.more]
    assert len(shown) == gathered.settings.sheet_images and len(sheet.first) == sheets.FIRST
    assert [strip[0][1] for strip in (shown[0], sheet.held_out[0], sheet.copies[0])] == [
        "synthetic",
        "held out",
        "copy",
    ]
    for strip in (*shown, *sheet.held_out, *sheet.copies):
        values = [float(words) for _, words in strip[1:]]
        assert len(values) == 3 and values == sorted(values, reverse=True)
    nearest = [float(strip[1][1]) for strip in shown]
    assert nearest == sorted(nearest, reverse=True)
    assert float(sheet.held_out[0][1][1]) == pytest.approx(inputs.neighbours[space].held_to_train.best.max(), abs=6e-4)
    assert sheet.tells_copies == inputs.neighbours[space].tells_copies
    assert float(sheet.copies[0][1][1]) == pytest.approx(np.median(inputs.copies[space].to_train.best), abs=0.02)


def test_the_two_pictures_of_a_finding_are_of_one_latent_vector(gathered: Material) -> None:
    pairs, generator = sheets.finding_pairs(gathered), gathered.subject.generator
    assert generator is not None and list(pairs) == list(generator.findings)
    seed = derive(gathered.settings.seed, "audit", "strength")
    shown = decoded(pairs["Effusion"])
    for label, left in ((0.0, GAP), (1.0, sheets.SIDE + 2 * GAP)):
        image = generator.generate(1, findings={"Effusion": label}, seed=seed).images[0]
        found = shown[GAP : GAP + sheets.SIDE, left : left + sheets.SIDE]
        assert np.array_equal(found[:: sheets.SIDE // len(image), :: sheets.SIDE // len(image)], image)


def decoded(drawn: str) -> np.ndarray:
    """The picture behind an <img>."""
    return np.asarray(Image.open(BytesIO(base64.b64decode(drawn.partition("base64,")[2].partition('"')[0]))))


def test_every_attack_with_images_is_in_the_matrix_and_every_other_test_below_it(
    report: AuditReport,
) -> None:
    matrix, others = tables.attack_matrix(report), tables.other_tests(report)
    kinds = [str(row[0]).partition("<br>")[0] for row in (*matrix.rows, *others.rows)]
    assert sorted(kinds) == sorted(get_args(PrivacyTestKind))
    assert all(len(row) == 4 for row in matrix.rows)
    details = tables.test_details(report)
    assert sum(len(table.rows) for _, table in details) == len(report.privacy)
    critic = next(row for row in others.rows if "critic" in row[0])
    assert "not judged" in critic[1], "the critic never leaves the hospital"


def test_a_finding_with_few_patients_is_weak_and_says_so_and_one_without_a_judge_too(report: AuditReport) -> None:
    clear = Estimate(value=0.9, low=0.85, high=0.95)
    known = Fidelity(finding="Effusion", positives=40, patients=9, images=50, auc_real=clear, auc_synthetic=clear)
    two = report.model_copy(
        update={"findings": ("Effusion", "Pleural_Thickening"), "fidelity": (known,), "by_finding": ()}
    )
    table = tables.findings_table(two, {})
    assert table.faint == [0, 1] and [row[0] for row in table.rows] == ["Effusion", "Pleural Thickening"]
    assert "only 9 held-out patients have it" in table.rows[0][-1] and "9 held-out patients, 50" in table.rows[0][-1]
    assert "no classifier that knows it" in table.rows[1][-1]
    drawn = component("table", table)
    assert drawn.count('<tr class="faint">') == 2 and "cannot tell" in drawn
    enough = two.model_copy(update={"fidelity": (known.model_copy(update={"patients": 10}),)})
    assert tables.findings_table(enough, {}).faint == [1] and "learned" in tables.findings_table(enough, {}).rows[0][1]


def test_headlines_have_plain_numbers_and_their_intervals(report: AuditReport) -> None:
    shown = {one.value: f"{one.beside} {one.meaning}" for one in page.headlines(report)}
    limit = round(150 * (report.detection_limit or 0))
    assert f"{limit} in 150 images" in shown
    auc = next(words for value, words in shown.items() if value.startswith("AUC 0."))
    assert re.match(r"\(0\.\d\d to 0\.\d\d\) of the strongest attack", auc) and "held out" in auc
    fid = next(words for value, words in shown.items() if value.startswith("FID "))
    assert "by projection" in fid and "training films in their place" in fid
    blind = report.model_copy(update={"detection_limit": None})
    assert next(page.headlines(blind)).value == "none"


def test_curves_are_told_apart_without_colours(report: AuditReport) -> None:
    assert len({line for _, line in ATTACKS.values()}) == len(ATTACKS) and len(set(LINES.values())) == len(LINES)
    attacks = [test for test in report.privacy if test.name in ATTACKS]
    drawn = attack_plot(attacks, few_alarms=True)
    svg = base64.b64decode(drawn.partition("base64,")[2].partition('"')[0]).decode()
    assert len(attacks) == len(ATTACKS) and svg.count("stroke-dasharray") > len(attacks)
    assert "where false alarms are few" in drawn


@pytest.mark.slow
def test_both_pages_are_accessible_and_fit_every_screen_and_the_record_two_sheets(
    audited: Path, chromium: Any, faults_of_file: Callable[[Path], list[str]]
) -> None:
    assert [fault for name in ("report.html", "release.html") for fault in faults_of_file(audited / name)] == []
    window = chromium.new_page()
    window.goto((audited / "release.html").as_uri())
    paper = window.pdf(prefer_css_page_size=True)
    window.close()
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 2
