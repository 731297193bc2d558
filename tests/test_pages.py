"""Pages are escaped, accessible and whole: what all of them are built of."""

from pathlib import Path

import pytest
from jinja2 import FileSystemLoader, UndefinedError
from markupsafe import Markup

from radcommons import pages
from radcommons.pages import MARKS, Table, component, curve, render_page, render_text


def test_a_page_is_one_file_with_its_style() -> None:
    page = render_page("study_preview.html.j2", title="<b>bold</b>", blocks=[], images=[])
    assert "&lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold" not in page
    assert "--accent: #0b6470" in page and '<main id="main">' in page and "src=" not in page


def test_what_a_page_needs_is_never_left_out_silently() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render_page("study_preview.html.j2", blocks=[], images=[])


def test_a_sentence_after_a_condition_begins_after_a_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "page.j2").write_text("{% if true %}One.{% endif %}\nTwo.")
    monkeypatch.setattr(pages, "PackageLoader", lambda *_: FileSystemLoader(tmp_path))
    pages._environment.cache_clear()
    assert render_page("page.j2") == "One.\nTwo." and render_text("page.j2") == "One.Two."
    pages._environment.cache_clear()


@pytest.mark.parametrize(("outcome", "colour"), [("passed", "good"), ("not met", "bad"), ("inconclusive", "warn")])
def test_an_outcome_is_a_sign_and_a_word_as_well_as_a_colour(outcome: str, colour: str) -> None:
    drawn = component("mark", outcome)
    assert f'class="outcome {colour}"' in drawn and outcome in drawn and f">{MARKS[outcome][0]}<" in drawn
    assert "quiet" in component("mark", "not tested")


def test_a_verdict_is_a_heading() -> None:
    drawn = component("verdict", "Privacy", "failed", "A <copy> was found.")
    assert 'class="verdict bad"' in drawn and "<h2>" in drawn and "Privacy: failed</h2>" in drawn
    assert "A &lt;copy&gt; was found." in drawn


def test_curves_differ_without_colour_from_their_neighbours_and_28_differ_in_all() -> None:
    assert len({str(curve(number)) for number in range(28)}) == 28
    assert all(curve(n)["linestyle"] != curve(n + 1)["linestyle"] for n in range(28))


def test_an_interval_stands_under_its_number() -> None:
    drawn = component(
        "table", Table(caption="t", heads=("a", "AUC"), rows=[["b (c)", "0.8 (0.7 to 0.9)"]], numbers=(1,))
    )
    assert '<td class="number">0.8 <span class="interval">(0.7 to 0.9)</span></td>' in drawn and ">b (c)</th>" in drawn


def test_a_table_names_its_columns_and_rows_and_repeats_the_heads_where_rows_are_stacked() -> None:
    rows = [["Mass", "1", Markup("<b>2</b>")], ["Edema & more", "3", ""]]
    table = Table(caption="Found", heads=("finding", "n", "AUC"), rows=rows, numbers=(1, 2), faint=(1,), stack=True)
    drawn = component("table", table)
    assert drawn.count('scope="col"') == 3 and drawn.count('scope="row"') == 2
    assert '<caption class="hidden">Found</caption>' in drawn and 'aria-label="Found"' in drawn
    assert '<td class="number" data-head="AUC"><b>2</b></td>' in drawn and "Edema &amp; more" in drawn
    assert drawn.count('<tr class="faint">') == 1 and drawn.index("faint") > drawn.index("Mass")
    plain = component("table", Table(caption="Found", heads=("a",), rows=[["b"]], show_caption=True))
    assert "stack" not in plain and "data-head" not in plain and "<caption>Found</caption>" in plain
