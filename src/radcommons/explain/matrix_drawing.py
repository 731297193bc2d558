"""Draw the correlation matrix beside that of training, and scatter plots of label-output pairs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image

from radcommons.explain.drawing import as_picture
from radcommons.explain.finding_sets import title
from radcommons.explain.scores import Scores
from radcommons.pages import drawing
from radcommons.records import Correlation
from radcommons.records.explain import Matrix

DOTS = 800  # images in a scatter plot
BINS = 10  # of the label, whose mean score is drawn as a line
COLUMNS = 4
OWN, OTHER = "#0b6470", "#c2571a"


def matrix_figure(result: Correlation) -> Image.Image:
    """Correlation of labels with outputs, clustered, blocks outlined; beside it that of the labels in training."""
    k = len(result.findings)
    side = 1.9 + 0.34 * k
    with drawing(2 * side + 1.2, side) as figure:
        left, right = figure.subplots(1, 2)
        shown = _matrix(left, result.pearson, result)
        left.set(xlabel="classifier's output", ylabel="generator's label", title="label against classifier (Pearson)")
        _matrix(right, result.training, result)
        right.set_title("labels in training (phi)")
        figure.colorbar(shown, ax=[left, right], fraction=0.03, pad=0.01)
        return as_picture(figure)


def _matrix(axes: Axes, matrix: Matrix, result: Correlation) -> AxesImage:
    values = np.array([[np.nan if v is None else v for v in row] for row in matrix])
    names = [title((finding,)) for finding in result.findings]
    axes.grid(False)
    axes.set_facecolor("0.85")  # not known
    shown = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.55 else "black"
            axes.text(j, i, f"{value:.2f}".replace("0.", ".", 1), ha="center", va="center", fontsize=6.5, color=colour)
    for block in result.blocks:
        first, count = result.findings.index(block[0]), len(block)
        box = Rectangle((first - 0.5, first - 0.5), count, count, fill=False, edgecolor="black", linewidth=1.8)
        axes.add_patch(box)
    return shown


def scatter_figure(
    pairs: Sequence[tuple[str, str]], findings: tuple[str, ...], found: Scores, result: Correlation
) -> Image.Image:
    """The classifier's probability against the label's value, one panel per (label, output)."""
    columns = min(COLUMNS, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    with drawing(2.2 * columns, 2.0 * rows + 0.2) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for axes, (label, output) in zip(panels, pairs, strict=False):
            i, j = findings.index(label), findings.index(output)
            x, y = found.strengths[i], found.probabilities[i, :, j]
            colour = OWN if label == output else OTHER
            axes.plot(x[:DOTS], y[:DOTS], ".", markersize=2, alpha=0.35, color=colour, rasterized=True)
            place = np.minimum((x * BINS).astype(int), BINS - 1)
            counts = np.bincount(place, minlength=BINS)
            means = np.bincount(place, weights=y, minlength=BINS)[counts > 0] / counts[counts > 0]
            axes.plot((np.arange(BINS)[counts > 0] + 0.5) / BINS, means, color="black", linewidth=1.4)
            r = result.pearson[result.findings.index(label)][result.findings.index(output)]
            told = "" if r is None else f", r = {r:.2f}"
            axes.set_title(title((label,)) + told, fontsize=8)
            axes.set_ylabel(f"P({title((output,))})", fontsize=7)
            axes.tick_params(labelsize=7)
        for axes in panels[len(pairs) :]:
            axes.set_visible(False)
        figure.supxlabel("label value", fontsize=8)
        return as_picture(figure)
