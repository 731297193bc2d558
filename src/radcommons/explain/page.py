"""The page of an explanation: for each finding a slider, a map and scores. Every picture on it is synthetic."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from radcommons.explain.correlate import JOINED_AT
from radcommons.explain.drawing import LONGEST, as_jpeg, grid, spread, sprite
from radcommons.explain.finding_sets import FindingSet, title
from radcommons.explain.folder import ExplainFolder
from radcommons.explain.summary import left_out
from radcommons.pages import render_page
from radcommons.records import AuditReport, Correlation, Diversity, Fidelity, InterpolationResult, MapResult

SLIDER_FRAMES = 101  # one per hundredth of the label: the slider cannot show finer steps
LARGEST_SIDE = 128  # largest side of an image in a slider, pixels; larger images are averaged down


@dataclass(frozen=True)
class Slider:
    """A label interpolation with a slider.

    Attributes:
        sprite: data URL of the frames.
        strengths: label values of the frames on the page; of a long interpolation only some, evenly spaced.
        grid: columns and rows of images in a frame.
    """

    result: InterpolationResult
    sprite: Markup
    strengths: tuple[float, ...]
    grid: tuple[int, int]


@dataclass(frozen=True)
class Shown:
    """One set of findings; `picture` is a data URL."""

    title: str
    anchor: str
    slider: Slider | None
    map: MapResult | None
    picture: Markup | None


def render(folder: ExplainFolder) -> str:
    """The whole page as HTML, from the content of the folder."""
    explanation, correlation, audit = folder.explanation, folder.explanation.correlation, folder.audit()
    interpolations = {one.findings: one for one in explanation.morphs}
    maps = {one.findings: one for one in explanation.maps}
    sets = dict.fromkeys([*interpolations, *maps])
    order = sorted(sets, key=lambda c: (len(c), [explanation.findings.index(f) for f in c]))
    shown = [_shown(folder, chosen, interpolations.get(chosen), maps.get(chosen)) for chosen in order]
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
    """Label fidelity and diversity of each finding that the audit measured."""
    fidelity, diversity = {f.finding: f for f in audit.fidelity}, {d.finding: d for d in audit.diversity}
    return [(f, fidelity.get(f), diversity.get(f)) for f in findings if f in fidelity or f in diversity]


def _shown(
    folder: ExplainFolder, chosen: FindingSet, interpolation: InterpolationResult | None, one: MapResult | None
) -> Shown:
    return Shown(
        title=title(chosen),
        anchor="-".join(chosen).replace(" ", "_"),
        slider=_slider(folder, interpolation) if interpolation is not None else None,
        map=one,
        picture=_embedded(folder, one.picture) if one is not None else None,
    )


def _slider(folder: ExplainFolder, result: InterpolationResult) -> Slider | None:
    frames = folder.frames(result)
    if frames is None:
        return None
    columns, rows = grid(result.patients)
    height = rows * min(LARGEST_SIDE, frames.shape[-1])
    shown = spread(frames.shape[1], min(SLIDER_FRAMES, LONGEST // height))
    picture = _data_url(sprite(frames[:, shown], side=LARGEST_SIDE))
    return Slider(result, picture, tuple(result.strengths[frame] for frame in shown), (columns, rows))


def companions(correlation: Correlation) -> dict[str, str]:
    """For each finding, the other outputs that its label changes, strongest first."""
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
    return None if picture is None else _data_url(as_jpeg(picture))


def _data_url(jpeg: bytes) -> Markup:
    return Markup("data:image/jpeg;base64,{}").format(base64.b64encode(jpeg).decode("ascii"))
