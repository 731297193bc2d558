"""The plots of an audit's page, each with axis titles, a legend where no curve is, and line styles beside colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from radcommons.pages import curve, drawing, plot
from radcommons.records import Diversity, Fidelity, Histogram, PrivacyTest, Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REAL, SYNTHETIC, COPIES = "#4a555c", "#b8501a", "#0b6470"  # told apart without seeing colours by their line styles
LINES = {REAL: "-", SYNTHETIC: "--", COPIES: ":"}
ATTACKS = {  # colour and line style
    "membership inference: black-box, re-identification features": ("#b8501a", "-"),
    "membership inference: white-box": ("#0b6470", "--"),
    "membership inference: through the critic": ("#7a3b8f", "-."),
}


def distance_plot(spread: Histogram, measure: str, copy_similarity: float | None) -> Markup:
    """How like their nearest training film images of several kinds are.

    Args:
        spread: of held-out films, synthetic images and planted copies.
        measure: of similarity, the title of the axis.
        copy_similarity: above it an image counts as a copy; None if copies are not counted.
    """
    with drawing(3.8, 3.3) as figure:
        axes = figure.subplots()
        for name, colour in zip(spread.shares, LINES, strict=False):
            axes.stairs(
                spread.shares[name], spread.edges, color=colour, linestyle=LINES[colour], linewidth=1.6, label=name
            )
        if copy_similarity is not None:
            words = f"above {copy_similarity:.2f}: counts as a copy"
            axes.axvline(copy_similarity, color="0.3", linewidth=1, linestyle="-.", label=words)
        axes.set(xlabel=f"similarity to the nearest training film\n({measure})", ylabel="share of the images")
        axes.set_yscale("log")
        axes.set_ylim(0.5 * min(share for shares in spread.shares.values() for share in shares if share), 1.3)
        axes.yaxis.set_major_formatter("{x:g}")
        _legend_above(axes)
        described = f"Histogram of {measure} to the nearest training film: {', '.join(spread.shares)}"
        return plot(figure, described)


def attack_plot(tests: Sequence[PrivacyTest], *, few_alarms: bool) -> Markup:
    """ROC curves of the membership attacks; with `few_alarms`, both rates on logarithmic axes."""
    with drawing(3.8, 3.7) as figure:
        axes = figure.subplots()
        axes.plot([0.001, 1], [0.001, 1], color="0.5", linewidth=1, linestyle=":", label="a guess")
        for test in tests:
            fpr, tpr = np.array(test.curve).T
            colour, line = ATTACKS[test.name]
            axes.step(fpr, tpr, where="post", color=colour, linestyle=line, label=f"{attack_name(test)}: {test.found}")
        axes.set(xlabel="false positive rate (held-out patients)", ylabel="true positive rate\n(patients in training)")
        if few_alarms:
            axes.set(xscale="log", yscale="log", xlim=(0.02, 1), ylim=(0.02, 1.05))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_major_formatter("{x:g}")
        _legend_above(axes)
        what = "where false alarms are few" if few_alarms else "at all rates"
        return plot(figure, f"ROC curves of the attacks on who was in training, {what}")


def attack_name(test: PrivacyTest) -> str:
    """Whose attack it is, in a word or two."""
    return test.kind.partition(": ")[2]


def spectrum_plot(spectra: Sequence[Spectrum]) -> Markup:
    """Power by spatial frequency over that of held-out films."""
    colours = {"training films": REAL, "synthetic images": SYNTHETIC}
    with drawing(3.8, 3.1) as figure:
        axes = figure.subplots()
        for one in spectra:
            colour = colours[one.images]
            axes.stairs(
                one.ratio,
                one.edges,
                baseline=None,
                color=colour,
                linestyle=LINES[colour],
                label=one.images,
                linewidth=1.6,
            )
        axes.axhline(1, color="0.5", linewidth=1, linestyle=":", label="held-out films")
        ratios = [ratio for one in spectra for ratio in one.ratio]
        axes.set(xlabel="spatial frequency, cycles per pixel", ylabel="power over held-out films")
        axes.set_yscale("log", base=2)
        axes.set_ylim(min(0.45, *ratios), max(2.2, *ratios))
        axes.yaxis.set_major_formatter("{x:g}")
        _legend_above(axes)
        return plot(
            figure, "Power by spatial frequency over that of held-out films, of training films and synthetic images"
        )


def diversity_plot(found: Sequence[Diversity]) -> Markup:
    """How alike the images of each finding are: mean and standard deviation of MS-SSIM, synthetic beside real."""
    with drawing(3.9, 0.9 + 0.36 * len(found)) as figure:
        axes = figure.subplots()
        places = np.arange(len(found))[::-1]
        for shift, name, colour, marker in ((0.13, "real", REAL, "o"), (-0.13, "synthetic", SYNTHETIC, "s")):
            means, deviations = ([getattr(one, name + end) for one in found] for end in ("", "_sd"))
            axes.errorbar(means, places + shift, xerr=deviations, fmt=marker, markersize=4, color=colour, label=name)
        axes.set_yticks(places, [one.finding.replace("_", " ") for one in found])
        axes.set(xlabel="MS-SSIM of two images with the finding; right = alike", ylabel="finding")
        _legend_above(axes)
        return plot(
            figure, "MS-SSIM of pairs of images with the same finding, mean and standard deviation, real and synthetic"
        )


def strength_plot(found: Sequence[Fidelity]) -> Markup:
    """Mean score of the classifier against the value of the label that was drawn."""
    with drawing(4.6, 3.0) as figure:
        axes = figure.subplots()
        for number, one in enumerate(found):
            name = one.finding.replace("_", " ")
            axes.plot(one.strengths, one.scores, **curve(number), marker="o", markersize=3, label=name)
        axes.set(xlabel="value of the label, 0 = absent, 1 = present", ylabel="mean score of the classifier")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        return plot(figure, "Mean score of each finding against the value of its label")


def _legend_above(axes: "Axes") -> None:
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
