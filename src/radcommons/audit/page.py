"""The page of an audit: verdict first, then pictures, then every number. It shows patients' films and stays inside."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from radcommons.audit.inputs.material import BALANCED, SYNTHETIC, Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import SPACES
from radcommons.errors import PathMissing
from radcommons.files import write_whole
from radcommons.pages import drawing, picture, plot, render_page
from radcommons.pictures import contact_sheet
from radcommons.records import AuditReport, Diversity, Fidelity, Histogram, PrivacyTest, Space, Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAST_LINK, LAST_PART = '<a href="#how">', '<h2 id="how">'  # of the page; a reader study comes before it
STUDY_LINK = '<a href="#study">Reader study</a>'
COLUMNS = 8
SIDE = 64  # CSS pixels of an image on the grids
SHEET_SIDE = 76  # and on the neighbour sheets
REAL, OURS = "#5c6870", "#c2571a"
ATTACKS = {
    "membership inference: black-box, re-identification features": "#c2571a",
    "membership inference: white-box": "#0b6470",
    "membership inference: through the critic": "#7a3b8f",
}


def render(report: AuditReport, material: Material, inputs: PrivacyInputs) -> str:
    """The whole page as HTML."""
    films = [(material.images, material.rows["train"], material.films["train"].labels)]
    drawn = [material.synthetic[name] for name in (BALANCED, SYNTHETIC)]
    return render_page(
        "audit.html.j2",
        report=report,
        real=_grid(material, films, "Films in training"),
        synthetic=_grid(material, [(d.images, np.arange(len(d.images)), d.labels) for d in drawn], "Synthetic images"),
        sheets={space: neighbour_sheet(material, inputs, space) for space in SPACES},
        distances={test.name: distance_plot(test.spread, test) for test in report.privacy if test.spread is not None},
        attacks=attack_plot(report.privacy),
        spectrum=spectrum_plot(report.spectra) if report.spectra else None,
        diversity=diversity_plot(report.diversity) if report.diversity else None,
        fidelity=fidelity_plot(report.fidelity) if any(f.strengths for f in report.fidelity) else None,
    )


def add_study(page: Path, section: Markup) -> None:
    """Put a reader study on a page that is written, in place of an earlier one; raises PathMissing."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        raise PathMissing(f"{page} is missing; audit again with another --out") from None
    text = re.sub(r"<section id=\"study\">.*?</section>\n*", "", text, flags=re.DOTALL).replace(STUDY_LINK, "")
    for place, added in ((LAST_LINK, STUDY_LINK), (LAST_PART, f"{section}\n\n")):
        text = text.replace(place, added + place, 1)
    write_whole(page, text)


def _grid(material: Material, sources: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], description: str) -> Markup:
    """The first images without a finding, then those of each finding, one row each.

    Args:
        sources: images, the rows of them that may be shown, and these rows' labels.
    """

    def first(column: int | None) -> np.ndarray:
        found = []
        for images, rows, labels in sources:
            known = np.nan_to_num(labels)
            shows = (known < 0.5).all(axis=1) if column is None else known[:, column] >= 0.5
            found.append(images[rows[np.flatnonzero(shows)[:COLUMNS]]])
        return np.concatenate(found)[:COLUMNS]

    rows = {"No finding": first(None)} | {name: first(i) for i, name in enumerate(material.subject.findings)}
    shown = {name: images for name, images in rows.items() if len(images)}
    return picture(contact_sheet(list(shown.values()), list(shown), side=SIDE), f"{description}, one row per finding")


def neighbour_sheet(material: Material, inputs: PrivacyInputs, space: Space) -> list[tuple[Markup, np.ndarray]]:
    """The synthetic images most like a training film, each beside its three nearest, and how similar these are."""
    found = inputs.synthetic[space].to_train
    strips = []
    for row in np.argsort(-found.best, kind="stable")[: material.settings.sheet_images]:
        films = material.images[material.rows["train"][found.rows[row]]]
        images = np.concatenate([material.synthetic[SYNTHETIC].images[row][None], np.asarray(films)])
        sheet = contact_sheet([images], side=SHEET_SIDE)
        strips.append((picture(sheet, "A synthetic image, then its nearest training films"), found.similarity[row]))
    return strips


def distance_plot(spread: Histogram, test: PrivacyTest) -> Markup:
    """How near synthetic images and held-out films lie to their nearest training film."""
    figure, axes = _figure(4.2, 2.5)
    _steps(axes, spread, {"held out": REAL, "synthetic": OURS})
    axes.set_xlabel("SSIM" if test.space == "SSIM" else f"cosine of {test.space}")
    axes.set_title("similarity to the nearest training film")
    axes.legend(frameon=False)
    return plot(figure, f"Histogram: {test.name}")


def attack_plot(tests: Sequence[PrivacyTest]) -> Markup | None:
    """ROC curves of the membership attacks, linear and with a logarithmic false positive rate."""
    attacks = [test for test in tests if test.name in ATTACKS and test.curve]
    if not attacks:
        return None
    with drawing(8.6, 3.2) as figure:
        linear, low = figure.subplots(1, 2)
        for axes in (linear, low):
            axes.plot([0.001, 1], [0.001, 1], color="0.6", linewidth=0.8, linestyle="--", label="a guess")
            for test in attacks:
                fpr, tpr = np.array(test.curve).T
                assert test.result is not None
                label = f"{test.kind.partition(': ')[2]}: AUC {test.result.value:.2f}"
                axes.step(fpr, tpr, where="post", color=ATTACKS[test.name], label=label)
            axes.set_xlabel("false positive rate (held-out patients)")
        low.set(xscale="log", yscale="log", xlim=(0.02, 1), ylim=(0.02, 1.05), title="few false alarms")
        linear.set(ylabel="true positive rate (training patients)", title="who was in training?")
        linear.legend(frameon=False, loc="lower right")
        return plot(figure, "ROC curves of the membership attacks")


def spectrum_plot(spectra: Sequence[Spectrum]) -> Markup:
    """Power by spatial frequency over that of held-out films."""
    figure, axes = _figure(5.2, 2.7)
    colours = {"training films": REAL, "synthetic images": OURS}
    for one in spectra:
        axes.stairs(one.ratio, one.edges, baseline=None, color=colours[one.images], label=one.images, linewidth=1.6)
    axes.axhline(1, color="0.6", linewidth=0.8, linestyle="--")
    ratios = [ratio for one in spectra for ratio in one.ratio]
    axes.set(xlabel="frequency, cycles per pixel", ylabel="power over held-out films")
    axes.set_yscale("log", base=2)
    axes.set_ylim(min(0.45, *ratios), max(2.2, *ratios))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, fontsize=8)
    return plot(figure, "Power by spatial frequency, over that of held-out films")


def diversity_plot(found: Sequence[Diversity]) -> Markup:
    """MS-SSIM of pairs within each finding, synthetic beside real."""
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    with drawing(8.6, 0.4 + 1.6 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        for axes, one in zip(grid.flat, found, strict=False):
            _steps(axes, one.spread, {"real": REAL, "synthetic": OURS})
            axes.set_title(one.finding, fontsize=9)
            axes.set_yticks([])
        grid.flat[0].legend(frameon=False, fontsize=8)
        figure.supxlabel("MS-SSIM of two images; right = alike", fontsize=9)
        return plot(figure, "Histograms of MS-SSIM within each finding")


def fidelity_plot(found: Sequence[Fidelity]) -> Markup:
    """Mean score of a classifier trained on real films against the label's strength."""
    figure, axes = _figure(5.2, 3.0)
    for one in found:
        if one.strengths:
            axes.plot(one.strengths, one.scores, marker="o", markersize=3, label=one.finding)
    axes.set(xlabel="label value drawn", ylabel="mean score", ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return plot(figure, "Score of the finding against the label's strength")


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    with drawing(width, height) as figure:
        return figure, figure.subplots()


def _steps(axes: "Axes", spread: Histogram, colours: dict[str, str]) -> None:
    for name, colour in colours.items():
        axes.stairs(spread.shares[name], spread.edges, color=colour, label=name, fill=True, alpha=0.25)
        axes.stairs(spread.shares[name], spread.edges, color=colour)
