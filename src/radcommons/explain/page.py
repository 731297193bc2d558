"""The page of an explanation: one line per finding, then its slider and map. Every picture on it is synthetic."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from radcommons.explain import page_tables as tables
from radcommons.explain.correlate import strongest_pairs
from radcommons.explain.difference import clear_of_chance
from radcommons.explain.drawing import spread
from radcommons.explain.evidence import Evidence, counted, evidence
from radcommons.explain.finding_sets import FindingSet, title
from radcommons.explain.folder import AUDIT, ExplainFolder
from radcommons.explain.matrix_drawing import one_matrix, scatter_figure
from radcommons.explain.page_pictures import (
    LONGEST_SPRITE,
    QUALITY,
    Person,
    at_a_glance,
    change_alone,
    change_over_film,
    film,
    grid,
    limit_of,
    sprite,
)
from radcommons.explain.scores import Scores
from radcommons.explain.summary import left_out
from radcommons.files import read_arrays
from radcommons.metrics.label_fidelity import RULE
from radcommons.metrics.localisation import split_region
from radcommons.pages import picture, plot, render_page
from radcommons.records import AuditReport, Correlation, InterpolationResult, MapResult, share_text

SLIDER_FRAMES = 101  # one per hundredth of the label: the slider cannot show finer steps
LARGEST_SIDE = 128  # largest side of an image in a slider, pixels; larger images are averaged down
HEAVY = 3e6  # bytes; a larger page says how large it is
AUDIT_PAGE = "report.html"


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
class MapPictures:
    """The pictures of a map with what is below each; limits are the grey levels that get full colour."""

    films: list[tuple[Markup, str]]
    limit: float
    persons: list[tuple[Markup, str]]
    persons_limit: float


@dataclass(frozen=True)
class Shown:
    """One set of findings."""

    title: str
    anchor: str
    evidence: Evidence
    slider: Slider | None
    map: MapResult | None
    pictures: MapPictures | None
    person: Person | None


def render(folder: ExplainFolder) -> str:
    """The whole page as HTML, from the content of the folder."""
    explanation, correlation, audit = folder.explanation, folder.explanation.correlation, folder.audit()
    interpolations = {one.findings: one for one in explanation.morphs}
    maps = {one.findings: one for one in explanation.maps}
    sets = dict.fromkeys([*interpolations, *maps])
    order = sorted(sets, key=lambda c: (len(c), [explanation.findings.index(f) for f in c]))
    shown = [
        _shown(folder, chosen, evidence(chosen, explanation, audit), interpolations.get(chosen), maps.get(chosen))
        for chosen in order
    ]
    limit = limit_of([one.person.change for one in shown if one.person])
    mapped = [(one.title, one.anchor, one.map) for one in shown if one.map is not None]
    content = {
        "explanation": explanation,
        "federation": folder.federation,
        "shown": shown,
        "counted": counted([one.evidence.outcome for one in shown]),
        "glance": tables.glance(
            [(one.title, one.anchor, one.evidence, one.map, _glanced(one, limit)) for one in shown], correlation
        ),
        "limit": round(limit) if any(one.person for one in shown) else None,
        "rule": RULE,
        "map_table": tables.maps(mapped) if mapped else None,
        "scored": [one.score for _, _, one in mapped if one.score is not None],
        "extractor": next((one.extractor for _, _, one in mapped if one.extractor), None),
        "correlation": correlation,
        **(_correlated(folder, correlation, audit) if correlation else {}),
        "audit": audit,
        **(_audited(audit, explanation.findings) if audit is not None else {}),
        "audit_page": audit_page(folder) if audit is not None else None,
    }
    page = render_page("explain.html.j2", **content, megabytes=None)
    if (size := len(page.encode())) <= HEAVY:
        return page
    return render_page("explain.html.j2", **content, megabytes=f"{size / 1e6:.1f}")


def audit_page(folder: ExplainFolder) -> str | None:
    """Address of this generator's audit, relative to the page; None if it does not lie beside the folder."""
    for record in sorted(folder.path.resolve().parent.glob(f"*/{AUDIT}")):
        if record.parent == folder.path.resolve() or not record.with_name(AUDIT_PAGE).is_file():
            continue
        if json.loads(record.read_bytes()).get("digest") == folder.explanation.generator_sha256:
            return f"../{record.parent.name}/{AUDIT_PAGE}"
    return None


def _shown(
    folder: ExplainFolder,
    chosen: FindingSet,
    found: Evidence,
    interpolation: InterpolationResult | None,
    one: MapResult | None,
) -> Shown:
    frames = folder.frames(interpolation) if interpolation is not None else None
    arrays = folder.numbers(one) if one is not None else {}
    return Shown(
        title=title(chosen),
        anchor="-".join(chosen).replace(" ", "_"),
        evidence=found,
        slider=_slider(frames, interpolation) if frames is not None and interpolation is not None else None,
        map=one,
        pictures=_map_pictures(arrays, one, title(chosen)) if arrays and one is not None else None,
        person=_first_person(frames, arrays),
    )


def _slider(frames: np.ndarray, result: InterpolationResult) -> Slider:
    columns, rows = grid(result.patients)
    height = rows * min(LARGEST_SIDE, frames.shape[-1])
    shown = spread(frames.shape[1], min(SLIDER_FRAMES, LONGEST_SPRITE // height))
    webp = base64.b64encode(sprite(frames[:, shown], side=LARGEST_SIDE)).decode("ascii")
    url = Markup("data:image/webp;base64,{}").format(webp)
    return Slider(result, url, tuple(result.strengths[frame] for frame in shown), (columns, rows))


def _first_person(frames: np.ndarray | None, arrays: dict[str, np.ndarray]) -> Person | None:
    """The first latent vector of the seed, of an interpolation or else of a map; nobody has chosen it."""
    if frames is not None:
        return Person(frames[0, 0], frames[0, -1])
    if len(arrays.get("singles_raised", ())):
        return Person(arrays["singles_without"][0], arrays["singles_raised"][0])
    return None


def _glanced(one: Shown, limit: float) -> Markup | None:
    if one.person is None:
        return None
    words = f"One synthetic person without {one.title}, with it, and the difference"
    return picture(at_a_glance(one.person, limit), words, quality=QUALITY)


def _map_pictures(arrays: dict[str, np.ndarray], one: MapResult, name: str) -> MapPictures | None:
    if one.collapsed:
        return None
    mean, healthy, error = arrays["mean"], arrays["healthy"], arrays["standard_error"]
    limit = float(np.abs(mean).max())
    region = split_region(arrays["region"])[0] if "region" in arrays else None
    outlined = f"; outline: where {name} sits" if region is not None else ""
    over = change_over_film(healthy, mean, limit, clear_of_chance(mean, error))
    films = [
        (film(healthy), f"Mean of {one.images:,} synthetic films without {name}", f"mean film without {name}"),
        (over, f"Difference map of {name}, in colour over that film", f"mean change with {name}, over the film"),
        (change_alone(mean, limit, region), f"Difference map of {name}, colours alone", f"the change alone{outlined}"),
    ]  # fmt: skip
    persons = [
        Person(without, raised)
        for without, raised in zip(arrays.get("singles_without", ()), arrays.get("singles_raised", ()), strict=True)
    ]
    own = limit_of([person.change for person in persons])
    singles = [
        (
            change_over_film(person.without.astype(np.float64), person.change, own),
            f"Synthetic person {number} without {name}, the difference in colour",
            f"person {number}",
        )
        for number, person in enumerate(persons, start=1)
    ]
    shown = [[(picture(image, alt, quality=QUALITY), words) for image, alt, words in row] for row in (films, singles)]
    return MapPictures(shown[0], limit, shown[1], own)


def _correlated(folder: ExplainFolder, result: Correlation, audit: AuditReport | None) -> dict[str, object]:
    judged = [evidence((finding,), folder.explanation, audit) for finding in result.findings]
    kinds = "each label of the generator with each output of the classifier", "the labels of training with each other"
    matrices = [
        plot(one_matrix(result, training=training), f"Matrix of the correlation of {kind}; the table has its diagonal")
        for training, kind in zip((False, True), kinds, strict=True)
    ]
    pairs = result.pairs or tuple(strongest_pairs(result))
    arrays = read_arrays(folder.path / result.scores) if result.scores else None
    scatter = None
    if arrays is not None:
        found = Scores(arrays["strengths"], arrays["probabilities"])
        drawn = scatter_figure(result.model_copy(update={"pairs": pairs}), tuple(arrays["findings"].tolist()), found)
        named = ", ".join(f"{title((label,))} and {title((output,))}" for label, output in pairs)
        scatter = plot(drawn, f"Scatter plots of label value and classifier's probability: {named}")
    return {
        "matrices": matrices,
        "scatter": scatter,
        "other_pairs": any(label != output for label, output in pairs),
        "correlation_table": tables.correlations(result, judged),
        "left_out": left_out(result),
    }


def _audited(audit: AuditReport, findings: Sequence[str]) -> dict[str, object]:
    images = audit.counts.get("synthetic images", 0)
    limit = audit.detection_limit
    return {
        "audited_labels": tables.audited_labels(audit, findings),
        "audited_distances": tables.audited_distances(audit),
        "detected": None if limit is None else share_text(limit, images, "synthetic images"),
    }
