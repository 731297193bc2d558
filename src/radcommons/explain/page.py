"""The page of an explanation: per finding a morph to slide, a map, scores and what they mean. All is synthetic."""

import base64
from dataclasses import dataclass

from markupsafe import Markup

from radcommons.explain.chosen import Chosen, title
from radcommons.explain.correlate import JOINED_AT
from radcommons.explain.drawing import as_jpeg, grid, sprite
from radcommons.explain.folder import ExplainFolder
from radcommons.explain.summary import left_out
from radcommons.pages import render_page
from radcommons.records import Correlation, MapResult, MorphResult

LARGEST_SIDE = 128  # pixels of a slider's image on the page; larger ones are averaged down


@dataclass(frozen=True)
class Shown:
    """One set of findings; `sprite` and `picture` are data addresses, `grid` the columns and rows of a frame."""

    title: str
    anchor: str
    morph: MorphResult | None
    sprite: Markup | None
    grid: tuple[int, int]
    map: MapResult | None
    picture: Markup | None


def render(folder: ExplainFolder) -> str:
    """The whole page as HTML, from what the folder holds."""
    explanation, correlation = folder.explanation, folder.explanation.correlation
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
        audit=folder.audit(),
        title=title,
    )


def _shown(folder: ExplainFolder, chosen: Chosen, morph: MorphResult | None, one: MapResult | None) -> Shown:
    frames = folder.frames(morph) if morph is not None else None
    return Shown(
        title=title(chosen),
        anchor="-".join(chosen).replace(" ", "_"),
        morph=morph if frames is not None else None,
        sprite=None if frames is None else _address(sprite(frames, side=LARGEST_SIDE)),
        grid=grid(morph.patients) if morph is not None else (1, 1),
        map=one,
        picture=_embedded(folder, one.picture) if one is not None else None,
    )


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
