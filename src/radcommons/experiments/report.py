"""The files of an experiment: ``result.json``, ``table.md``, ``figure.png``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from radcommons.experiments.compare import share_above_chance
from radcommons.files import put_whole, write_whole
from radcommons.pages import drawing, markdown_table
from radcommons.records import Arm, ExperimentResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD, TABLE, FIGURE = "result.json", "table.md", "figure.png"
P_VALUES = ("p", "p, corrected", "p, permutation", "p, DeLong")
REAL, SYNTHETIC = "#5c6870", "#c2571a"


def write(result: ExperimentResult, out: Path) -> None:
    """Write all three."""
    write_whole(out / TABLE, table(result))
    put_whole(out / FIGURE, partial(figure(result).savefig, dpi=150))
    write_whole(out / RECORD, result.to_json())


def table(result: ExperimentResult) -> str:
    """Arms, then comparisons, as Markdown."""
    findings = list(result.test_positives)
    repeats = len(next(iter(result.arms[0].aucs.values())))
    tested = ", ".join(f"{n:,} with {f}" for f, n in result.test_positives.items())
    lines = [
        result.sentence,
        "",
        f"Test: {result.test_images:,} films of {result.test_patients:,} patients ({tested}). "
        f"{repeats} repeat{'s' if repeats > 1 else ''} of every arm; 95% intervals over patients"
        f"{' and repeats' if repeats > 1 else ''}.",
        "",
    ]
    rows = []
    for arm in result.arms:
        spread = "" if arm.diversity is None else f"{arm.diversity:.3f} ± {arm.diversity_sd:.3f}"
        values = [arm.auc[f].text() for f in findings]
        rows.append([f"{arm.name}: {arm.description}", composition(arm), *values, spread])
    heads = ["arm", "training images", *(f"AUC, {f}" for f in findings), "MS-SSIM of positives"]
    lines += [*markdown_table(heads, rows), ""]
    shares = shares_above_chance(result)
    compared = [
        (
            f"{c.arm} against {c.against}",
            c.finding,
            c.difference.text("+.3f"),
            *map(_p, (c.p_value, c.p_corrected, c.p_permutation, c.p_delong)),
            f"{c.detectable:.3f}",
            c.verdict,
            *([shares[c.finding]] if shares else []),
        )
        for c in result.comparisons
    ]
    heads = ["comparison", "finding", "difference of AUC", *P_VALUES, "detectable", "verdict"]
    lines += markdown_table([*heads, *(["share of the AUC above 0.5"] if shares else [])], compared)
    lines += [
        "",
        f'Holm\'s correction covers all {len(result.comparisons)} comparisons. "Detectable" is the difference that '
        f"would have been found with a power of 80% after the correction. A difference below {result.relevant} does "
        'not matter: where the whole interval is below it, the verdict is "no relevant difference" at any p.',
        "The last two p values use scores averaged over the repeats. The AUC of averaged scores is not the mean AUC of "
        "the repeats, so their difference may have another size. They check the variation between patients only.",
    ]
    lines += [f"Note: {note}." for note in result.notes]
    return "\n".join(lines) + "\n"


def as_text(result: ExperimentResult, out: Path) -> str:
    """The result for a terminal."""
    lines = [result.sentence, ""]
    width = max(len(arm.name) for arm in result.arms)
    for finding in result.test_positives:
        lines.append(f"{finding}: AUC")
        lines += [f"  {arm.name:<{width}}  {arm.auc[finding].text()}" for arm in result.arms]
    if shares := shares_above_chance(result):
        named = ", ".join(f"{finding} {share}" for finding, share in shares.items())
        lines.append(f"share of the AUC above 0.5 that synthetic images reach: {named}")
    lines += [f"note: {note}" for note in result.notes]
    lines.append(f"{out / TABLE}, {out / FIGURE}, {out / RECORD}")
    return "\n".join(lines)


def shares_above_chance(result: ExperimentResult) -> dict[str, str]:
    """By finding, the share of the real films' AUC above 0.5 that synthetic images reach; empty elsewhere."""
    if result.experiment != "transfer":
        return {}
    real, synthetic = result.arms
    shares = {f: share_above_chance(synthetic.auc[f], real.auc[f]) for f in result.test_positives}
    return {f: "not defined" if share is None else f"{share:.0%}" for f, share in shares.items()}


def composition(arm: Arm) -> str:
    """What an arm learns from, e.g. ``450 + 50 real, 400 + 100 synthetic``: without, and with the finding."""
    parts = []
    for kind in ("real", "synthetic"):
        counts = {k.removeprefix(f"{kind} "): n for k, n in arm.images.items() if k.startswith(f"{kind} ")}
        if "without" in counts:
            parts.append(f"{counts['without']:,} + {counts['with']:,} {kind}")
        elif "all" in counts:
            parts.append(f"{counts['all']:,} {kind}")
    return ", ".join(parts)


def figure(result: ExperimentResult) -> "Figure":
    """AUC of every arm with its interval, and one mark per repeat; one panel per finding."""
    findings = list(result.test_positives)
    columns = min(3, len(findings))
    rows = -(-len(findings) // columns)
    height = 0.9 + 0.42 * len(result.arms)
    with drawing(2.8 + 3.4 * columns, rows * height + 0.5) as plotted:
        axes = plotted.subplots(rows, columns, squeeze=False, sharey=True)
        for panel in axes.flat[len(findings) :]:
            panel.set_visible(False)
        for panel, finding in zip(axes.flat, findings, strict=False):
            first = result.arms[0]
            panel.axvline(first.auc[finding].value, color="0.5", linewidth=0.8, linestyle="--")
            for place, arm in enumerate(result.arms):
                colour = SYNTHETIC if any(kind.startswith("synthetic") for kind in arm.images) else REAL
                e = arm.auc[finding]
                assert e.low is not None and e.high is not None
                panel.plot([e.low, e.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
                panel.plot([e.value], [place], "o", color=colour, markersize=6)
                if len(arm.aucs[finding]) > 1:
                    above = [place - 0.25] * len(arm.aucs[finding])
                    panel.plot(arm.aucs[finding], above, "|", color=colour, markersize=5)
            panel.set_yticks(range(len(result.arms)), [f"{arm.name}\n{composition(arm)}" for arm in result.arms])
            panel.set_ylim(len(result.arms) - 0.5, -0.5)
            panel.set_title(finding)
        plotted.suptitle(f"AUC on {result.test_images:,} real test films", fontsize=10)
        _legend(plotted, result)
        return plotted


def _legend(plotted: "Figure", result: ExperimentResult) -> None:
    from matplotlib.lines import Line2D

    handles: list[Line2D] = [
        Line2D([], [], color=REAL, marker="o", label="films only, 95% interval"),
        Line2D([], [], color=SYNTHETIC, marker="o", label="with synthetic images"),
        Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label=f"as good as '{result.arms[0].name}'"),
    ]
    if len(next(iter(result.arms[0].aucs.values()))) > 1:
        handles.append(Line2D([], [], color="0.4", marker="|", linestyle="", label="one repeat"))
    plotted.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
