"""Is the generator good? Distances between sets of images, and diversity within a finding."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

from radcommons.audit.histogram import histogram
from radcommons.audit.inputs.material import BALANCED, SYNTHETIC, Material
from radcommons.extractors import Features, extract, same_extractor
from radcommons.metrics.frechet import frechet_distance, frechet_interval
from radcommons.metrics.kid import kid_interval, squared_mmd
from radcommons.metrics.manifold import manifold
from radcommons.metrics.ssim import ms_ssim, ms_ssim_scales
from radcommons.records import Diversity, Estimate, ImageSet, QualityScore
from radcommons.seeds import numpy_stream

PAIRS_AT_ONCE = 100
NEIGHBOURS = 5  # of the manifolds of precision, recall, density and coverage
CONTROLS_AT_ONCE = 256  # images
BLUR = 1 / 16  # of the image's side: deviation of the blur of the control, which leaves the outlines of the body


def quality_scores(material: Material) -> list[QualityScore]:
    """Synthetic against real films in several ways, beside the controls: real films, noise and blurred films.

    The rows against held-out films have equally many images on both sides, so that they compare: a Frechet distance of
    few images is too high, by as much in one row as in the other.
    """
    films, features, settings = material.films, material.features, material.settings
    rng = numpy_stream(settings.seed, "quality")
    size = min(len(films["train"]), len(films["test"]), len(films[SYNTHETIC]))

    def some(name: str, rows: np.ndarray) -> tuple[Features, np.ndarray]:
        return features[name].take(rows), films[name].patients[rows]

    def any_of(name: str, count: int) -> np.ndarray:
        return np.sort(rng.choice(len(films[name]), count, replace=False))

    held_out = some("test", any_of("test", size))
    jobs: list[tuple[ImageSet, ImageSet, str | None, Features, tuple[Features, np.ndarray]]] = [
        ("training films", "held-out films", None, some("train", any_of("train", size))[0], held_out),
        ("synthetic images", "held-out films", None, some(SYNTHETIC, any_of(SYNTHETIC, size))[0], held_out),
        ("synthetic images", "training films", None, features[SYNTHETIC], (features["train"], films["train"].patients)),
    ]
    ours, theirs = _equal_counts(material, rng)
    if ours is not None and theirs is not None:
        jobs.append(("synthetic images, equal counts per finding", "training films, equal counts per finding", None,
                     some(BALANCED, ours)[0], some("train", theirs)))  # fmt: skip
    for name, a, b in _by_finding(material):
        jobs.append(("synthetic images", "training films", name, some(BALANCED, a)[0], some("train", b)))
    jobs.append(("noise", "held-out films", None, _control(material, "noise", size), held_out))
    blurred = _control(material, "blurred training films", size)
    jobs.append(("blurred training films", "held-out films", None, blurred, held_out))
    scores = []
    with material.track("Quality", total=len(jobs), unit="comparisons") as advance:
        for images, reference, finding, mine, (real, patients) in jobs:
            scores.append(
                compare_sets(
                    mine,
                    real,
                    names=(images, reference),
                    finding=finding,
                    patients=patients,
                    redraws=settings.fid_redraws,
                    rng=rng,
                )
            )
            advance(1)
    return scores


def compare_sets(
    images: Features,
    reference: Features,
    *,
    names: tuple[ImageSet, ImageSet],
    finding: str | None,
    patients: np.ndarray,
    redraws: int,
    rng: np.random.Generator,
) -> QualityScore:
    """All distances between two sets of images.

    Args:
        images, reference: features of one extractor.
        names: of the two sets.
        finding: the finding that all of them show, if one.
        patients: patient of each reference film; the bootstrap draws patients, not films.
        redraws: of the intervals.
    """
    extractor = same_extractor(images, reference)
    ours, theirs = images.values, reference.values
    found = manifold(theirs, ours, neighbours=NEIGHBOURS)
    frechet = frechet_interval(theirs, ours, redraws=redraws, rng=rng, real_groups=patients, corrected=False)
    kernel = kid_interval(theirs, ours, redraws=redraws, rng=rng, real_groups=patients)
    return QualityScore(
        images=names[0],
        reference=names[1],
        finding=finding,
        image_count=len(ours),
        reference_count=len(theirs),
        extractor=extractor.name,
        extractor_sha256=extractor.digest,
        resize=extractor.resize,
        fid=Estimate(value=frechet_distance(theirs, ours), low=frechet[0], high=frechet[1]),
        kid=Estimate(value=squared_mmd(theirs, ours), low=kernel[0], high=kernel[1]),
        precision=found.precision,
        recall=found.recall,
        density=found.density,
        coverage=found.coverage,
    )


def _control(material: Material, control: Literal["noise", "blurred training films"], count: int) -> Features:
    """Features of `count` images that no useful generator draws: grey values at random, or films blurred too far."""
    rng = numpy_stream(material.settings.seed, "quality", control)
    side = material.subject.resolution
    rows = np.sort(rng.choice(material.rows["train"], count, replace=False))
    found = []
    for start in range(0, count, CONTROLS_AT_ONCE):
        some = rows[start : start + CONTROLS_AT_ONCE]
        if control == "noise":
            images = rng.integers(0, 256, (len(some), side, side), np.uint8)
        else:
            images = np.stack([cv2.GaussianBlur(np.array(film), (0, 0), BLUR * side) for film in material.images[some]])
        found.append(extract(material.extractor, images, description=f"Features, {control}").values)
    return Features(np.concatenate(found), material.extractor.record)


def diversities(material: Material) -> list[Diversity]:
    """MS-SSIM of random pairs that share a finding, synthetic beside real; films of two patients each."""
    settings = material.settings
    found = []
    jobs = list(_by_finding(material))
    with material.track("Diversity", total=len(jobs), unit="findings") as advance:
        for finding, ours, theirs in jobs:
            rng = numpy_stream(settings.seed, "diversity", finding)
            rows, owners = material.rows["train"][theirs], material.films["train"].patients[theirs]
            values = {
                "real": _similarities(material.images, rows, owners, settings.pairs, rng),
                "synthetic": _similarities(material.synthetic[BALANCED].images, ours, ours, settings.pairs, rng),
            }
            found.append(
                Diversity(
                    finding=finding,
                    pairs=settings.pairs,
                    scales=ms_ssim_scales(material.subject.resolution),
                    side=material.subject.resolution,
                    real=float(values["real"].mean()),
                    real_sd=float(values["real"].std(ddof=1)),
                    synthetic=float(values["synthetic"].mean()),
                    synthetic_sd=float(values["synthetic"].std(ddof=1)),
                    spread=histogram(values, span=(0.0, 1.0)),
                )
            )
            advance(1)
    return found


def _similarities(
    images: np.ndarray, rows: np.ndarray, owners: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """MS-SSIM of `count` random pairs among `rows` of (mapped) images, the two of different owners."""
    first, second = np.empty(0, np.int64), np.empty(0, np.int64)
    while len(first) < count:
        a, b = rng.integers(len(rows), size=(2, 2 * count))
        different = owners[a] != owners[b]
        first, second = np.append(first, rows[a[different]]), np.append(second, rows[b[different]])
    spans = [slice(start, min(start + PAIRS_AT_ONCE, count)) for start in range(0, count, PAIRS_AT_ONCE)]
    return np.concatenate([ms_ssim(images[first[span]], images[second[span]]) for span in spans])


def _by_finding(material: Material) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each finding with enough images: its name, rows of the balanced images, rows of the training films."""
    fewest = material.settings.fewest
    for column, finding in enumerate(material.subject.findings):
        ours = material.films[BALANCED].with_finding(column)
        theirs = material.films["train"].with_finding(column)
        patients = len(np.unique(material.films["train"].patients[theirs]))
        if min(len(ours), patients) >= fewest:
            yield finding, ours, theirs


def _equal_counts(material: Material, rng: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows of balanced images and of training films with equally many of each finding (paper: about 700)."""
    jobs = list(_by_finding(material))
    if not jobs:
        return None, None
    count = min(min(len(ours), len(theirs)) for _, ours, theirs in jobs)
    chosen: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for _, ours, theirs in jobs:
        chosen[0].append(rng.choice(ours, count, replace=False))
        chosen[1].append(rng.choice(theirs, count, replace=False))
    return np.concatenate(chosen[0]), np.concatenate(chosen[1])
