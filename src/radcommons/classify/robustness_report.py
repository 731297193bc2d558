"""The robustness of classifiers as a Markdown table, as lines for a terminal and as a figure."""

from typing import TYPE_CHECKING

from radcommons.pages import drawing, markdown_table
from radcommons.records import RobustComparison, RobustCurve, Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#5c6870", "#c2571a")


def table(robustness: Robustness) -> str:
    """The results as Markdown: AUC against epsilon, for each finding where there are several, and the checks."""
    result = robustness.result
    lines = [conditions(robustness), "", *_means(result)]
    findings = next(iter(result.curves.values())).findings
    if len(findings) > 1:
        lines += ["", *_by_finding(result, findings)]
    lines += ["", f"Checks of the attack at epsilon {result.epsilon:g}:", "", "| classifier | check | | numbers |"]
    lines.append("|---|---|---|---|")
    for name, checks in result.checks.items():
        lines += [f"| {name} | {c.name} | {'passed' if c.passed else 'FAILED'} | {c.verdict} |" for c in checks]
    return "\n".join([*lines, "", result.statement]) + "\n"


def conditions(robustness: Robustness) -> str:
    """What was attacked, and how, in words."""
    curve = next(iter(robustness.result.curves.values()))
    known = {name: value for name, value in curve.attack.items() if name != "norm"}
    size = "largest change of a pixel" if curve.attack["norm"] == "linf" else "root mean square change of the pixels"
    return (
        f"{curve.films:,} of {robustness.films_in_part:,} films ({curve.patients:,} patients) of the part "
        f"'{robustness.part}' of {robustness.store}, findings {', '.join(curve.findings)}"
        + (f" (left out, one class only: {', '.join(curve.left_out)})" if curve.left_out else "")
        + f". Epsilon is the {size}, grey levels of 0 to 255. Projected gradient ascent ("
        + ", ".join(f"{name} = {'default' if value is None else value}" for name, value in known.items())
        + f"), seed {robustness.seed}. 95% intervals from {robustness.bootstrap_samples:,} bootstrap samples of "
        "patients. A stronger attack may exist: no AUC here is a lower bound."
    )


def as_text(robustness: Robustness, figure: str) -> str:
    """The results for a terminal."""
    result = robustness.result
    curve = next(iter(result.curves.values()))
    lines = [f"Left out, one class only among these films: {', '.join(curve.left_out)}."] if curve.left_out else []
    for name, curve in result.curves.items():
        lines.append(f"{name}: mean AUC on {curve.films:,} films under attack (under noise of the same size)")
        lines += [f"  epsilon {p.epsilon:<5g} {p.mean_auc.text()}  ({p.noise_mean_auc:.3f})" for p in curve.points]
        lines += [f"  check '{c.name}' failed: {c.verdict}" for c in result.checks[name] if not c.passed]
    return "\n".join([*lines, result.statement, f"Figure: {figure}"])


def _means(result: RobustComparison) -> list[str]:
    names = list(result.curves)
    heads = ["epsilon", *(f"{name}, under {what}" for name in names for what in ("attack", "noise"))]
    if result.differences:
        heads.append(f"{names[1]} minus {names[0]}, under attack")
    rows = []
    for place, first in enumerate(result.curves[names[0]].points):
        points = [result.curves[name].points[place] for name in names]
        cells = [text for p in points for text in (p.mean_auc.text(), f"{p.noise_mean_auc:.3f}")]
        difference = [result.differences[place].mean_auc.text("+.3f")] if result.differences else []
        rows.append([f"{first.epsilon:g}", *cells, *difference])
    return markdown_table(heads, rows)


def _by_finding(result: RobustComparison, findings: tuple[str, ...]) -> list[str]:
    rows = [
        (name, f"{p.epsilon:g}", *(f"{p.auc[f]:.3f}" for f in findings))
        for name, curve in result.curves.items()
        for p in curve.points
    ]
    table = markdown_table(("classifier", "epsilon", *findings), rows)
    return ["AUC of each finding under an attack on all of them at once:", "", *table]


def robustness_figure(comparison: RobustComparison) -> "Figure":
    """Curves of all networks; bands are the intervals of 0.95 over patients, a failed check is named in the legend.

    `radcommons.pages.plot` embeds it, `svg` makes a file of it; ``figure.savefig(path)`` writes others.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing(5.6, 3.4) as figure:
        axes = figure.subplots()
        axes.axhline(0.5, color="0.6", linewidth=0.8, linestyle="--")
        for (name, curve), colour in zip(comparison.curves.items(), COLOURS, strict=False):
            failed = [check.name for check in comparison.checks[name] if not check.passed]
            _draw(axes, curve, colour, f"{name} (failed: {', '.join(failed)})" if failed else name)
        norm = next(iter(comparison.curves.values())).attack["norm"]
        size = "largest change of a pixel" if norm == "linf" else "root mean square change"
        axes.set(xlabel=f"epsilon: {size}, grey levels", ylabel="mean AUC", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(MaxNLocator("auto", min_n_ticks=3))
        figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=1)
        return figure


def _draw(axes: "Axes", curve: RobustCurve, colour: str, label: str) -> None:
    epsilons, means = [p.epsilon for p in curve.points], [p.mean_auc for p in curve.points]
    lows, highs = ([end or 0.0 for end in ends] for ends in zip(*((m.low, m.high) for m in means), strict=True))
    axes.fill_between(epsilons, lows, highs, color=colour, alpha=0.15, linewidth=0)
    values, noisy = [m.value for m in means], [p.noise_mean_auc for p in curve.points]
    axes.plot(epsilons, values, color=colour, marker="o", markersize=3, label=f"{label}, under attack")
    axes.plot(epsilons, noisy, color=colour, linestyle=":", label=f"{label.split(' (')[0]}, under noise")
