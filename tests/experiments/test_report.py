"""Table, figure and text of a result: what they say, and that they say it for one finding as for several."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from radcommons.experiments.report import (
    answer_table,
    as_text,
    auc_table,
    comparison_table,
    composition,
    figure,
    page,
    table,
    write,
)
from radcommons.records import Arm, Comparison, Estimate, ExperimentResult

ENRICHED = {"real without": 450, "real with": 50, "synthetic without": 400, "synthetic with": 100}


@pytest.fixture
def result(comparison: Callable[..., Comparison]) -> Callable[..., ExperimentResult]:
    def make(findings: Sequence[str] = ("Pneumonia",), repeats: int = 3) -> ExperimentResult:
        auc = Estimate(value=0.8, low=0.7, high=0.9)

        def arm(name: str, images: dict[str, int], diversity: float | None) -> Arm:
            aucs = {f: tuple(np.linspace(0.75, 0.85, repeats)) for f in findings}
            return Arm(
                name=name, description=f"what {name} is", images=images, auc=dict.fromkeys(findings, auc), aucs=aucs,
                diversity=diversity, diversity_sd=diversity and 0.1, epochs=3.0,
            )  # fmt: skip

        return ExperimentResult(
            experiment="enrich",
            sentence="These data do not show that synthetic images help.",
            notes=("the key differs",),
            test_images=6_000,
            test_patients=4_000,
            test_positives=dict.fromkeys(findings, 3_600),
            arms=(
                arm("real only", {"real without": 950, "real with": 50}, 0.24),
                arm("enriched", ENRICHED, None),
            ),
            comparisons=tuple(
                comparison(-0.03, 0.05, 0.0004 if f == findings[0] else 0.4).model_copy(update={"finding": f})
                for f in findings
            ),
            relevant=0.02,
            settings={
                "repeats": repeats, "seed": 0, "bootstrap_samples": 200,
                "classifier": {"network": "densenet-small", "side": 32},
            },
            versions={},
        )  # fmt: skip

    return make


Make = Callable[..., ExperimentResult]


def test_the_table_begins_with_the_sentence_and_says_what_was_tested(result: Make) -> None:
    lines = table(result()).splitlines()
    assert lines[0] == "These data do not show that synthetic images help."
    assert lines[2] == (
        "Test: 6,000 films of 4,000 patients (3,600 with Pneumonia). 3 repeats of every arm; 95% intervals over "
        "patients and repeats."
    )
    assert "1 repeat of every arm; 95% intervals over patients." in table(result(repeats=1))
    assert lines[-1] == "Note: the key differs."


def test_rows_hold_arm_composition_auc_and_diversity_then_difference_and_p(result: Make) -> None:
    text = table(result())
    assert "| real only | what real only is | 950 + 50 real | 0.800 (0.700 to 0.900) | 0.240 ± 0.100 |" in text
    assert "| enriched | what enriched is | 450 + 50 real, 400 + 100 synthetic | 0.800 (0.700 to 0.900) |  |" in text
    assert (
        "| enriched against real only | Pneumonia | undecided | +0.010 (-0.030 to +0.050) | < 0.001 | < 0.001 | "
        "< 0.001 | < 0.001 | 0.050 |"
    ) in text
    assert "Holm's correction covers all 1 comparisons" in text


def test_of_synthetic_against_real_films_the_share_above_chance_is_told(result: Make) -> None:
    found = result(("Edema", "Nodule")).model_copy(update={"experiment": "transfer"})
    unsure = found.arms[0].auc | {"Nodule": Estimate(value=0.6, low=0.4, high=0.8)}
    lower = found.arms[1].auc | {"Edema": Estimate(value=0.74, low=0.7, high=0.8)}
    arms = tuple(a.model_copy(update={"auc": auc}) for a, auc in zip(found.arms, (unsure, lower), strict=True))
    found = found.model_copy(update={"arms": arms})
    rows = [line for line in table(found).splitlines() if re.match(r"\| (Edema|Nodule) \| undecided", line)]
    assert [row.split(" | ")[-1] for row in rows] == ["80% |", "not defined |"]
    said = "share of the AUC above 0.5 that synthetic images reach: Edema 80%, Nodule not defined"
    assert said in as_text(found, Path("out"))
    assert "share" not in as_text(result(), Path("out")) and "share" not in table(result())


@pytest.mark.parametrize("findings", [("Pneumonia",), ("Edema", "Nodule", "Effusion", "Pneumonia")])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(result: Make, findings: Sequence[str]) -> None:
    blocks = [b for b in table(result(findings)).split("\n\n") if b.startswith("|")]
    assert len(blocks) == (2 if len(findings) == 1 else 4), "with several also the answers and the AUCs, by finding"
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert len(blocks[-1].splitlines()) == 2 + len(findings)


def test_composition_is_without_plus_with_or_all(result: Make) -> None:
    arm = result().arms[0]
    assert composition(arm) == "950 + 50 real"
    assert composition(arm.model_copy(update={"images": {"real all": 5_000, "synthetic all": 20}})) == (
        "5,000 real, 20 synthetic"
    )


@pytest.mark.parametrize("findings", [("Pneumonia",), ("Edema", "Nodule", "Effusion", "Pneumonia")])
def test_the_figure_has_a_panel_a_finding_with_every_arm_and_its_repeats(result: Make, findings: Sequence[str]) -> None:
    drawn = figure(result(findings))
    panels = [a for a in drawn.axes if a.get_visible()]
    assert [p.get_title() for p in panels] == list(findings)
    assert all(p.get_xlabel() == "AUC" for p in panels)
    first = panels[0]
    assert [t.get_text() for t in first.get_yticklabels()] == [
        "real only\n950 + 50 real", "enriched\n450 + 50 real, 400 + 100 synthetic"
    ]  # fmt: skip
    assert first.yaxis_inverted(), "the first arm stands on top"
    ticks = [line for line in first.lines if line.get_marker() == "|"]
    assert [len(line.get_xdata()) for line in ticks] == [3, 3]
    intervals = [line for line in first.lines if list(line.get_xdata()) == [0.7, 0.9]]
    assert [line.get_color() for line in intervals] == ["#5c6870", "#c2571a"], "films only, with synthetic images"
    assert [line.get_marker() for line in first.lines if list(line.get_xdata()) == [0.8]] == ["o", "D"], (
        "not colour alone"
    )
    assert "as good as 'real only'" in [t.get_text() for t in drawn.legends[0].get_texts()]


def test_on_a_phone_the_panels_stand_below_each_other_and_a_name_above_its_mark(result: Make) -> None:
    made = result(("Edema", "Nodule"))
    wide, narrow = figure(made), figure(made, narrow=True)
    assert narrow.get_figwidth() < 4.5 < wide.get_figwidth()
    first, second = narrow.axes
    assert first.get_position().x0 == second.get_position().x0 and first.get_position().y0 > second.get_position().y0
    names = [(text.get_text(), text.get_position()[1]) for text in first.texts]
    assert [name.partition("\n")[0] for name, _ in names] == ["real only", "enriched"]
    assert all(place - 0.5 < y < place for place, (_, y) in enumerate(names)), "above the mark and its strokes"
    values = [[line.get_xdata().tolist() for line in drawn.axes[0].lines[1:]] for drawn in (wide, narrow)]
    assert values[0] == values[1], "the same numbers"
    assert '<source media="(max-width: 40rem)" srcset="data:image/svg+xml;base64,' in page(made)


def test_one_repeat_has_no_marks_of_its_own(result: Make) -> None:
    drawn = figure(result(repeats=1))
    assert not [line for line in drawn.axes[0].lines if line.get_marker() == "|"]
    assert "one repeat" not in [t.get_text() for t in drawn.legends[0].get_texts()]


def test_all_four_files_are_written_and_the_record_is_read_back(result: Make, tmp_path: Path) -> None:
    made = result()
    write(made, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.svg", "report.html", "result.json", "table.md"]
    assert ExperimentResult.model_validate_json((tmp_path / "result.json").read_text()) == made
    drawn = (tmp_path / "figure.svg").read_text()
    assert "<!-- AUC -->" in drawn and "<!-- enriched -->" in drawn, "axis and arms are there, as text"


def test_the_terminal_shows_sentence_arms_notes_and_where_the_files_are(result: Make, tmp_path: Path) -> None:
    lines = as_text(result(), tmp_path).splitlines()
    assert lines[0].startswith("These data do not show")
    assert "  real only  0.800 (0.700 to 0.900)" in lines and "  enriched   0.800 (0.700 to 0.900)" in lines
    assert "note: the key differs" in lines
    assert lines[-1].startswith(f"open {tmp_path / 'report.html'}") and lines[-1].count(str(tmp_path)) == 4


def test_the_page_begins_with_question_verdict_and_sentence_and_explains_its_numbers(result: Make) -> None:
    text = page(result())
    order = ["<h1>Do synthetic images improve", "enriched against real only, Pneumonia: undecided", "These data do not",
             "Test: 6,000 films", "<figure", "<table"]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert '<span class="outcome warn">' in text and "a guess" in text and "The key differs." in text


def test_a_result_of_simulated_films_says_so_everywhere(result: Make) -> None:
    simulated = result().model_copy(update={"simulated": True})
    assert "6,000 simulated films of 4,000 simulated patients" in table(simulated)
    assert "simulated test films" in figure(simulated).get_suptitle()
    assert "No patient is involved" in page(simulated)
    assert "imulated" not in page(result()) + table(result()) + figure(result()).get_suptitle()


def test_a_finding_of_too_few_patients_is_printed_weakly(result: Make) -> None:
    found = result(("Edema", "Nodule")).model_copy(update={"few_patients": {"Nodule": 3}})
    assert answer_table(found).faint == auc_table(found).faint == comparison_table(found).faint == [1]
    assert page(found).count('<tr class="faint">') == 3 and "fewer than 10 test patients" in page(found)
    assert "faint" not in page(result(("Edema", "Nodule"))).split("</style>")[1]
