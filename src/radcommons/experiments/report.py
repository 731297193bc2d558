"""The files of an experiment: ``result.json``, ``table.md``, ``figure.svg``, ``report.html``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from radcommons.experiments.compare import PERMUTATIONS, POWER, share_above_chance
from radcommons.files import write_whole
from radcommons.metrics.bootstrap import FEW_PATIENTS
from radcommons.pages import Table, component, drawing, markdown_table, plot, render_page, svg
from radcommons.records import Arm, ExperimentResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD, TABLE, FIGURE, PAGE = "result.json", "table.md", "figure.svg", "report.html"
P_VALUES = ("p", "p, corrected", "p, permutation", "p, DeLong")
SHARE = "share of the AUC above 0.5"
REAL, SYNTHETIC = ("#5c6870", "o"), ("#c2571a", "D")  # colour and marker of arms without and with synthetic images
QUESTIONS = {
    "enrich": "Do synthetic images improve a classifier of few films?",
    "merge": "Are synthetic images of two sites better than those of one?",
    "transfer": "What does a classifier lose that learns from synthetic images instead of films?",
}


def write(result: ExperimentResult, out: Path) -> None:
    """Write all four."""
    write_whole(out / TABLE, table(result))
    write_whole(out / FIGURE, svg(figure(result)))
    write_whole(out / PAGE, page(result))
    write_whole(out / RECORD, result.to_json())


def page(result: ExperimentResult) -> str:
    """The page as HTML: the answer, the figure, both tables, and how they were made."""
    mark = partial(component, "mark")
    return render_page(
        "experiment.html.j2",
        result=result,
        question=QUESTIONS[result.experiment],
        tested=tested(result),
        figure=drawn(result),
        arms=arm_table(result),
        aucs=auc_table(result),
        answers=answer_table(result, mark),
        comparisons=comparison_table(result, mark),
        few=FEW_PATIENTS,
        power=POWER,
        permutations=PERMUTATIONS,
    )


def drawn(result: ExperimentResult) -> Markup:
    """The figure with its caption, for any page."""
    arms = ", ".join(arm.name for arm in result.arms)
    description = f"AUC of {', '.join(result.test_positives)} on the test films for the arms {arms}"
    content = plot(figure(result), description, on_a_phone=figure(result, narrow=True))
    said = [
        "Right is better; 0.5 is a guess. A mark is an arm's mean AUC and its line the 95% interval: circles learned "
        "from films alone, diamonds also or only from synthetic images.",
        "A thin stroke above a mark is one training." if _repeats(result) > 1 else "",
        f"Dashed: as good as '{result.arms[0].name}'.",
        "Under each name: training images without + with the finding." if len(result.test_positives) == 1 else "",
    ]
    return component("plot", content, " ".join(filter(None, said)))


def tested(result: ExperimentResult) -> str:
    """On what the arms were compared, in one sentence or two."""
    repeats = _repeats(result)
    positives = ", ".join(f"{n:,} with {f}" for f, n in result.test_positives.items())
    films = "simulated films" if result.simulated else "films"
    patients = "simulated patients" if result.simulated else "patients"
    return (
        f"Test: {result.test_images:,} {films} of {result.test_patients:,} {patients} ({positives}). "
        f"{repeats} repeat{'s' if repeats > 1 else ''} of every arm; 95% intervals over patients"
        f"{' and repeats' if repeats > 1 else ''}."
    )


def arm_table(result: ExperimentResult) -> Table:
    """What each arm learns from, and its AUC if there is one finding."""
    findings = list(result.test_positives)
    shown = findings if len(findings) == 1 else []
    rows = []
    for arm in result.arms:
        spread = "" if arm.diversity is None else f"{arm.diversity:.3f} ± {arm.diversity_sd:.3f}"
        rows.append([arm.name, arm.description, composition(arm), *(arm.auc[f].text() for f in shown), spread])
    heads = ["arm", "learns from", "training images", *(f"AUC, {f}" for f in shown), "MS-SSIM of positives"]
    return Table(caption="The arms", heads=heads, rows=rows, numbers=range(3, len(heads)), stack=True)


def auc_table(result: ExperimentResult) -> Table | None:
    """AUC of every arm, finding by finding; None if there is one, which is in the table of the arms."""
    if len(result.test_positives) == 1:
        return None
    arms = [arm.name for arm in result.arms]
    return Table(
        caption="AUC of every arm, finding by finding",
        heads=["finding", *arms],
        rows=[[finding, *(arm.auc[finding].text() for arm in result.arms)] for finding in result.test_positives],
        numbers=range(1, len(arms) + 1),
        faint=[i for i, finding in enumerate(result.test_positives) if finding in result.few_patients],
        stack=True,
    )


def answer_table(result: ExperimentResult, mark: Callable[[str], str] = str) -> Table | None:
    """The differences that answer the experiment's question, finding by finding; None where one sentence does."""
    if len(result.test_positives) == 1 and result.experiment != "transfer":
        return None
    shares = shares_above_chance(result)
    rows = [
        [
            c.finding,
            mark(c.verdict),
            c.difference.text("+.3f"),
            p_text(c.p_corrected),
            _detectable(c.detectable),
            *([shares[c.finding]] if shares else []),
        ]
        for c in result.main
    ]
    arms = f"{result.main[0].arm} against {result.main[0].against}"
    heads = ["finding", arms, "difference of AUC", "p, corrected", "detectable", *([SHARE] if shares else [])]
    return Table(
        caption=f"{arms}, finding by finding",
        heads=heads,
        rows=rows,
        numbers=range(2, len(heads)),
        faint=[i for i, c in enumerate(result.main) if c.finding in result.few_patients],
        stack=True,
    )


def comparison_table(result: ExperimentResult, mark: Callable[[str], str] = str) -> Table:
    """Differences of AUC between arms, what is known about luck, and what it means; `mark` writes a verdict."""
    rows = [
        [
            f"{c.arm} against {c.against}",
            c.finding,
            mark(c.verdict),
            c.difference.text("+.3f"),
            *map(p_text, (c.p_value, c.p_corrected, c.p_permutation, c.p_delong)),
            _detectable(c.detectable),
        ]
        for c in result.comparisons
    ]
    heads = ["comparison", "finding", "verdict", "difference of AUC", *P_VALUES, "detectable"]
    return Table(
        caption="All differences",
        heads=heads,
        rows=rows,
        numbers=range(3, len(heads)),
        faint=[i for i, c in enumerate(result.comparisons) if c.finding in result.few_patients],
        stack=True,
    )


def table(result: ExperimentResult) -> str:
    """Arms, then comparisons, as Markdown."""
    tables = [answer_table(result), arm_table(result), auc_table(result), comparison_table(result)]
    lines = [result.sentence, "", tested(result), ""]
    for one in filter(None, tables):
        lines += [*markdown_table(one.heads, one.rows), ""]
    lines += [
        f'Holm\'s correction covers all {len(result.comparisons)} comparisons. "Detectable" is the difference that '
        f"would have been found with a power of {POWER:.0%} after the correction. A difference below {result.relevant} "
        'does not matter: where the whole interval is below it, the verdict is "no relevant difference" at any p.',
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
    lines.append(f"open {out / PAGE}; {out / TABLE}, {out / FIGURE}, {out / RECORD}")
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


def figure(result: ExperimentResult, *, narrow: bool = False) -> "Figure":
    """AUC of every arm with its interval, and one stroke per repeat; one panel per finding.

    Args:
        narrow: for a phone: the panels below each other, and the name of an arm above its mark.
    """
    findings = list(result.test_positives)
    columns = 1 if narrow else min(2, len(findings))
    rows = -(-len(findings) // columns)
    height = 0.9 + (0.7 if narrow else 0.42) * len(result.arms)
    with drawing(4.2 if narrow else 9.6, rows * height + 0.5) as plotted:
        axes = plotted.subplots(rows, columns, squeeze=False, sharey=True)
        for panel in axes.flat[len(findings) :]:
            panel.set_visible(False)
        for panel, finding in zip(axes.flat, findings, strict=False):
            first = result.arms[0]
            panel.axvline(first.auc[finding].value, color="0.5", linewidth=0.8, linestyle="--")
            for place, arm in enumerate(result.arms):
                colour, marker = SYNTHETIC if any(kind.startswith("synthetic") for kind in arm.images) else REAL
                e = arm.auc[finding]
                assert e.low is not None and e.high is not None
                panel.plot([e.low, e.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
                panel.plot([e.value], [place], marker, color=colour, markersize=6)
                if len(arm.aucs[finding]) > 1:
                    above = [place - 0.25] * len(arm.aucs[finding])
                    panel.plot(arm.aucs[finding], above, "|", color=colour, markersize=5)
            names = [f"{arm.name}\n{composition(arm)}" for arm in result.arms]
            panel.set_yticks([] if narrow else range(len(names)), [] if narrow else names)
            panel.set_ylim(len(names) - 0.5, -0.95 if narrow else -0.5)
            for place, name in enumerate(names if narrow else []):
                panel.text(0.02, place - 0.4, name, transform=panel.get_yaxis_transform(), fontsize=8)
            panel.set(title=finding, xlabel="AUC")
        films = "simulated test films" if result.simulated else "test films"
        plotted.suptitle(f"AUC on {result.test_images:,} {films} of {result.test_patients:,} patients", fontsize=10)
        _legend(plotted, result, columns=1 if narrow else 2)
        return plotted


def _legend(plotted: "Figure", result: ExperimentResult, *, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles: list[Line2D] = [
        Line2D([], [], color=colour, marker=marker, label=label)
        for (colour, marker), label in ((REAL, "films only, 95% interval"), (SYNTHETIC, "with synthetic images"))
    ]
    handles.append(
        Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label=f"as good as '{result.arms[0].name}'")
    )
    if _repeats(result) > 1:
        handles.append(Line2D([], [], color="0.4", marker="|", linestyle="", label="one repeat"))
    plotted.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _repeats(result: ExperimentResult) -> int:
    return len(next(iter(result.arms[0].aucs.values())))


def p_text(value: float | None) -> str:
    """A p value for people; empty if there is none."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _detectable(difference: float) -> str:
    return "none" if difference >= 1 else f"{difference:.3f}"
