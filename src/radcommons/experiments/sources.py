"""What the arms of an experiment are made of: films of a store and synthetic images of generators."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from radcommons.classify.training_data import Examples, of_images, of_store, require_both_classes, with_both_classes
from radcommons.data.listing import PARTS
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_seen, require_unseen
from radcommons.errors import FindingUnknown, SettingRefused, TooFewImages, nearest_hint
from radcommons.experiments.settings import ExperimentSettings
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.generator_files import load_patients
from radcommons.progress import Track
from radcommons.seeds import derive

TRIED_AT_ONCE, MOST_TRIED = 4_096, 2**20


@dataclass(frozen=True)
class Site:
    """The films of the local site by part, with the labels of the experiment's findings."""

    store: Store
    train: Examples
    validation: Examples
    test: Examples


def common_findings(folder: Path, references: Sequence[Path]) -> tuple[str, ...]:
    """The findings that a store and all generators know, with both classes in each part of the store.

    Raises:
        FindingUnknown, TooFewImages: there is none.
    """
    store = Store.open(folder)
    known = [Generator.load(path).findings for path in references]
    common = tuple(f for f in store.findings if all(f in names for names in known))
    if not common:
        raise FindingUnknown(
            f"{', '.join(map(str, (folder, *references[:-1])))} and {references[-1]} have no finding in common "
            f"({'; '.join(', '.join(names) for names in (store.findings, *known))})"
        )
    parts = [store.labels(store.rows(part))[:, [store.findings.index(f) for f in common]] for part in PARTS]
    both = np.all([with_both_classes(labels) for labels in parts], axis=0)
    if not both.any():
        raise TooFewImages(
            f"none of {', '.join(common)} has both positive and negative films in training, validation and test of "
            f"{folder}; take a larger store"
        )
    return tuple(f for f, usable in zip(common, both, strict=True) if usable)


def open_site(folder: Path, findings: Sequence[str], *, side: int) -> Site:
    """A store's three parts.

    Raises:
        FindingUnknown: the store does not label a finding.
        TooFewImages: a part has one class only.
    """
    store = Store.open(folder)
    for finding in findings:
        if finding not in store.findings:
            raise FindingUnknown(
                f"finding '{finding}' is not labelled in {folder}; {nearest_hint(finding, store.findings)}"
            )
    parts = {name: of_store(store, name, side=side).about(findings) for name in ("train", "val", "test")}
    for name, part in parts.items():
        require_both_classes(part.labels, findings, f"the part '{name}' of {folder}")
    return Site(store, parts["train"], parts["val"], parts["test"])


def open_generator(
    reference: Path, site: Site, findings: Sequence[str], precision: str = "fp32"
) -> tuple[Generator, str | None]:
    """A generator that knows the findings and has not seen the site's test patients.

    Returns:
        The generator, and why an overlap of patients could not be ruled out, or None.
    Raises:
        FindingUnknown: it does not know a finding.
        PatientsSeen: its training had patients of the site's test or validation part.
    """
    generator = Generator.load(reference, precision=precision)
    for finding in findings:
        if finding not in generator.findings:
            common = [f for f in generator.findings if f in site.store.findings]
            raise FindingUnknown(
                f"{reference} does not know '{finding}'; in common with {site.store.path} are "
                f"{', '.join(common) or 'none'}"
            )
    rows = np.concatenate([site.test.rows, site.validation.rows])
    seen = require_unseen(reference, site.store, rows, what="test and validation")
    return generator, None if seen.comparable else f"{reference.name}: {seen.describe('test and validation')}"


def open_generators(
    references: Sequence[Path], site: Site, findings: Sequence[str], precision: str = "fp32"
) -> list[tuple[Generator, str | None]]:
    """`open_generator` of each, in the same precision; raises SettingRefused where two are the same weights."""
    opened = [open_generator(reference, site, findings, precision) for reference in references]
    if any(generator.precision == "fp32" for generator, _ in opened):  # "auto" depends on the family too
        opened = [(replace(generator, precision="fp32"), note) for generator, note in opened]
    first: dict[str, Path] = {}
    for (generator, _), reference in zip(opened, references, strict=True):
        if generator.digest in first:
            raise SettingRefused(f"{first[generator.digest]} and {reference} are the same generator; name it once")
        first[generator.digest] = reference
    return opened


def generation_seed(settings: ExperimentSettings, repeat: int, number: int) -> int:
    """Seed of a generator's images; its own, since generators with a common start would draw similar images."""
    return derive(settings.seed + number, "synthetic", repeat)


def learned_from(reference: Path, site: Site) -> str | None:
    """How many of the site's own training patients a generator has learned from, in words; None where it is none."""
    seen = patients_seen(load_patients(reference), site.store, site.train.rows)
    if not seen.patients:
        return None
    return f"{reference.name}: {seen.describe('local training')}, so it knows films that are not in the small local set"


def generate_as_trained(
    generator: Generator, count: int, findings: Sequence[str], *, name: str, seed: int, track: Track
) -> Examples:
    """Images with the combinations of labels that training had."""
    batch = generator.generate(count, seed=seed, track=track)
    return _examples(name, generator, batch.images, batch.labels, findings, seed)


def generate_with_and_without(
    generator: Generator, finding: str, *, positives: int, negatives: int, name: str, seed: int, track: Track
) -> Examples:
    """Images with and without one finding; their other findings occur together with it as they did in training.

    Labels are drawn as in training, and those with (or without) the finding are taken. So a positive may have other
    findings too, as films have. Raises TooFewImages where training had hardly any films of a kind.
    """
    images, labels = [], []
    for present, count in ((True, positives), (False, negatives)):
        root = derive(seed, "experiment", present)
        chosen = _indices(generator, finding, present, count, name=name, seed=root)
        with track(f"Drawing with {finding}" if present else f"Drawing without {finding}", total=count) as advance:
            for start in range(0, count, generator.block_size):
                block = chosen[start : start + generator.block_size]
                latents, vectors = generator.inputs(block, LabelChoice(), root)
                images.append(generator.draw(latents, vectors))
                labels.append(vectors)
                advance(len(block))
    return _examples(name, generator, np.concatenate(images), np.concatenate(labels), [finding], seed)


def _indices(generator: Generator, finding: str, present: bool, count: int, *, name: str, seed: int) -> list[int]:
    """The first images of a seed whose drawn label has the finding, or has not."""
    column, word = generator.findings.index(finding), "present" if present else "absent"
    combinations = [labels for labels, _ in generator.findings_record.combinations] or [(0,) * len(generator.findings)]
    if count and not any(bool(labels[column]) == present for labels in combinations):
        raise TooFewImages(
            f"{name} never draws '{finding}' {word}: no such combination of labels was frequent enough in its training "
            "to be published; take another generator"
        )
    kept: list[int] = []
    for first in range(0, MOST_TRIED, TRIED_AT_ONCE):
        if len(kept) >= count:
            break
        labels = generator.inputs(range(first, first + TRIED_AT_ONCE), LabelChoice(), seed)[1]
        kept.extend((first + np.flatnonzero((labels[:, column] >= 0.5) == present)).tolist())
    if len(kept) < count:
        raise TooFewImages(
            f"{name} draws '{finding}' {word} {len(kept):,} times in {MOST_TRIED:,} images, but "
            f"{count:,} are needed; lower the number, or take another generator"
        )
    return kept[:count]


def _examples(
    name: str, generator: Generator, images: np.ndarray, labels: np.ndarray, findings: Sequence[str], seed: int
) -> Examples:
    """Generated images with the labels of some findings."""
    whole = of_images(f"synthetic {name}", images, labels, generator.findings, f"{generator.digest}/{seed}")
    return whole.about(findings)
