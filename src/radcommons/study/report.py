"""The files of a reader study: the page, the paper's table, the picture, and an export for other programs."""

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radcommons.files import write_whole
from radcommons.pages import COLOURS, Table, curve, drawing, markdown_table, plot, render_page, svg
from radcommons.reader_study import WAYS
from radcommons.records import Estimate, GroupResult, ReaderResult, StudyResult
from radcommons.study.answers import TIMED_OUT, Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECORD, PAGE, TABLE, TABLE_CSV, FIGURE, IMRMC = (
    "study.json", "study.html", "table.md", "table.csv", "figure.svg", "imrmc.csv",
)  # fmt: skip
MEASURES = ("accuracy", "sensitivity", "specificity", "AUC", "s per image", "timed out")
NUMBERS = (
    "group", "block", "readers", "images", "timed_out",
    "accuracy", "accuracy_low", "accuracy_high", "standard_error", "standard_deviation",
    "sensitivity", "specificity", "auc", "kappa", "kappa_low", "kappa_high", "seconds",
)  # fmt: skip
NARROW = 4  # columns of a table that a phone has room for
TABLE_HEAD = "accuracy ± SE among readers, % (Fleiss' kappa)"


def write(result: StudyResult, out: Path) -> None:
    """Write everything that follows from the record alone."""
    heads, rows = paper_table(result)
    text = [result.sentence, "", f"Cells: {TABLE_HEAD}.", "", *markdown_table(heads, rows), ""]
    heads, rows = detail_table(result)
    text += [*markdown_table(heads, rows), "", *test_lines(result), *(f"Note: {note}." for note in result.notes)]
    write_whole(out / TABLE, "\n".join(text).rstrip() + "\n")
    write_whole(out / TABLE_CSV, csv_table(result))
    write_whole(out / FIGURE, svg(accuracy_figure(result)))
    write_whole(out / PAGE, render(result))


def paper_table(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """Table 1 of the paper: a row per group and for all readers, a column per block."""
    by_place = {(r.group, r.block): r for r in result.results}
    rows = [
        [group, *(table_cell(by_place[group, b]) if (group, b) in by_place else "" for b in result.blocks)]
        for group in dict.fromkeys(r.group for r in result.results)
    ]
    return ["group", *result.blocks], rows


def table_cell(r: GroupResult) -> str:
    """E.g. ``60 ± 5 (-0.03)``; SE among readers, "-" for one reader, kappa "-" where it is not defined."""
    error = "-" if r.standard_error is None else f"{100 * r.standard_error:.0f}"
    kappa = "-" if r.kappa is None else f"{r.kappa.value:.2f}"
    return f"{100 * r.accuracy.value:.0f} ± {error} ({kappa})"


def detail_table(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """Every measure of every group and block, with its interval over readers and images."""
    heads = ["group", "block", "readers", "images", *MEASURES, "kappa", "detectable"]
    rows = [
        [r.group, r.block, str(r.readers), str(r.images), *_measures(r), _text(r.kappa), _found(r.detectable)]
        for r in result.results
    ]
    return heads, rows


def _measures(r: GroupResult | ReaderResult) -> list[str]:
    shares = map(_percent, (r.accuracy, r.sensitivity, r.specificity))
    return [*shares, _text(r.auc), "-" if r.seconds is None else f"{r.seconds:.1f}", str(r.timed_out)]


def test_lines(result: StudyResult) -> list[str]:
    """The tests as a Markdown table."""
    if not result.tests:
        return []
    return [*markdown_table(*test_table(result)), ""]


def test_table(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """The tests, by question."""
    rows = [
        [t.question, t.what, _points(t.difference), _p(t.p_value), _p(t.p_corrected)] for t in result.tests
    ]  # fmt: skip
    return ["question", "what", "difference, percentage points", "p", "p, corrected"], rows


def csv_table(result: StudyResult) -> str:
    """The paper's table as numbers, one line per group and block."""
    text = StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(NUMBERS)
    for r in result.results:
        shares = (r.sensitivity.value, r.specificity.value, None if r.auc is None else r.auc.value)
        kappa = (None,) * 3 if r.kappa is None else (r.kappa.value, r.kappa.low, r.kappa.high)
        accuracy = (r.accuracy.value, r.accuracy.low, r.accuracy.high, r.standard_error, r.standard_deviation)
        numbers = ("" if n is None else f"{n:.6g}" for n in (*accuracy, *shares, *kappa, r.seconds))
        out.writerow([r.group, r.block, r.readers, r.images, r.timed_out, *numbers])
    return text.getvalue()


def write_imrmc(answers: Answers, path: Path) -> None:
    """The answers in the long format of iMRMC: the truth of every image, then a score per reader, image and block.

    The score is the signed confidence, or 1 and -1 if an answer made in time has none; 0 for a timed-out answer.
    """
    scores = answers.scores("half")
    in_time = ~np.isnan(answers.calls) & (answers.calls != TIMED_OUT)
    if np.isnan(scores[in_time]).any():
        scores = np.where(in_time, 2 * answers.calls - 1, scores)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["readerID", "caseID", "modalityID", "score"])
        out.writerows(
            ["truth", image, "truth", int(truth)]
            for image, truth in zip(answers.images, answers.synthetic, strict=True)
        )
        for block, reader, image in np.argwhere(~np.isnan(answers.calls)):
            score = f"{scores[block, reader, image]:g}"
            out.writerow([answers.readers[reader], answers.images[image], answers.blocks[block], score])


def render(result: StudyResult) -> str:
    """The page as HTML."""
    readers_rows = [[r.reader, r.group, r.block, str(r.images), *_measures(r)] for r in result.by_reader]
    ways_rows = [
        [r.group, r.block, *(_percent(r.accuracy_if.get(way)) for way in WAYS), _percent(r.bootstrap)]
        for r in result.results
    ]
    detail, tests = detail_table(result), test_table(result)
    readers = ["reader", "group", "block", "images", *MEASURES]
    ways = ["group", "block", "timed out = half", "= wrong", "= excluded", "bootstrap"]
    return render_page(
        "study.html.j2",
        study=result,
        paper=_table("Accuracy and agreement by group and block", *paper_table(result), first_number=1),
        table_head=TABLE_HEAD,
        detail=_table("Every measure of each group and block", *detail, first_number=2),
        tests=_table("Tests", *tests, first_number=2),
        readers=_table("Every measure of each reader", readers, readers_rows, first_number=3),
        ways=_table("Accuracy, by how a timed-out answer counts", ways, ways_rows, first_number=2),
        timed_out=WAYS[result.timed_out],
        accuracy=plot(accuracy_figure(result), "Accuracy of each reader and group with 95% intervals, by block"),
        more=plot(_more(result), "ROC curves by confidence, and accuracy in each quarter of the order"),
    )


def _table(caption: str, heads: list[str], rows: list[list[str]], *, first_number: int) -> Table:
    numbers = range(first_number, len(heads))
    return Table(caption=caption, heads=heads, rows=rows, numbers=numbers, stack=len(heads) > NARROW)


def accuracy_figure(result: StudyResult) -> "Figure":
    """Accuracy of each reader (exact intervals) and group (over readers and images), a panel per block."""
    groups = list(dict.fromkeys(r.group for r in result.results))
    widest = max(sum(r.block == b for r in result.by_reader) for b in result.blocks) + len(groups)
    with drawing(max(3.2, 0.9 + 0.24 * widest) * len(result.blocks), 3.6) as figure:
        panels = figure.subplots(1, len(result.blocks), sharey=True, squeeze=False)[0]
        for panel, block in zip(panels, result.blocks, strict=True):
            _accuracies(panel, result, groups, block)
        panels[0].set_ylabel("accuracy")
        handles, labels = panels[-1].get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return figure


def _accuracies(panel: "Axes", result: StudyResult, groups: list[str], block: str) -> None:
    place = 0
    panel.axhline(0.5, color="0.4", linewidth=1, linestyle="--", label="chance")
    for number, group in enumerate(groups):
        colour = COLOURS[number % len(COLOURS)]
        for r in (r for r in result.by_reader if r.block == block and r.group == group):
            if r.accuracy is not None:
                panel.plot([place, place], _ends(r.accuracy), color=colour, linewidth=1, alpha=0.6)
                panel.plot([place], [r.accuracy.value], "o", color=colour, markersize=3.5, alpha=0.8)
                place += 1
        for whole in (r for r in result.results if r.block == block and r.group == group):
            e = whole.accuracy
            panel.plot([place, place], _ends(e), color=colour, linewidth=2.6, solid_capstyle="butt")
            panel.plot([place], [e.value], "D", color=colour, markersize=6, label=f"{group}, 95% interval")
            place += 2
    panel.set(title=block, ylim=(0, 1.02), xlim=(-1, place))
    panel.set_xticks([])
    panel.grid(axis="x", visible=False)


def _more(result: StudyResult) -> "Figure":
    """ROC curves of all readers, a line per block; accuracy by quarter of the order."""
    whole = [r for r in result.results if r.group == result.results[-1].group]
    with drawing(8.6, 3.6) as figure:
        roc, order = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
        order.axhline(0.5, color="0.6", linewidth=0.8, linestyle="--")
        for number, r in enumerate(whole):
            quarters = np.array(r.quarters, float)
            order.plot(range(1, len(quarters) + 1), quarters, marker="o", markersize=4, label=r.block, **curve(number))
            if r.roc:
                roc.plot(*np.transpose(r.roc), marker=".", **curve(number))
        roc.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC, by confidence", aspect="equal")
        order.set(xlabel="quarter of the order", ylabel="accuracy", title="learning or tiring", ylim=(0, 1.02))
        order.set_xticks(range(1, len(whole[0].quarters) + 1))
        order.legend(title="block", frameon=False, fontsize=8)
        return figure


def as_text(result: StudyResult, out: Path) -> str:
    """The result for a terminal."""
    heads, rows = paper_table(result)
    widths = [max(len(line[i]) for line in (heads, *rows)) for i in range(len(heads))]
    lines = [result.sentence, "", f"{TABLE_HEAD}:"]
    lines += ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in (heads, *rows)]
    lines += ["", *(f"note: {note}" for note in result.notes), f"{out / PAGE}, {out / TABLE}, {out / RECORD}"]
    return "\n".join(lines)


def _found(detectable: float | None) -> str:
    return "-" if detectable is None else f"{detectable:.0%}"


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.0%}"
    return f"{estimate.value:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"


def _points(estimate: Estimate) -> str:
    low, high = _ends(estimate)
    return f"{100 * estimate.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _ends(estimate: Estimate) -> list[float]:
    assert estimate.low is not None and estimate.high is not None
    return [estimate.low, estimate.high]


def _text(estimate: Estimate | None) -> str:
    return "-" if estimate is None else estimate.text(".2f")


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
