"""The figure of robust curves: mean AUC against epsilon under attack, and dotted under noise of the same size."""

from typing import TYPE_CHECKING

from radcommons.pages import plot_style
from radcommons.records import RobustComparison, RobustCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#5c6870", "#c2571a")


def robustness_figure(comparison: RobustComparison) -> "Figure":
    """Curves of all networks; bands are the intervals of 0.95 over patients, a failed check is named in the legend.

    `radcommons.pages.plot` embeds it; ``figure.savefig(path)`` writes PNG or SVG.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with plot_style():
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
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
    epsilons = [point.epsilon for point in curve.points]
    axes.fill_between(
        epsilons,
        [point.mean_auc.low or 0.0 for point in curve.points],
        [point.mean_auc.high or 0.0 for point in curve.points],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    axes.plot(
        epsilons,
        [point.mean_auc.value for point in curve.points],
        color=colour,
        marker="o",
        markersize=3,
        label=f"{label}, under attack",
    )
    axes.plot(
        epsilons,
        [point.noise_mean_auc for point in curve.points],
        color=colour,
        linestyle=":",
        label=f"{label.split(' (')[0]}, under noise",
    )
