"""An evaluation as a Markdown table and as a page with curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from radcommons.metrics.bootstrap import FEW_PATIENTS
from radcommons.pages import Table, curve, drawing, markdown_table, plot, render_page
from radcommons.records import Estimate, Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("AUC", "average precision", "accuracy", "sensitivity", "specificity", "PPV", "NPV", "F1")
RULES = {
    "youden": "of Youden's rule (largest sensitivity + specificity)",
    "closest to corner": "closest to the corner of perfect sensitivity and specificity",
}
NAMES_A_LINE = 6  # in the legend of the plots


def written(estimate: Estimate | None, form: str = ".3f") -> str:
    """An estimate with its interval as text, or that there is none."""
    return "not defined" if estimate is None else estimate.text(form)


def rows(evaluation: Evaluation, rule: str = "youden") -> list[tuple[str, list[str]]]:
    """One row per finding, then the mean: the name, and one text per column."""
    found = []
    for f in evaluation.findings:
        at = f.rules[rule]
        estimates = [f.auc, f.average_precision, at.accuracy, at.sensitivity, at.specificity, at.ppv, at.npv, at.f1]
        found.append((f.finding, [written(e) for e in estimates]))
    if len(found) > 1:
        means = [*evaluation.mean.values(), *evaluation.mean_at[rule].values()]
        found.append(("mean", [written(e) for e in means]))
    return found


def caution(evaluation: Evaluation) -> str:
    """What a reader must know before the numbers: films seen in training, few patients, findings left out."""
    said = []
    did = {"train": "the classifier learned from", "val": "thresholds and the end of training were chosen on"}
    if evaluation.part in did:
        said.append(
            f"If this store was used in training, these are the films that {did[evaluation.part]}, "
            "and the numbers are too good."
        )
    few = [f"{f.finding} ({f.patients_of_rarer})" for f in evaluation.findings if f.patients_of_rarer < FEW_PATIENTS]
    if few:
        said.append(
            f"Fewer than {FEW_PATIENTS} patients of the rarer class: {', '.join(few)}. Do not rely on these numbers."
        )
    counts = evaluation.one_class.items()
    one_class = [f"{f} ({present:,} films with, {absent:,} without)" for f, (present, absent) in counts]
    if one_class:
        said.append(f"Not evaluated, because all films are of one class: {', '.join(one_class)}.")
    return " ".join(said)


def table(evaluation: Evaluation) -> str:
    """The results as Markdown."""
    lines = [
        f"{evaluation.classifier}, evaluated on the part '{evaluation.part}' of {evaluation.store}: "
        f"{evaluation.images:,} films of {evaluation.patients:,} patients. "
        f"95% intervals from {evaluation.bootstrap_samples:,} bootstrap samples of {evaluation.unit}; "
        f"thresholds by Youden's rule on validation. {caution(evaluation)}".rstrip(),
        "",
    ]
    counts = {f.finding: f"{f.positives:,} / {f.negatives:,}" for f in evaluation.findings}
    cells = ((name, counts.get(name, ""), *texts) for name, texts in rows(evaluation))
    return "\n".join([*lines, *markdown_table(("finding", "films with / without", *COLUMNS), cells)]) + "\n"


def headline(evaluation: Evaluation) -> str:
    """The result in a sentence: the AUC, or their mean and both ends among findings of enough patients."""
    ends = sorted((f for f in evaluation.findings if f.patients_of_rarer >= FEW_PATIENTS), key=lambda f: f.auc.value)
    if len(evaluation.findings) == 1:
        return f"AUC for {evaluation.findings[0].finding} {evaluation.findings[0].auc.text()}."
    said = f"Mean AUC {evaluation.mean['auc'].text()} over {len(evaluation.findings)} findings"
    if len(ends) > 1:
        high, low = (f"{f.finding}, {f.auc.text()}" for f in (ends[-1], ends[0]))
        said += f"; highest for {high}, lowest for {low}"
    return f"{said}."


def render(evaluation: Evaluation) -> str:
    """The page as HTML."""
    return render_page(
        "evaluation.html.j2",
        evaluation=evaluation,
        headline=headline(evaluation),
        everywhere=_everywhere(evaluation),
        rules={rule: _at_threshold(evaluation, rule) for rule in evaluation.findings[0].rules},
        curves=plot(
            _curves(evaluation),
            f"ROC, precision-recall and calibration curves of {', '.join(f.finding for f in evaluation.findings)}",
        ),
        caution=caution(evaluation),
        few=FEW_PATIENTS,
    )


def _everywhere(evaluation: Evaluation) -> Table:
    """What does not depend on a threshold."""
    table_rows = [
        [
            f.finding,
            f.auc.text(),
            f.average_precision.text(),
            f"{f.positives:,}",
            f"{f.negatives:,}",
            f"{f.calibration.expected_error:.3f}",
            f"{f.calibration.brier:.3f}",
        ]
        for f in evaluation.findings
    ]
    if len(table_rows) > 1:
        table_rows.append(["mean", *(e.text() for e in evaluation.mean.values()), "", "", "", ""])
    heads = ["finding", *COLUMNS[:2], "films with", "films without", "calibration error", "Brier score"]
    return _table(evaluation, "At every threshold", heads, table_rows)


def _at_threshold(evaluation: Evaluation, rule: str) -> Table:
    thresholds = [f"{f.rules[rule].threshold:.3f}" for f in evaluation.findings]
    table_rows = [
        [name, threshold, *texts[2:]]
        for (name, texts), threshold in zip(rows(evaluation, rule), [*thresholds, ""], strict=False)
    ]
    return _table(evaluation, f"At the threshold {RULES[rule]}", ["finding", "threshold", *COLUMNS[2:]], table_rows)


def _table(evaluation: Evaluation, caption: str, heads: Sequence[str], table_rows: Sequence[Sequence[str]]) -> Table:
    few = [i for i, f in enumerate(evaluation.findings) if f.patients_of_rarer < FEW_PATIENTS]
    numbers = range(1, len(heads))
    return Table(caption=caption, heads=heads, rows=table_rows, numbers=numbers, faint=few, stack=True)


def _curves(evaluation: Evaluation) -> "Figure":
    lines = -(-len(evaluation.findings) // NAMES_A_LINE)
    with drawing(10.5, 3.5 + 0.2 * lines) as figure:
        roc, recall, calibration = figure.subplots(1, 3)
        roc.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        calibration.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for number, f in enumerate(evaluation.findings):
            style = {"linewidth": 1.4, **curve(number)}
            roc.plot(*zip(*f.roc, strict=True), label=f"{f.finding} {f.auc.value:.2f}", **style)
            recall.step(*zip(*f.precision_recall, strict=True), where="pre", **style)
            c = f.calibration
            calibration.plot(c.predicted, c.observed, marker="o", markersize=3, **style)
        roc.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity", title="ROC")
        recall.set(
            xlabel="recall (sensitivity)", ylabel="precision (PPV)", title="precision and recall", ylim=(0, 1.03)
        )
        calibration.set(xlabel="probability given", ylabel="share with the finding", title="calibration")
        figure.legend(title="AUC", frameon=False, fontsize=8, loc="outside lower center", ncols=NAMES_A_LINE)
        return figure


def as_text(evaluation: Evaluation, page: str) -> str:
    """The results for a terminal."""
    lines = [
        f"{evaluation.part} part of {evaluation.store}: {evaluation.images:,} films of {evaluation.patients:,} patients"
    ]
    width = max(len(f.finding) for f in evaluation.findings)
    for f in evaluation.findings:
        at = f.rules["youden"]
        lines.append(
            f"  {f.finding:<{width}}  AUC {written(f.auc)}  sensitivity {written(at.sensitivity, '.2f')}  "
            f"specificity {written(at.specificity, '.2f')}"
        )
    if caution(evaluation):
        lines.append(caution(evaluation))
    lines.append(f"95% intervals over {evaluation.unit}; thresholds chosen on validation. Page: {page}")
    return "\n".join(lines)
