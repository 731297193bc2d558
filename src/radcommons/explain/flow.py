"""The commands of ``radcommons explain``: draw, measure, score, write, and make the page again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.explain import page
from radcommons.explain.chosen import Chosen, choose, stem, title
from radcommons.explain.difference import Change, measure
from radcommons.explain.drawing import map_figure, moving, save_animation, save_video, strip
from radcommons.explain.folder import MAPS, MORPHS, PAGE, ExplainFolder
from radcommons.explain.identity import identity_change, mean_with_interval
from radcommons.explain.morph import draw_morphs, strengths
from radcommons.explain.pseudo_patients import pairs
from radcommons.explain.regions import NOWHERE, Regions, read_regions, score
from radcommons.explain.words import statement
from radcommons.metrics.localisation import body_mask, share_outside
from radcommons.models.extractors import Extractor, extract, load_extractor
from radcommons.models.sampling import Generator
from radcommons.progress import Track, silent
from radcommons.records import Estimate, Explanation, MapResult, MorphResult
from radcommons.seeds import numpy_stream

FRAMES, PATIENTS = 11, 4
LATENTS, SMOOTHING, SINGLES = 1000, 0.02, 4
IDENTITY_PAIRS = 64
FEWEST_OUTSIDE = 0.01  # of the pixels, to speak of an outside of the body
NO_EXTRACTOR = "off"


@dataclass(frozen=True, slots=True)
class MorphRequest:
    """What a morph takes: frames from label 0 to 1, and pseudo-patients."""

    frames: int = FRAMES
    patients: int = PATIENTS


@dataclass(frozen=True, slots=True)
class MapRequest:
    """What a map takes.

    Attributes:
        n: latents in the mean.
        smoothing: sigma, share of the side.
        singles: pseudo-patients shown one by one.
        store: a phantom whose truth scores the maps.
        boxes: a list of radiologists' boxes that does.
        extractor: whose features tell pseudo-patients apart; "off" for none.
    """

    n: int = LATENTS
    smoothing: float = SMOOTHING
    singles: int = SINGLES
    store: Path | None = None
    boxes: Path | None = None
    extractor: str = "efficientnet-lite0"


def explain(
    reference: Path,
    out: Path,
    findings: Sequence[str] = (),
    *,
    every: bool = False,
    morph: MorphRequest | None = None,
    map_: MapRequest | None = None,
    seed: int = 0,
    track: Track = silent,
) -> Explanation:
    """Make the morphs, the maps or both of a generator's findings in folder `out`, and its page.

    Args:
        reference: a run or a package.
        findings: raised together; or `every` finding alone.
        morph, map_: what is asked for; None leaves it out.
    Raises:
        FindingUnknown, SettingRefused, PathInUse, GeneratorRefused, and those of the store or the boxes: before
        anything is drawn.
    """
    generator = Generator.load(reference)
    sets = choose(generator, findings, every=every)
    regions, extractor = NOWHERE, None
    if morph is not None:
        strengths(morph.frames)
    if map_ is not None:
        regions = read_regions(generator, sets, store=map_.store, boxes=map_.boxes)
        if map_.extractor != NO_EXTRACTOR:
            extractor = load_extractor(map_.extractor, device=generator.device)
    folder = ExplainFolder.claim(out, generator)
    if morph is not None:
        _morphs(generator, folder, sets, morph, seed, track)
    if map_ is not None:
        _maps(generator, folder, sets, map_, regions, extractor, seed, track)
    (out / PAGE).write_text(page.render(folder), encoding="utf-8")
    return folder.explanation


def _morphs(
    generator: Generator, folder: ExplainFolder, sets: Sequence[Chosen], asked: MorphRequest, seed: int, track: Track
) -> None:
    drawn = draw_morphs(generator, sets, frames=asked.frames, patients=asked.patients, seed=seed, track=track)
    values = tuple(float(v) for v in strengths(asked.frames))
    with track("Writing morphs", total=len(sets), unit="morphs") as advance:
        for chosen, images in zip(sets, drawn, strict=True):
            name = f"{MORPHS}/{stem(chosen)}"
            strip(images, values, title(chosen)).save(folder.path / f"{name}.png", optimize=True)
            frames = moving(images, values, title(chosen))
            save_animation(folder.path / f"{name}.gif", frames)
            video = save_video(folder.path / f"{name}.mp4", frames)
            np.savez_compressed(folder.path / f"{name}.npz", images=images, strengths=np.array(values))
            folder.put_morph(
                MorphResult(
                    findings=chosen,
                    strengths=values,
                    patients=asked.patients,
                    seed=seed,
                    strip=f"{name}.png",
                    animation=f"{name}.gif",
                    video=f"{name}.mp4" if video else None,
                    frames=f"{name}.npz",
                )
            )
            advance(1)


def _maps(
    generator: Generator,
    folder: ExplainFolder,
    sets: Sequence[Chosen],
    asked: MapRequest,
    regions: Regions,
    extractor: Extractor | None,
    seed: int,
    track: Track,
) -> None:
    known = {chosen: heat for chosen in sets if (heat := regions.of(chosen)) is not None}
    changes = measure(generator, sets, n=asked.n, seed=seed, smoothing=asked.smoothing, heats=known, track=track)
    body = body_mask(changes[0].healthy)
    with track("Scoring and drawing maps", total=len(sets), unit="maps") as advance:
        for change in changes:
            chosen = change.findings
            name = f"{MAPS}/{stem(chosen)}"
            numbers = {"mean": change.mean, "standard_error": change.standard_error, "healthy": change.healthy}
            if chosen in known:
                numbers["region"] = known[chosen]
            np.savez_compressed(folder.path / f"{name}.npz", body=body, **numbers)
            result = _result(generator, change, asked, regions, extractor, body, seed)
            if result.picture is not None:
                without, raised = pairs(generator, chosen, min(asked.singles, asked.n), seed)
                singles = list(zip(raised.astype(np.float64) - without, without.astype(np.float64), strict=True))
                (folder.path / result.picture).write_bytes(map_figure(change, singles, title(chosen)))
            folder.put_map(result)
            advance(1)


def _result(
    generator: Generator,
    change: Change,
    asked: MapRequest,
    regions: Regions,
    extractor: Extractor | None,
    body: np.ndarray,
    seed: int,
) -> MapResult:
    chosen = change.findings
    place = np.unravel_index(np.abs(change.mean).argmax(), change.mean.shape)
    error = float(change.standard_error[place])
    outside = float((~body).mean())
    name = f"{MAPS}/{stem(chosen)}"
    rng = numpy_stream(seed, "explain", *chosen)
    scored = score(change, regions, body, rng=rng)
    result = MapResult(
        findings=chosen,
        images=asked.n,
        seed=seed,
        smoothing=asked.smoothing,
        strongest=float(change.mean[place]),
        strongest_error=error if np.isfinite(error) else None,
        change=mean_with_interval(change.rms, rng=rng),
        clear_share=float(change.clear.mean()),
        collapsed=change.collapsed,
        outside_body=None if outside < FEWEST_OUTSIDE or change.collapsed else share_outside(change.mean, body),
        outside_body_area=outside,
        identity=_identity(generator, chosen, extractor, asked.n, seed, rng),
        extractor=None if extractor is None else extractor.record.name,
        score=scored,
        unscored=None if scored is not None else _why(change, regions),
        statement="",
        picture=None if change.collapsed else f"{name}.png",
        numbers=f"{name}.npz",
    )
    return result.model_copy(update={"statement": statement(result)})


def _identity(
    generator: Generator, chosen: Chosen, extractor: Extractor | None, n: int, seed: int, rng: np.random.Generator
) -> Estimate | None:
    count = min(IDENTITY_PAIRS, n)
    if extractor is None or count < 2:
        return None
    without, raised = (extract(extractor, images).values for images in pairs(generator, chosen, count, seed))
    return identity_change(without, raised, rng=rng)


def _why(change: Change, regions: Regions) -> str:
    """Why a map has no score."""
    if change.collapsed:
        return "there is no change to score"
    if not regions.source:
        return "no region is known; --store (a phantom) or --boxes gives one"
    unknown = ", ".join(finding for finding in change.findings if finding not in regions.heats)
    return f"{regions.source} does not say where {unknown} sits"
