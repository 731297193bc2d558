"""The page of an explanation: per finding a morph to slide, a map, scores and what they mean. All is synthetic."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from radcommons.explain.chosen import Chosen, title
from radcommons.explain.correlate import JOINED_AT
from radcommons.explain.drawing import LONGEST, as_jpeg, grid, spread, sprite
from radcommons.explain.folder import ExplainFolder
from radcommons.explain.summary import left_out
from radcommons.pages import render_page
from radcommons.records import AuditReport, Correlation, Diversity, Fidelity, MapResult, MorphResult

SLIDER_FRAMES = 101  # a hundredth of the label each: the slider tells no more apart
LARGEST_SIDE = 128  # pixels of a slider's image on the page; larger ones are averaged down


@dataclass(frozen=True)
class Slider:
    """A morph to slide: the data address of its frames, their strengths (of a long morph some, in even steps).

    `grid` is the columns and rows of pseudo-patients in a frame.
    """

    morph: MorphResult
    sprite: Markup
    strengths: tuple[float, ...]
    grid: tuple[int, int]


@dataclass(frozen=True)
class Shown:
    """One set of findings; `picture` is a data address."""

    title: str
    anchor: str
    slider: Slider | None
    map: MapResult | None
    picture: Markup | None


def render(folder: ExplainFolder) -> str:
    """The whole page as HTML, from what the folder holds."""
    explanation, correlation, audit = folder.explanation, folder.explanation.correlation, folder.audit()
    morphs = {morph.findings: morph for morph in explanation.morphs}
    maps = {one.findings: one for one in explanation.maps}
    order = sorted(dict.fromkeys([*morphs, *maps]), key=lambda c: (len(c), [explanation.findings.index(f) for f in c]))
    shown = [_shown(folder, chosen, morphs.get(chosen), maps.get(chosen)) for chosen in order]
    scored = [one.score for one in maps.values() if one.score is not None]
    return render_page(
        "explain.html.j2",
        explanation=explanation,
        shown=shown,
        maps=[one for one in shown if one.map is not None],
        scored=scored,
        hits=sum(score.points_inside for score in scored),
        correlation=correlation,
        matrix=_embedded(folder, correlation.picture) if correlation else None,
        scatter=_embedded(folder, correlation.scatter) if correlation else None,
        companions=companions(correlation) if correlation else {},
        left_out=left_out(correlation) if correlation else [],
        audit=audit,
        labels=_labels(audit, explanation.findings) if audit is not None else [],
        title=title,
    )


def _labels(audit: AuditReport, findings: Sequence[str]) -> list[tuple[str, Fidelity | None, Diversity | None]]:
    """What the audit says of each finding, of those that it says something of."""
    judged, alike = {f.finding: f for f in audit.fidelity}, {d.finding: d for d in audit.diversity}
    return [(f, judged.get(f), alike.get(f)) for f in findings if f in judged or f in alike]


def _shown(folder: ExplainFolder, chosen: Chosen, morph: MorphResult | None, one: MapResult | None) -> Shown:
    return Shown(
        title=title(chosen),
        anchor="-".join(chosen).replace(" ", "_"),
        slider=_slider(folder, morph) if morph is not None else None,
        map=one,
        picture=_embedded(folder, one.picture) if one is not None else None,
    )


def _slider(folder: ExplainFolder, morph: MorphResult) -> Slider | None:
    frames = folder.frames(morph)
    if frames is None:
        return None
    columns, rows = grid(morph.patients)
    height = rows * min(LARGEST_SIDE, frames.shape[-1])
    kept = spread(frames.shape[1], min(SLIDER_FRAMES, LONGEST // height))
    picture = _address(sprite(frames[:, kept], side=LARGEST_SIDE))
    return Slider(morph, picture, tuple(morph.strengths[frame] for frame in kept), (columns, rows))


def companions(correlation: Correlation) -> dict[str, str]:
    """For each finding the other outputs that its label moves, strongest first."""
    found = {}
    for finding, row in zip(correlation.findings, correlation.pearson, strict=True):
        moved = [
            (value, other)
            for value, other in zip(row, correlation.findings, strict=True)
            if other != finding and value is not None and abs(value) >= JOINED_AT
        ]
        found[finding] = ", ".join(f"{title((o,))} {v:+.2f}" for v, o in sorted(moved, key=lambda m: -abs(m[0])))
    return found


def _embedded(folder: ExplainFolder, name: str | None) -> Markup | None:
    picture = folder.picture(name)
    return None if picture is None else _address(as_jpeg(picture))


def _address(jpeg: bytes) -> Markup:
    return Markup("data:image/jpeg;base64,{}").format(base64.b64encode(jpeg).decode("ascii"))
