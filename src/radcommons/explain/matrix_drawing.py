"""Draw the correlation matrix and that of training, and scatter plots of label-output pairs."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from radcommons.explain.finding_sets import title
from radcommons.explain.scores import Scores
from radcommons.pages import drawing
from radcommons.records import Correlation

DOTS = 800  # images in a scatter plot
BINS = 10  # of the label, whose mean score is drawn as a line
COLUMNS = 4
CELL, NAMES = 0.4, 1.7  # inches: a cell of a matrix, and room for names
OWN, OTHER = "#0b6470", "#c2571a"


def matrix_figure(result: Correlation) -> Figure:
    """Both matrices side by side, findings in the order of the clusters."""
    side = NAMES + CELL * len(result.findings)
    with drawing(2 * side + 1.2, side) as figure:
        panels = figure.subplots(1, 2)
        for axes, training in zip(panels, (False, True), strict=True):
            shown = _matrix(axes, result, training=training)
        figure.colorbar(shown, ax=list(panels), fraction=0.03, pad=0.01, label="correlation")
    return figure


def one_matrix(result: Correlation, *, training: bool) -> Figure:
    """Labels against outputs, or the labels of training against each other."""
    side = NAMES + CELL * len(result.findings)
    with drawing(side + 0.7, side) as figure:
        axes = figure.subplots()
        figure.colorbar(_matrix(axes, result, training=training), ax=axes, fraction=0.04, pad=0.02, label="correlation")
    return figure


def _matrix(axes: Axes, result: Correlation, *, training: bool) -> AxesImage:
    matrix = result.training if training else result.pearson
    values = np.array([[np.nan if v is None else v for v in row] for row in matrix])
    names = [title((finding,)) for finding in result.findings]
    axes.grid(False)
    axes.set_facecolor("0.85")  # not known
    shown = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    if training:
        axes.set(xlabel="label in training", ylabel="label in training", title="Labels in training")
    else:
        axes.set(xlabel="output of the classifier", ylabel="label of the generator", title="Labels and classifier")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.55 else "black"
            text = f"{value:+z.2f}".replace("0.", ".", 1)
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
    for block in result.blocks:
        first, count = result.findings.index(block[0]), len(block)
        box = Rectangle((first - 0.5, first - 0.5), count, count, fill=False, edgecolor="black", linewidth=1.8)
        axes.add_patch(box)
    return shown


def scatter_figure(result: Correlation, findings: tuple[str, ...], found: Scores) -> Figure:
    """The classifier's probability against the label's value, one panel for each of the record's pairs.

    Args:
        findings: in the order of `found`.
    """
    columns = min(COLUMNS, len(result.pairs))
    rows = math.ceil(len(result.pairs) / columns)
    with drawing(2.4 * columns, 2.2 * rows + 0.2) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for axes, (label, output) in zip(panels, result.pairs, strict=False):
            i, j = findings.index(label), findings.index(output)
            x, y = found.strengths[i], found.probabilities[i, :, j]
            own = label == output
            axes.plot(x[:DOTS], y[:DOTS], "." if own else "x", markersize=2, alpha=0.35, color=OWN if own else OTHER,
                      rasterized=True)  # fmt: skip
            place = np.minimum((x * BINS).astype(int), BINS - 1)
            counts = np.bincount(place, minlength=BINS)
            means = np.bincount(place, weights=y, minlength=BINS)[counts > 0] / counts[counts > 0]
            axes.plot((np.arange(BINS)[counts > 0] + 0.5) / BINS, means, color="black", linewidth=1.4)
            r = result.pearson[result.findings.index(label)][result.findings.index(output)]
            told = "" if r is None else f", r = {r:z.2f}"
            axes.set_title(title((label,)) + told, fontsize=9)
            axes.set_ylabel(f"P({title((output,))})", fontsize=8)
            axes.tick_params(labelsize=8)
        for axes in panels[len(result.pairs) :]:
            axes.set_visible(False)
        figure.supxlabel("label of the generator, 0 absent to 1 present", fontsize=9)
    return figure
