import base64
import html
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radcommons.explain import flow
from radcommons.explain import page as page_of
from radcommons.explain.drawing import LONGEST
from radcommons.explain.flow import InterpolationRequest, MapRequest, correlate, explain
from radcommons.pages import drawing, plot
from radcommons.records import FederationRecord

QUICK = MapRequest(n=24, singles=2, smoothing=0)
SHORT = InterpolationRequest(frames=4, patients=2)


def test_commands_add_to_one_page_and_the_same_again_replaces(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK)
    found = explain(Path("run"), tmp_path / "e", ["Effusion"], map_=MapRequest(n=30, singles=0))
    assert len(found.morphs) == len(found.maps) == 1 and found.maps[0].images == 30
    page = (tmp_path / "e" / "explain.html").read_text()
    assert page.count('<section id="Effusion"') == page.count("<h3>") == 1
    assert 'type="range"' in page and "Difference map of Effusion" in page


def test_the_page_stands_alone_and_says_that_it_is_synthetic(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "Every picture here is synthetic, and so were the films behind it." in page
    assert "trained on simulated films" in page or "training on simulated films" in page
    assert page.count("<figcaption>Synthetic, by a generator of simulated films.") == 10, "8 sliders, 2 maps"
    assert "http://" not in page and "https://" not in page and ' src="/' not in page
    assert "so the maps are not scored" in page


def test_the_page_says_who_trained_the_generator_together(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "alone", ["Effusion"], interpolation=SHORT)
    assert "Trained by" not in (tmp_path / "alone" / "explain.html").read_text()
    record = FederationRecord(clients=5, films=900, rounds=40, share="both", aggregation="mean", local_iterations=10)
    flow.Generator.load("run").__dict__["federation"] = record
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    header, _, _ = (tmp_path / "e" / "explain.html").read_text().partition("<nav")
    assert record.summary in header


def test_the_slider_has_one_step_per_frame_and_a_sprite_as_high(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=6, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'min="0" max="5"' in page and "background-size: 100% 600%" in page and "aspect-ratio: 3 / 2" in page
    assert '<label for="label-Effusion">Label of Effusion:</label>' in page
    assert "<span>0: without Effusion</span><span>1: with Effusion</span>" in page
    with Image.open(tmp_path / "e" / "morph" / "Effusion.gif") as file:
        assert file.n_frames == 10


def test_an_interpolation_of_thousands_of_frames_is_thinned_on_the_page_and_whole_in_its_files(
    works, tmp_path: Path
) -> None:
    found = explain(
        Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=4200, patients=1)
    )
    assert len(found.morphs[0].strengths) == 4200
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "The slider has 101 of 4,200 frames." in page and 'min="0" max="100"' in page
    assert 'data-strengths="0.00 0.01 0.02 ' in page and "background-size: 100% 10100%" in page
    with np.load(tmp_path / "e" / "morph" / "Effusion.npz") as file:
        assert file["images"].shape == (1, 4200, 16, 16)
    with Image.open(tmp_path / "e" / "morph" / "Effusion.png") as file:
        assert file.width <= LONGEST


def test_a_sprite_of_many_latent_vectors_has_as_many_frames_as_a_picture_holds(
    works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "LONGEST_SPRITE", 300)
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=20, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    address = page.partition("url(data:image/webp;base64,")[2].partition(")")[0]
    with Image.open(io.BytesIO(base64.b64decode(address))) as sprite:
        assert sprite.size == (3 * 16, 9 * 2 * 16)
    assert "The slider has 9 of 20 frames." in page


@pytest.mark.parametrize("kept", [0, 1, 100, -40], ids=["empty", "a byte", "a head", "all but the end"])
def test_files_that_a_kill_cut_short_are_left_out_of_the_page_and_made_again(works, tmp_path: Path, kept: int) -> None:
    whole = explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    before = (tmp_path / "e" / "explain.html").read_text()
    for name in (whole.morphs[0].frames, whole.maps[0].numbers):
        path = tmp_path / "e" / name
        path.write_bytes(path.read_bytes()[:kept])
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'type="range"' not in page and "map's numbers are missing or damaged" in page
    assert (
        "The strongest mean change is" in page
        and page.count("No map is drawn: the label does not change the image") == 1
    )
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    after = (tmp_path / "e" / "explain.html").read_text()
    assert before.partition("<figure")[2].partition("</figure>")[0] in after and "missing or damaged" not in after


def pictures(page: str) -> list[str]:
    """What each picture of a page is said to be."""
    return re.findall(r'<img [^>]*alt="([^"]*)"', page) + re.findall(r'role="img" aria-label="([^"]*)"', page)


def test_every_picture_of_a_page_is_described_in_words_of_its_own(works, classifier, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=QUICK)
    correlate(Path("run"), Path("eye"), tmp_path / "e", n=60)
    said = pictures((tmp_path / "e" / "explain.html").read_text())
    assert len(said) == len(set(said)) == 8 + 8 + 2 * (3 + 2) + 3 and all(said)


def test_a_caption_names_only_what_is_drawn(works, phantom_store, tmp_path: Path) -> None:
    def caption(name: str, **changes: object) -> str:
        explain(Path("run"), tmp_path / name, ["Effusion"], map_=replace(QUICK, **changes))
        figure = (tmp_path / name / "explain.html").read_text().partition("<figure>")[2].partition("</figure>")[0]
        return html.unescape(re.sub("<[^>]*>", "", figure))

    whole = caption("whole", store=phantom_store.path, smoothing=0.02)
    assert "outline: where Effusion sits" in whole and "Below: the same for single persons" in whole
    assert "person 2" in whole and "person 3" not in whole and ", smoothed" in whole
    bare = caption("bare", singles=0)
    assert not any(word in bare for word in ("outline", "Below", "person 1", "smoothed"))


def test_a_generator_that_does_not_say_what_it_was_trained_on_is_not_called_simulated(
    painter, heats, loads, tmp_path: Path
) -> None:
    loads(replace(painter({"Effusion": 40 * heats["Effusion"]}), folder=None))
    found = explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert not found.simulated and "simulated" not in page and "this page has no film of a patient" in page


def test_the_first_table_has_one_row_per_finding_with_word_picture_and_place(
    works, classifier, phantom_store, tmp_path: Path
) -> None:
    asked = replace(QUICK, store=phantom_store.path)
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=asked)
    page = (tmp_path / "e" / "explain.html").read_text()
    table = page.partition("<table")[2].partition("</table>")[0]
    rows = [html.unescape(re.sub(r"<[^>]*>|\s+", " ", row)).split() for row in table.split("<tr>")[2:]]
    by_finding = {row[0]: " ".join(row) for row in rows}
    assert len(by_finding) == 8
    assert "? cannot tell" in by_finding["Effusion"] and "yes (AUROC 1.00)" in by_finding["Effusion"]
    assert "✗ not learned the label does not change the image" in by_finding["Nodule"]
    assert "not known" in by_finding["Nodule"]
    assert table.count("<img") == 8 and 'href="#Effusion"' in table
    assert "✗</span> not learned</span>: 6" in page and "?</span> cannot tell</span>: 2" in page


@pytest.fixture
def opened(works, classifier, audited, chromium, tmp_path: Path) -> Iterator[Any]:
    """The page of all findings on a phone."""
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=QUICK)
    audit = audited(flow.Generator.load("run"), tmp_path / "audited")
    correlate(Path("run"), Path("eye"), tmp_path / "e", n=60, audit=audit)
    window = chromium.new_page(viewport={"width": 390, "height": 844})
    window.goto((tmp_path / "e" / "explain.html").as_uri())
    yield window
    window.close()


def test_the_page_is_accessible_and_fits_every_screen(opened, faults_of_page) -> None:
    opened.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert faults_of_page(opened) == []
    inside = (
        "[...document.querySelectorAll('.stack tbody > tr > *')].filter(cell => cell.scrollWidth > cell.clientWidth)"
    )
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate(f"{inside}.map(cell => cell.textContent)") == [], "words that leave their row"


def test_the_line_of_a_finding_opens_its_slider_which_obeys_keys_and_is_as_high_as_a_finger(opened) -> None:
    slider, value = opened.get_by_label("Label of Effusion:"), opened.locator("#Effusion output")
    assert not slider.is_visible()
    opened.locator("table").first.get_by_role("link", name="Effusion").press("Enter")
    slider.wait_for()  # the browser tells the page of its new address in its own time
    assert value.inner_text() == "0.00"
    film, box = opened.locator("#Effusion .film").bounding_box(), slider.bounding_box()
    assert box["height"] >= 44 and box["width"] == pytest.approx(film["width"], abs=1)
    before = opened.locator("#Effusion .film").evaluate("film => film.style.backgroundPosition")
    slider.press("ArrowRight")
    assert value.inner_text() == slider.get_attribute("aria-valuetext") == "0.33"
    assert opened.locator("#Effusion .film").evaluate("film => film.style.backgroundPosition") != before
    slider.press("End")
    assert value.inner_text() == "1.00"
    button = opened.get_by_role("button", name="Play Effusion from 0 to 1 and back")
    assert button.bounding_box()["height"] >= 44
    button.press("Enter")
    opened.get_by_role("button", name="Stop Effusion").wait_for()


def test_a_heavy_page_says_how_heavy_it_is(works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    assert " MB: all pictures" not in (tmp_path / "e" / "explain.html").read_text()
    monkeypatch.setattr(page_of, "HEAVY", 20_000)
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    assert "This page has 0.0 MB: all pictures are in it." in (tmp_path / "e" / "explain.html").read_text()


def test_pages_that_lie_beside_it_are_linked_and_no_other(works, audited, tmp_path: Path) -> None:
    def links() -> set[str]:
        explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK, audit=tmp_path / "audited")
        page = (tmp_path / "e" / "explain.html").read_text()
        return {address for address in re.findall(r'href="([^"]*)"', page) if not address.startswith("#")}

    audited(flow.Generator.load("run"), tmp_path / "audited")
    audited(flow.Generator.load("run"), tmp_path / "another", digest="0" * 64).joinpath("report.html").touch()
    assert links() == set()
    (tmp_path / "audited" / "report.html").touch()
    assert links() == {"../audited/report.html"}
    (tmp_path / "report.html").touch()
    assert links() == {"../audited/report.html"}, "a report of something else"


def test_the_same_numbers_give_the_same_plot_also_outside_the_style() -> None:
    def plotted() -> str:
        with drawing(2, 2) as figure:
            axes = figure.subplots()
        axes.plot([0, 1], [0, 1], marker="o")
        return plot(figure, "a line")

    assert plotted() == plotted()
