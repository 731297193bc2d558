"""What is audited: a generator, or a folder of synthetic images from anywhere, as arrays of grey values."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from radcommons.data.image_set import ImageSet, is_image_set, open_image_set
from radcommons.data.store import Store
from radcommons.errors import FindingUnknown, GeneratorRefused, SettingRefused, TooFewImages
from radcommons.models.generator import Batch, Generator, LabelChoice
from radcommons.models.generator_files import load_patients
from radcommons.models.layers import keep_kernels
from radcommons.progress import Track
from radcommons.records import PatientsRecord
from radcommons.runs import checkpoint
from radcommons.seeds import derive, numpy_stream

SMALLEST_SIDE = 16  # pixels: the windows of MS-SSIM are 11 wide
FEWEST_IMAGES = 6  # of a set: one more than the neighbours of precision and recall
Sampling = Literal["as in training", "balanced"]  # of the labels


@dataclass(frozen=True)
class Subject:
    """A generator or a set; a set has no weights and a fixed number of images.

    Attributes:
        digest: of the weights or the images.
        labels_digest: of all else that a number of the audit follows from: labels, findings, records.
        run: the folder of the run, which may hold the critic; None for packages and sets.
        patients: who was in the generator's training, if it says.
    """

    kind: Literal["generator", "set"]
    name: str
    digest: str
    labels_digest: str
    findings: tuple[str, ...]
    resolution: int
    generator: Generator | None = None
    given: ImageSet | None = None
    run: Path | None = None
    patients: PatientsRecord | None = None

    @cached_property
    def critic(self) -> tuple[nn.Module, str] | None:
        """The critic and the digest of the store that it was trained on; None if no checkpoint lies there."""
        return load_critic(self.run, self.generator) if self.run and self.generator else None

    def available(self, count: int) -> int:
        """`count`, or as many images as a set has."""
        return count if self.given is None else min(count, len(self.given.labels))

    def batches(self, count: int, kind: Sampling, *, seed: int, start: int = 0) -> Iterator[Batch]:
        """Images `start` ... `count`, the same for the same seed."""
        if self.generator is not None:
            choice, root = self._choice(kind), derive(seed, "audit", kind)
            yield from self.generator.batches(count, choice=choice, seed=root, start=start)
        else:
            images, labels = self._chosen(count, kind, seed)
            yield Batch(start, images[start:], labels[start:])

    def labels(self, count: int, kind: Sampling, *, seed: int) -> np.ndarray:
        """Labels of these images, float32 (count, F)."""
        if self.generator is not None:
            return self.generator.labels(count, choice=self._choice(kind), seed=derive(seed, "audit", kind))
        return self._chosen(count, kind, seed)[1]

    def _choice(self, kind: Sampling) -> LabelChoice:
        return LabelChoice(balanced=kind == "balanced" and bool(self.findings))

    def _chosen(self, count: int, kind: Sampling, seed: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.given is not None
        rows = numpy_stream(seed, "audit", "set", kind).permutation(len(self.given.labels))
        if kind == "balanced":
            rows = _balanced(self.given.labels, rows)
        return self.given.images[rows[:count]], self.given.labels[rows[:count]]


def open_subject(reference: Path, store: Store, *, precision: str = "fp32", track: Track) -> Subject:
    """Open what is to be audited and check that it fits the store.

    Args:
        precision: "fp32", "bf16" or "auto", for what a generator draws.
    Raises:
        PathMissing, GeneratorRefused, SetRefused: it cannot be read.
        FindingUnknown, SettingRefused: its findings or its resolution are not the store's, or its images too small.
        TooFewImages: a set with less than the measures of quality need.
    """
    subject = _set(reference, store, track) if is_image_set(reference) else _generator(reference, precision, track)
    unknown = [finding for finding in subject.findings if finding not in store.findings]
    if unknown:
        common = [finding for finding in subject.findings if finding in store.findings]
        raise FindingUnknown(
            f"{reference} knows {', '.join(unknown)}, which {store.path} does not label; "
            f"in both are: {', '.join(common) or 'none'}; audit against a store that labels them all"
        )
    if subject.resolution not in store.resolutions:
        raise SettingRefused(
            f"{reference} draws {subject.resolution} x {subject.resolution} pixels and {store.path} holds images up to "
            f"{store.resolutions[-1]}; import the films again with --resolution {subject.resolution}"
        )
    if subject.resolution < SMALLEST_SIDE:
        raise SettingRefused(
            f"{reference} draws {subject.resolution} x {subject.resolution} pixels; an audit needs {SMALLEST_SIDE} x "
            f"{SMALLEST_SIDE} or more: train a generator of a higher resolution"
        )
    count = subject.available(FEWEST_IMAGES)
    if count < FEWEST_IMAGES:
        raise TooFewImages(f"{reference} has {count} images; an audit needs {FEWEST_IMAGES} or more: draw more of them")
    return subject


def load_critic(run: Path, generator: Generator) -> tuple[nn.Module, str] | None:
    """The critic of a run and the digest of the store that it was trained on; None if the run keeps none."""
    found = checkpoint.load(run, torch.device("cpu"))
    if found is None or "critic" not in found[0]:
        return None
    state, _ = found
    critic = generator.family.critic(generator.config)
    critic.load_state_dict(state["critic"])
    keep_kernels(critic, True)
    return critic.requires_grad_(False).eval(), state["manifest_sha256"]


def _generator(reference: Path, precision: str, track: Track) -> Subject:
    generator = Generator.load(reference, precision=precision, track=track)
    bad = [name for name, value in generator.network.state_dict().items() if not bool(value.isfinite().all())]
    if bad:
        raise GeneratorRefused(f"{reference}: weight {bad[0]} holds a value that is not a number; train it again")
    inside = reference / "config.toml"
    patients = load_patients(reference)
    records = [generator.record, generator.findings_record, patients, generator.federation]
    return Subject(
        kind="generator",
        name=generator.name,
        digest=generator.digest,
        labels_digest=hashlib.sha256("".join(one.to_json() for one in records if one).encode()).hexdigest(),
        findings=generator.findings,
        resolution=generator.resolution,
        generator=generator,
        run=reference if inside.is_file() else None,
        patients=patients,
    )


def _set(reference: Path, store: Store, track: Track) -> Subject:
    theirs = open_image_set(reference, sides=store.resolutions, track=track)
    labels = hashlib.sha256("\n".join(theirs.findings).encode() + theirs.labels.tobytes()).hexdigest()
    return Subject(
        kind="set",
        name=reference.name,
        digest=theirs.digest,
        labels_digest=labels,
        findings=theirs.findings,
        resolution=theirs.resolution,
        given=theirs,
    )


def _balanced(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rows with findings taking turns, each row once, in the given order; then what is left."""
    queues = [[row for row in order if labels[row, finding] >= 0.5] for finding in range(labels.shape[1])]
    taken: dict[int, None] = {}
    while any(queues):
        for queue in queues:
            while queue:
                row = int(queue.pop(0))
                if row not in taken:
                    taken[row] = None
                    break
    return np.array([*taken, *(row for row in order if row not in taken)], np.int64)
