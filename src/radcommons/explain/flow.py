"""The commands of ``radcommons explain``: draw, measure, score, write, and write the page again."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from radcommons.errors import SettingRefused
from radcommons.explain import page
from radcommons.explain.correlate import FEWEST_IMAGES, common_findings, parse_pairs
from radcommons.explain.correlate import correlate as correlate_labels
from radcommons.explain.difference import Change, measure
from radcommons.explain.drawing import (
    MOVING_SIDE,
    map_figure,
    most_side_by_side,
    moving,
    save_animation,
    save_video,
    strip,
)
from radcommons.explain.finding_sets import FindingSet, choose, stem, title
from radcommons.explain.folder import MAPS, MORPHS, PAGE, RECORD, UNFINISHED, ExplainFolder, read_audit, read_evaluation
from radcommons.explain.identity import IdentityCheck, mean_with_interval
from radcommons.explain.interpolation import draw_interpolations, strengths
from radcommons.explain.latents import draw_first
from radcommons.explain.regions import NO_REGIONS, Regions, read_regions, score
from radcommons.explain.statements import statement
from radcommons.extractors import Extractor, load_extractor
from radcommons.files import put_whole, write_arrays, write_whole
from radcommons.folders import alone_in, claim, read_request
from radcommons.metrics.localisation import body_mask, share_outside, split_region
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.precision import kept
from radcommons.progress import Track, silent
from radcommons.records import Explanation, InterpolationResult, MapResult
from radcommons.seeds import numpy_stream

FEWEST_FRAMES = 2
MEMORY = 2**32  # bytes of all images that one command interpolates
COPIES = 5  # of the images of one set of findings while its files are written
WIDEST = 0.25  # sigma of the smoothing, share of the side
IDENTITY_PAIRS = 64
FEWEST_OUTSIDE = 0.01  # share of pixels outside the body below which nothing is reported about them
NO_EXTRACTOR = "off"


@dataclass(frozen=True, slots=True)
class InterpolationRequest:
    """Settings of a label interpolation: frames from label 0 to 1, and latent vectors (`patients`)."""

    frames: int = 11
    patients: int = 4

    def check(self, resolution: int, sets: int) -> None:
        """Raise SettingRefused if a number is out of range for this resolution and number of sets."""
        if self.frames < FEWEST_FRAMES:
            raise SettingRefused(f"frames is {self.frames}; an interpolation needs {FEWEST_FRAMES} or more")
        if self.patients < 1:
            raise SettingRefused(f"patients is {self.patients}; it must be 1 or more")
        if self.patients > (most := most_side_by_side(resolution)):
            raise SettingRefused(
                f"patients is {self.patients}; an animation holds {most} side by side; pass --patients {most} or fewer"
            )
        most = MEMORY // ((sets + COPIES) * max(resolution, MOVING_SIDE) ** 2)
        images = self.patients * self.frames
        if images > most:
            raise SettingRefused(
                f"frames is {self.frames}; with {self.patients} latent vectors that is {images:,} images, "
                f"and {MEMORY >> 30} GiB of memory hold {most:,}; "
                f"pass --frames {most // self.patients} or fewer, or fewer --patients"
            )


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Settings of a difference map.

    Attributes:
        n: latent vectors in the mean.
        smoothing: sigma, share of the side.
        singles: latent vectors shown one by one.
        store: a simulated hospital; its known regions score the maps.
        boxes: a list of radiologists' boxes; they score the maps.
        extractor: its features measure whether the person stays the same; "off" for none.
    """

    n: int = 1000
    smoothing: float = 0.02
    singles: int = 4
    store: Path | None = None
    boxes: Path | None = None
    extractor: str = "efficientnet-lite0"

    def check(self) -> None:
        """Raise SettingRefused if a number is out of range."""
        if self.n < 1:
            raise SettingRefused(f"n is {self.n}; it must be 1 or more")
        if not 0 <= self.smoothing <= WIDEST:
            raise SettingRefused(f"smooth is {self.smoothing}; it must be from 0 (raw) to {WIDEST} of the image's side")


def explain(
    reference: Path,
    out: Path,
    findings: Sequence[str] = (),
    *,
    every: bool = False,
    interpolation: InterpolationRequest | None = None,
    map_: MapRequest | None = None,
    audit: Path | None = None,
    seed: int = 0,
    precision: str = "fp32",
    track: Track = silent,
) -> Explanation:
    """Write label interpolations, difference maps or both of a generator's findings to folder `out`, and the page.

    Args:
        reference: a run or a package.
        findings: labels that rise together; with `every`, each finding alone.
        interpolation, map_: what to draw; None leaves it out.
        audit: folder of this generator's audit; its record is added to the page.
        precision: in which to draw: "fp32", "bf16" or "auto", that of the folder or the faster one here.
    Raises:
        FindingUnknown, SettingRefused, PathInUse, GeneratorRefused, and errors of the store, the boxes or the audit;
        all before anything is drawn.
    """
    generator = Generator.load(reference, precision=kept(precision, read_request(out / RECORD)), track=track)
    sets = choose(generator, findings, every=every)
    regions, extractor = NO_REGIONS, None
    if interpolation is not None:
        interpolation.check(generator.resolution, len(sets))
    if map_ is not None:
        map_.check()
        regions = read_regions(generator, sets, store=map_.store, boxes=map_.boxes)
        if map_.extractor != NO_EXTRACTOR:
            extractor = load_extractor(map_.extractor, device=generator.device)
    with _folder(out, generator, audit) as folder:
        if interpolation is not None:
            _interpolate(generator, folder, sets, interpolation, seed, track)
        if map_ is not None:
            _maps(generator, folder, sets, map_, regions, extractor, seed, track)
    return folder.explanation


def correlate(
    reference: Path,
    classifier: Path,
    out: Path,
    *,
    n: int = 5000,
    pairs: Sequence[str] = (),
    evaluation: Path | None = None,
    audit: Path | None = None,
    seed: int = 0,
    precision: str = "fp32",
    track: Track = silent,
) -> Explanation:
    """Correlate every label of a generator with every output of a classifier of real films; write the page again.

    Args:
        reference: a run or a package.
        classifier: a run of ``classify train``.
        n: images per label; the default is that of the paper (section 5).
        pairs: scatter plots to draw, "LABEL:OUTPUT"; if empty, the diagonal and the strongest other pairs.
        evaluation: folder of the classifier's evaluation on real films; says of which findings it can judge.
        audit: folder of this generator's audit; its record is added to the page.
        precision: in which to draw: "fp32", "bf16" or "auto", that of the folder or the faster one here.
    Raises:
        SettingRefused, FindingUnknown, ClassifierRefused, PathMissing, PathInUse, GeneratorRefused: before anything is
            drawn.
    """
    if n < FEWEST_IMAGES:
        raise SettingRefused(f"n is {n}; a correlation needs {FEWEST_IMAGES} or more images per label")
    generator = Generator.load(reference, precision=kept(precision, read_request(out / RECORD)), track=track)
    loaded = Classifier.load(classifier)
    shown = parse_pairs(pairs, common_findings(generator, loaded))
    evaluated = read_evaluation(evaluation, loaded) if evaluation is not None else None
    with _folder(out, generator, audit) as folder:
        if (before := folder.explanation.correlation) is not None:
            claim(out, {"classifier": loaded.digest}, file=None, begun={"classifier": before.classifier_sha256})
        correlate_labels(generator, loaded, folder, n=n, seed=seed, pairs=shown, evaluation=evaluated, track=track)
    return folder.explanation


@contextmanager
def _folder(out: Path, generator: Generator, audit: Path | None) -> Iterator[ExplainFolder]:
    """The claimed folder of an explanation; its page is written again at the end."""
    report = read_audit(audit, generator) if audit is not None else None
    with alone_in(out, private=False):
        folder = ExplainFolder.claim(out, generator, report)
        yield folder
        write_whole(out / PAGE, page.render(folder))


def _interpolate(
    generator: Generator,
    folder: ExplainFolder,
    sets: Sequence[FindingSet],
    asked: InterpolationRequest,
    seed: int,
    track: Track,
) -> None:
    drawn = draw_interpolations(generator, sets, frames=asked.frames, patients=asked.patients, seed=seed, track=track)
    values = tuple(float(v) for v in strengths(asked.frames))
    with track("Writing interpolations", total=len(sets), unit="sets") as advance:
        for chosen, images in zip(sets, drawn, strict=True):
            name = f"{MORPHS}/{stem(chosen)}"
            picture = strip(images, values, title(chosen))
            put_whole(folder.path / f"{name}.png", partial(picture.save, optimize=True))
            frames = moving(images, values, title(chosen))
            put_whole(folder.path / f"{name}.gif", partial(save_animation, frames=frames))
            video = save_video(folder.path / f"{name}.mp4", frames)
            write_arrays(folder.path / f"{name}.npz", images=images, strengths=np.array(values))
            folder.add(
                "morphs",
                InterpolationResult(
                    findings=chosen,
                    strengths=values,
                    patients=asked.patients,
                    seed=seed,
                    strip=f"{name}.png",
                    animation=f"{name}.gif",
                    video=f"{name}.mp4" if video else None,
                    frames=f"{name}.npz",
                ),
            )
            advance(1)


def _maps(
    generator: Generator,
    folder: ExplainFolder,
    sets: Sequence[FindingSet],
    asked: MapRequest,
    regions: Regions,
    extractor: Extractor | None,
    seed: int,
    track: Track,
) -> None:
    known = {chosen: heat for chosen in sets if (heat := regions.of(chosen)) is not None}
    changes = measure(
        generator,
        sets,
        n=asked.n,
        seed=seed,
        smoothing=asked.smoothing,
        heats=known,
        kept=folder.path / UNFINISHED,
        track=track,
    )
    body = body_mask(changes[0].healthy)
    identity = None if extractor is None else IdentityCheck(generator, extractor, min(IDENTITY_PAIRS, asked.n), seed)
    with track("Scoring and drawing maps", total=len(sets), unit="maps") as advance:
        for change in changes:
            chosen = change.findings
            name = f"{MAPS}/{stem(chosen)}"
            numbers = {"mean": change.mean, "standard_error": change.standard_error, "healthy": change.healthy}
            if chosen in known:
                numbers["region"] = known[chosen]
            without, raised = (draw_first(generator, c, asked.singles, seed) for c in ((), chosen))
            numbers |= {"singles_without": without, "singles_raised": raised}
            write_arrays(folder.path / f"{name}.npz", body=body, **numbers)
            result = _result(change, asked, regions, identity, body, seed)
            if result.picture is not None:
                singles = list(zip(raised.astype(np.float64) - without, without.astype(np.float64), strict=True))
                region = split_region(known[chosen])[0] if chosen in known else None
                picture = map_figure(change, singles, region, title(chosen))
                put_whole(folder.path / result.picture, partial(picture.save, optimize=True))
            folder.add("maps", result)
            advance(1)
    shutil.rmtree(folder.path / UNFINISHED)


def _result(
    change: Change, asked: MapRequest, regions: Regions, identity: IdentityCheck | None, body: np.ndarray, seed: int
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
        overall=float(change.mean[body].mean()),
        clear_share=float(change.clear.mean()),
        collapsed=change.collapsed,
        outside_body=None if outside < FEWEST_OUTSIDE or change.collapsed else share_outside(change.mean, body),
        outside_body_area=outside,
        identity=None if identity is None else identity.change(chosen, rng=rng),
        extractor=None if identity is None else identity.extractor.record.name,
        score=scored,
        unscored=None if scored is not None else _why_unscored(change, regions),
        statement="",
        picture=None if change.collapsed else f"{name}.png",
        numbers=f"{name}.npz",
    )
    return result.model_copy(update={"statement": statement(result)})


def _why_unscored(change: Change, regions: Regions) -> str:
    """Why a map has no score."""
    if change.collapsed:
        return "there is no change to score"
    if not regions.source:
        return "no region is known; pass --store (a simulated hospital) or --boxes"
    unknown = tuple(finding for finding in change.findings if finding not in regions.heats)
    if not unknown:
        return "its region is the whole film"
    return f"{title(unknown)} is not in {regions.source}"
