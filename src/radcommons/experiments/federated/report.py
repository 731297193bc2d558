"""The files of the experiment: ``result.json``, ``table.md``, ``points.csv``, ``figure.svg``, ``report.html``."""

import csv
import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radcommons.experiments.federated.conclusions import PAPER
from radcommons.experiments.report import FIGURE, RECORD, TABLE, p_text
from radcommons.files import write_whole
from radcommons.pages import Table, component, curve, drawing, markdown_table, picture, plot, render_page, svg
from radcommons.pictures import contact_sheet
from radcommons.records import ArmPoint, Estimate, FederatedArm, FederatedExperimentResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CSV, PAGE = "points.csv", "report.html"
MARKERS = {"centralised": "o", "one client": "s", "federated": "D", "skewed": "^", "generator shared": "v", "pool": "P"}
BETTER = {"lower": "better", "higher": "worse"}  # of FID
OWN = "its own critic's Wasserstein distance"
Of = Callable[[ArmPoint], Estimate | None]
MEASURES: dict[str, Of] = {
    "negative critic loss": lambda point: point.critic_loss,
    "FID": lambda point: point.fid,
    OWN: lambda point: point.own_critic,
}


def write(result: FederatedExperimentResult, images: Mapping[str, np.ndarray], out: Path) -> None:
    """Write all five; `images`: some of each arm, uint8 (n, R, R)."""
    write_whole(out / TABLE, table(result))
    write_whole(out / CSV, points(result))
    write_whole(out / FIGURE, svg(figure(result)))
    side = max(64, next(iter(images.values())).shape[-1])
    sheet = contact_sheet(list(images.values()), list(images), side=side, stamp="SIMULATED" if result.simulated else "")
    arms = ", ".join(arm.name for arm in result.arms)
    page = render_page(
        "federated.html.j2",
        result=result,
        plot=plot(
            figure(result), f"Negative critic loss and FID against the number of images shown, for the arms {arms}"
        ),
        sheet=picture(sheet, f"A row of held-out films, then a row of synthetic images of each arm: {arms}"),
        arms=arm_table(result),
        comparisons=comparison_table(result, partial(component, "mark")),
        tested=_tested(result),
        paper=PAPER,
    )
    write_whole(out / PAGE, page)
    write_whole(out / RECORD, result.to_json())


def arm_table(result: FederatedExperimentResult) -> Table:
    """Every arm at the end of training, and training films in place of synthetic images."""
    heads = ("arm", "what is trained", "films of each client", "FID", "negative critic loss", "precision", "recall",
             "coverage")  # fmt: skip
    rows = [row(arm) for arm in result.arms]
    return Table(
        caption="The arms at the end of training",
        heads=heads,
        rows=[*rows, real_row(result)],
        numbers=range(2, len(heads)),
        stack=True,
    )


def comparison_table(result: FederatedExperimentResult, mark: Callable[[str], str] = str) -> Table | None:
    """Differences of FID at the end; `mark` writes a verdict. None with one repeat."""
    rows = [
        [
            f"{c.arm} against {c.against}",
            mark(BETTER.get(c.verdict, c.verdict)),
            c.difference.text("+.1f"),
            p_text(c.p_value),
            p_text(c.p_corrected),
        ]
        for c in result.comparisons
    ]
    heads = ("comparison", "verdict", "difference of FID", "p", "p, corrected")
    return Table(caption="Differences of FID", heads=heads, rows=rows, numbers=(2, 3, 4), stack=True) if rows else None


def row(arm: FederatedArm) -> list[str]:
    """An arm at the end of training."""
    end = arm.points[-1]
    return [
        arm.name,
        arm.description,
        _films(arm.films),
        end.fid.text(".1f"),
        end.critic_loss.text(".2f"),
        *(e.text(".2f") for e in (arm.precision, arm.recall, arm.coverage)),
    ]


def real_row(result: FederatedExperimentResult) -> list[str]:
    """Training films in place of synthetic images."""
    real = result.real
    measures = [f"{v:.2f}" for v in (real.critic_loss, real.precision, real.recall, real.coverage)]
    return ["training films", "in place of synthetic images: the best that there is", "", f"{real.fid:.1f}", *measures]


def table(result: FederatedExperimentResult) -> str:
    """The end of training, then the comparisons, as Markdown."""
    lines = [result.sentence, "", _tested(result), ""]
    for one in filter(None, (arm_table(result), comparison_table(result))):
        lines += [*markdown_table(one.heads, one.rows), ""]
    lines += [f"Note: {note}." for note in result.notes]
    return "\n".join(lines) + "\n"


def points(result: FederatedExperimentResult) -> str:
    """Every measure of every arm, repeat and point, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["arm", "repeat", "images_seen", "fid", "critic_loss", "own_critic", "precision", "recall", "coverage"]
    )
    for arm in result.arms:
        for number, repeat in enumerate(arm.repeats, start=1):
            for one in repeat:
                writer.writerow([arm.name, number, *one.model_dump().values()])
    return text.getvalue()


def as_text(result: FederatedExperimentResult, out: Path) -> str:
    """The result for a terminal."""
    width = max(len(arm.name) for arm in result.arms)
    lines = [result.sentence, ""]
    lines += [
        f"  {arm.name:<{width}}  FID {arm.points[-1].fid.text('.1f')}, negative critic loss "
        f"{arm.points[-1].critic_loss.text('.2f')}"
        for arm in result.arms
    ]
    lines.append(
        f"  training films in place of synthetic images: FID {result.real.fid:.1f}, {result.real.critic_loss:.2f}"
    )
    lines += [f"note: {note}" for note in result.notes]
    lines.append(", ".join(str(out / name) for name in (PAGE, TABLE, FIGURE, CSV, RECORD)))
    return "\n".join(lines)


def figure(result: FederatedExperimentResult) -> "Figure":
    """Each measure against the images shown: one line for each arm, and its interval at every point."""
    own = any(arm.points[-1].own_critic for arm in result.arms)
    chosen = {name: of for name, of in MEASURES.items() if own or name != OWN}
    with drawing(3.6 * len(chosen), 4.0) as plotted:
        for panel, (name, of) in zip(plotted.subplots(1, len(chosen)), chosen.items(), strict=True):
            for number, arm in enumerate(result.arms):
                _draw(panel, arm, of, number, number - (len(result.arms) - 1) / 2)
            baseline = {"FID": result.real.fid, "negative critic loss": result.real.critic_loss}.get(name)
            if baseline is not None:
                panel.axhline(baseline, color="0.5", linewidth=0.9, label="training films")
            values = [e.value for arm in result.arms for p in arm.points if (e := of(p)) is not None]
            room = 0.15 * (max(values) - min(values)) or 1.0
            panel.set(xlabel="images shown to all clients together", ylabel=f"{name}; lower is better", xlim=(0, None))
            least = min([*values, *([] if baseline is None else [baseline])]) - room
            panel.set_ylim(max(0.0, least) if name == "FID" else least, max(values) + 2 * room)
        handles, labels = plotted.axes[0].get_legend_handles_labels()
        plotted.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        plotted.suptitle(f"{_repeats(result)}; the paper, Fig. 4: {PAPER}", fontsize=9)
        return plotted


def _draw(panel: "Axes", arm: FederatedArm, of: Of, number: int, place: float) -> None:
    style = {**curve(number), "marker": MARKERS[arm.name], "markersize": 4}
    known = [(point.images_seen, e) for point in arm.points if (e := of(point)) is not None]
    seen = [images for images, _ in known]
    panel.plot(seen, [e.value for _, e in known], label=arm.name, **style)
    if known and known[0][1].low is not None:
        shift = place * seen[-1] / 100  # beside each other, so that they can be told apart
        lows, highs = zip(*((e.low, e.high) for _, e in known), strict=True)
        panel.vlines([x + shift for x in seen], lows, highs, color=style["color"], linewidth=1.3, alpha=0.55)


def _repeats(result: FederatedExperimentResult) -> str:
    count = len(result.arms[0].repeats)
    return "one repeat" if count == 1 else f"means of {count} repeats with 95% intervals"


def _tested(result: FederatedExperimentResult) -> str:
    return (
        f"{result.training_films:,} training films; {result.images:,} synthetic images of each generator against "
        f"{result.images:,} of {result.held_out_films:,} held-out films ({result.held_out_patients:,} patients); "
        f"{_repeats(result)}."
    )


def _films(films: tuple[int, ...]) -> str:
    low, high = min(films), max(films)
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return each if len(films) == 1 else f"{len(films)} x {each}"
