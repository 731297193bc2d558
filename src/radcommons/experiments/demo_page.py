"""The demo's page: real and synthetic films side by side, training curves, what it cost."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from radcommons.data.store import Store
from radcommons.models.sampling import Generator
from radcommons.pages import picture, plot, render_page
from radcommons.pictures import contact_sheet
from radcommons.train.run_log import read_log

if TYPE_CHECKING:
    from radcommons.experiments.demo import DemoResult

COLUMNS = 8
SIDE = 64  # CSS pixels of a film on the page


def render(result: "DemoResult", stores: list[Store], generators: list[Generator], runs: list[Path]) -> str:
    """The whole page as HTML."""
    hospitals = [
        {
            "site": site,
            "real": real_sheet(store, generator),
            "synthetic": synthetic_sheet(store, generator),
            "curves": curves(run),
            "effects": [e for e in result.effects if e.site == store.name],
        }
        for site, store, generator, run in zip(result.sites, stores, generators, runs, strict=True)
    ]
    return render_page("demo.html.j2", result=result, hospitals=hospitals)


def real_sheet(store: Store, generator: Generator) -> Markup:
    """Phantom films of the training part: a row without finding, then a row a finding."""
    images, labels = store.images(generator.resolution), store.labels()
    train = store.rows("train")
    rows = [train[(labels[train] == 0).all(axis=1)]]
    rows += [train[labels[train, store.findings.index(f)] == 1] for f in generator.findings]
    sheet = contact_sheet([images[r[:COLUMNS]] for r in rows], ("No finding", *generator.findings), side=SIDE)
    return picture(sheet, f"Films of {store.name}, a row a finding")


def synthetic_sheet(store: Store, generator: Generator) -> Markup:
    """Synthetic films laid out like the real ones; a column is one pseudo-patient."""
    choices = [{}, *({finding: 1.0} for finding in generator.findings)]
    rows = [generator.generate(COLUMNS, findings=choice, seed=3).images for choice in choices]
    sheet = contact_sheet(rows, ("No finding", *generator.findings), side=SIDE)
    return picture(sheet, f"Synthetic films from {store.name}'s generator, a row a finding")


def curves(run: Path) -> Markup:
    """Wasserstein estimate and label losses against images seen, with the stages marked."""
    entries = read_log(run)
    seen = np.array([e["images_seen"] for e in entries]) / 1000
    with matplotlib.rc_context({"svg.hashsalt": "radcommons", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(8.6, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(seen, [e["wasserstein"] for e in entries], color="#0b6470")
        left.set_title("critic: real minus synthetic score")
        right.plot(seen, [e["label_loss_real"] for e in entries], color="#0b6470", label="real")
        right.plot(seen, [e.get("label_loss_fake", np.nan) for e in entries], color="#c2571a", label="synthetic")
        right.set_title("label loss")
        right.legend(frameon=False)
        for axes in (left, right):
            axes.set_xlabel("thousand images seen")
            for before, after in zip(entries, entries[1:], strict=False):
                if after["resolution"] != before["resolution"]:
                    axes.axvline(before["images_seen"] / 1000, color="0.6", linewidth=0.8, linestyle="--")
        return plot(figure, "Training curves; dashed lines mark a doubling of the resolution")
