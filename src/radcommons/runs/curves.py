"""Curves of a run's log: one plot for each group of numbers, against the images seen."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from radcommons.pages import curve, drawing, plot

FEWEST_POINTS = 4  # of a curve
MOST_POINTS = 300  # of a curve; more log lines are averaged in groups
NOT_DRAWN = frozenset(  # where a run is and how fast; what its schedule says
    {"images_seen", "resolution", "fade", "seconds", "learning_rate", "gamma", "label_strength", "round", "clients"}
    | {"bytes_a_client", "slowest_client_seconds"}
)


@dataclass(frozen=True)
class Group:
    """Numbers of a log that are drawn together.

    Attributes:
        names: what each number is called in the plot.
        axis: title of the vertical axis.
        reading: how to read the curves.
    """

    title: str
    axis: str
    names: Mapping[str, str]
    reading: str = ""


GROUPS = (
    Group(
        "Can the critic tell real from synthetic?",
        "critic's score: real minus synthetic",
        {"wasserstein": "real minus synthetic", "score_gap": "real minus synthetic"},
        "Near 0 the critic cannot tell them, and has nothing to teach. Within one resolution the curve falls slowly "
        "while the images get better; it jumps where a larger resolution is faded in.",
    ),
    Group(
        "Are the findings learned?",
        "label loss",
        {"label_loss_real": "real films", "label_loss_fake": "synthetic images", "label_loss": "real films"},
        "Low is good. A loss of synthetic images far above that of real films means that findings are not drawn yet.",
    ),
    Group(
        "What each network minimises",
        "loss",
        {"critic_loss": "critic", "generator_loss": "generator"},
        "The level says little. A jump that does not come back is a warning.",
    ),
    Group(
        "The critic's gradient",
        "norm of the gradient",
        {"gradient_norm": "between real and synthetic"},
        "It should stay near 1, where the penalty holds it.",
    ),
    Group(
        "The critic's gradients",
        "squared gradient",
        {"gradient_real": "at real films", "gradient_fake": "at synthetic images"},
        "The penalties keep them small.",
    ),
    Group("Speed", "images per second", {"images_per_second": "images per second"}, "Larger images take longer."),
)


@dataclass(frozen=True)
class Curves:
    """A plot of a page and its caption."""

    picture: Markup
    caption: str


def draw_curves(entries: Sequence[Mapping[str, Any]]) -> Iterator[Curves]:
    """A plot for each group of numbers that the log has, and one for each number that no group names."""
    numbers = {name for entry in entries for name, value in entry.items() if isinstance(value, int | float)}
    grouped = {name for group in GROUPS for name in group.names}
    others = sorted(numbers - grouped - NOT_DRAWN)
    words = {name: name.replace("_", " ") for name in others}
    groups = [*GROUPS, *(Group(words[name], words[name], {name: words[name]}) for name in others)]
    points, doubled = thinned(entries), doublings(entries)
    drawn = (_draw(group, points, doubled) for group in groups if numbers & group.names.keys())
    yield from (curves for curves in drawn if curves is not None)


def thinned(entries: Sequence[Mapping[str, Any]], most: int = MOST_POINTS) -> list[dict[str, float]]:
    """At most so many entries, each the mean of the same number of lines that follow each other."""
    size = max(1, -(-len(entries) // most))
    return [_mean(entries[first : first + size]) for first in range(0, len(entries), size)]


def doublings(entries: Sequence[Mapping[str, Any]]) -> list[int]:
    """Images seen where the resolution changes."""
    sides = [entry for entry in entries if "resolution" in entry]
    return [before["images_seen"] for before, after in pairwise(sides) if before["resolution"] != after["resolution"]]


def _mean(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = {name: None for entry in entries for name in entry}
    values = {name: [entry[name] for entry in entries if isinstance(entry.get(name), int | float)] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items() if found}


def _draw(group: Group, points: Sequence[Mapping[str, float]], doubled: Sequence[int]) -> Curves | None:
    """The plot of one group; None if no number of it has enough points."""
    lines = {}
    for name, label in group.names.items():
        xy = [(point["images_seen"], point[name]) for point in points if math.isfinite(point.get(name, math.nan))]
        if len(xy) >= FEWEST_POINTS:
            lines[label] = np.array(xy).T
    if not lines:
        return None
    unit, words = (1e6, "millions") if points[-1]["images_seen"] > 3e6 else (1e3, "thousands")
    with drawing(4.2, 2.7) as figure:
        axes = figure.subplots()
        for number, (label, (x, y)) in enumerate(lines.items()):
            axes.plot(x / unit, y, **curve(number), linewidth=1.4, label=label)
        for at in doubled:
            axes.axvline(at / unit, color="0.4", linewidth=0.9, linestyle=(0, (5, 4)))
        axes.set(xlabel=f"images seen, {words}", ylabel=group.axis)
        axes.set_title(group.title, loc="left")
        if len(lines) > 1:
            figure.legend(frameon=False, loc="outside lower center", ncols=2)
        described = f"{group.title}: {' and '.join(lines)} against the images seen"
        marks = " Dashed, upright: the resolution doubles." if doubled else ""
        return Curves(plot(figure, described), f"{group.reading}{marks}".strip())
