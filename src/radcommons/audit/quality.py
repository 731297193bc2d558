"""Is the generator good? Distances between sets of images, and diversity within a finding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from radcommons.audit.histogram import histogram
from radcommons.audit.inputs.material import BALANCED, SYNTHETIC, Material
from radcommons.audit.sensitivity import CHANGES, Change, blurred, pure_noise
from radcommons.data.listing import Part
from radcommons.extractors import Features, extract, same_extractor
from radcommons.metrics.frechet import frechet_distance, frechet_interval
from radcommons.metrics.kid import kid_interval, squared_mmd
from radcommons.metrics.manifold import manifold
from radcommons.metrics.ssim import ms_ssim, ms_ssim_scales
from radcommons.records import Diversity, Estimate, ImageSet, QualityScore
from radcommons.seeds import numpy_stream

PAIRS_AT_ONCE = 100
NEIGHBOURS = 5  # of the manifolds of precision, recall, density and coverage
CHANGED_AT_ONCE = 256  # films
Reference = tuple[ImageSet, Features, np.ndarray]  # its name, features, and the patient of each film
BLUR = 1 / 16  # of the image's side: deviation of the blur of the control, which leaves the outlines of the body


@dataclass(frozen=True)
class _Job:
    """A set of images and what it is compared with; the finding that all show, the change that all went through."""

    images: ImageSet
    features: Features
    reference: Reference
    finding: str | None = None
    change: str | None = None


def quality_scores(material: Material) -> list[QualityScore]:
    """Synthetic against real films in several ways, beside real films, noise, and real films changed in known ways.

    The rows against held-out films have equally many images on both sides, so that they compare: a Frechet distance of
    few images is too high, by as much in one row as in the other.
    """
    films, features = material.films, material.features
    rng = numpy_stream(material.settings.seed, "quality")
    size = min(len(films["train"]), len(films["test"]), len(films[SYNTHETIC]))

    def any_of(name: str) -> np.ndarray:
        return np.sort(rng.choice(len(films[name]), size, replace=False))

    def reference(name: ImageSet, part: Part, rows: np.ndarray) -> Reference:
        return name, features[part].take(rows), films[part].patients[rows]

    held_out = reference("held-out films", "test", any_of("test"))
    train: Reference = "training films", features["train"], films["train"].patients
    jobs: list[_Job] = [
        _Job("training films", features["train"].take(any_of("train")), held_out),
        _Job("synthetic images", features[SYNTHETIC].take(any_of(SYNTHETIC)), held_out),
        _Job("synthetic images", features[SYNTHETIC], train),
    ]
    by_finding = list(_by_finding(material))
    if by_finding:
        # the same count of each finding (paper: about 700)
        count = min(min(len(ours), len(theirs)) for _, ours, theirs in by_finding)
        drawn = [[rng.choice(rows, count, replace=False) for rows in pair] for _, *pair in by_finding]
        ours, theirs = (np.concatenate(rows) for rows in zip(*drawn, strict=True))
        equal = reference("training films, equal counts per finding", "train", theirs)
        jobs.append(_Job("synthetic images, equal counts per finding", features[BALANCED].take(ours), equal))
    for finding, ours, theirs in by_finding:
        showing = reference("training films", "train", theirs)
        jobs.append(_Job("synthetic images", features[BALANCED].take(ours), showing, finding=finding))
    side = material.subject.resolution
    controls: dict[ImageSet, Change] = {"noise": pure_noise, "blurred training films": blurred(BLUR * side)}
    jobs += [_Job(name, _changed(material, name, change, size), held_out) for name, change in controls.items()]
    if material.settings.sensitivity:
        for name, change in CHANGES.items():
            jobs.append(_Job("changed training films", _changed(material, name, change, size), held_out, change=name))
    scores = []
    with material.track("Quality", total=len(jobs), unit="comparisons") as advance:
        for job in jobs:
            scores.append(_score(job, halves=material.settings.fid_halves, rng=rng))
            advance(1)
    return scores


def _score(job: _Job, *, halves: int, rng: np.random.Generator) -> QualityScore:
    """All distances between two sets of images, with intervals from `halves` pairs of random halves of patients."""
    reference_name, real, patients = job.reference
    extractor = same_extractor(job.features, real)
    ours, theirs = job.features.values, real.values
    found = manifold(theirs, ours, neighbours=NEIGHBOURS)
    frechet = frechet_interval(theirs, ours, halves=halves, rng=rng, real_groups=patients, corrected=False)
    kernel = kid_interval(theirs, ours, halves=halves, rng=rng, real_groups=patients)
    return QualityScore(
        images=job.images,
        change=job.change,
        reference=reference_name,
        finding=job.finding,
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


def _changed(material: Material, name: str, change: Change, count: int) -> Features:
    """Features of `count` training films after a change, drawn at random like those of the real-vs-real baseline."""
    rng = numpy_stream(material.settings.seed, "quality", name)
    rows = np.sort(rng.choice(material.rows["train"], count, replace=False))
    found = []
    for start in range(0, count, CHANGED_AT_ONCE):
        films = change(np.asarray(material.images[rows[start : start + CHANGED_AT_ONCE]]), rng)
        found.append(extract(material.extractor, films, description=f"Features, {name}").values)
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
            real = _similarities(material.images, rows, owners, settings.pairs, rng)
            synthetic = _similarities(material.synthetic[BALANCED].images, ours, ours, settings.pairs, rng)
            found.append(
                Diversity(
                    finding=finding,
                    pairs=settings.pairs,
                    scales=ms_ssim_scales(material.subject.resolution),
                    side=material.subject.resolution,
                    real=float(real.mean()),
                    real_sd=float(real.std(ddof=1)),
                    synthetic=float(synthetic.mean()),
                    synthetic_sd=float(synthetic.std(ddof=1)),
                    spread=histogram({"real": real, "synthetic": synthetic}, span=(0.0, 1.0)),
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
