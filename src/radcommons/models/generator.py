"""A trained generator, which draws labelled synthetic radiographs.

Image i depends on the generator, the seed and i only. Its latents and labels come from a random stream of its own. The
network always runs on the same aligned blocks of images, because another batch size may change the last bit.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, count
from math import gcd
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from radcommons.errors import FindingUnknown, SettingRefused, nearest_hint
from radcommons.findings import NO_FINDING
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import Family, FamilyConfig, Sampler, bf16_sampler
from radcommons.models.generator_files import load_federation, load_generator
from radcommons.packages.references import local_folder
from radcommons.precision import Precision
from radcommons.progress import Track, silent
from radcommons.records import FederationRecord, FindingsRecord, GeneratorRecord
from radcommons.seeds import numpy_stream
from radcommons.threads import thread_map, threads_for

R = TypeVar("R")

BLOCK_PIXELS = 2**19  # of one block of images on a CPU: 8 at 256
SMALLEST_BLOCK = 4  # fewer would not fill the small layers
GPU_FACTOR = 16


@dataclass(frozen=True)
class FindingCounts:
    """How many images of a run are drawn for each finding, spread evenly over the run.

    Attributes:
        images: number of images for each; "No Finding" = images without any, if the generator has no label for it.
        first: index of the first image of the run.
    """

    images: Mapping[str, int]
    first: int = 0

    def at(self, index: int) -> str:
        """The finding that image `index` is drawn for."""
        stops, stride = self._stops_and_stride
        place = (index - self.first) * stride % stops[-1]
        return list(self.images)[bisect_right(stops, place)]

    @cached_property
    def _stops_and_stride(self) -> tuple[list[int], int]:
        """Where each finding ends, and a step that has no factor in common with the total: it visits every place once.

        Steps of the golden ratio leave no gap that is much longer than the others.
        """
        stops = list(accumulate(self.images.values()))
        total = stops[-1]
        return stops, next(step for step in count(max(1, round(0.618034 * total))) if gcd(step, total) == 1)


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """How the label vectors of a set are chosen.

    Attributes:
        given: value of each named finding in [0, 1], all others 0; None to sample labels instead.
        balanced: findings take turns: image i shows finding i modulo F, with the findings that occur together with it
            in training. Otherwise labels occur as in training.
        counts: how many images are drawn for each finding, likewise with others; not together with the two above.
    """

    given: Mapping[str, float] | None = None
    balanced: bool = False
    counts: FindingCounts | None = None

    def check(self, findings: tuple[str, ...]) -> None:
        """Raise FindingUnknown or SettingRefused if the choice does not fit the findings of a generator."""
        if self.given is not None and self.balanced:
            raise SettingRefused("labels are either given or balanced; drop one of the two")
        if self.balanced and not findings:
            raise SettingRefused("the generator knows no finding to balance")
        counted = [finding for finding in self.counts.images if finding != NO_FINDING] if self.counts else []
        for finding in (*(self.given or {}), *counted):
            if finding not in findings:
                hint = nearest_hint(finding, findings) if findings else "it knows none"
                raise FindingUnknown(f"finding '{finding}' is not one of the generator's; {hint}")
        for finding, value in (self.given or {}).items():
            if not 0 <= value <= 1:
                raise SettingRefused(f"label {finding} is {value}; it must be from 0 (absent) to 1 (present)")

    def describe(self) -> str:
        """The choice in words, for the provenance of a set."""
        if self.given is not None:
            return "given: " + (", ".join(f"{k}={v:g}" for k, v in self.given.items()) or "no finding")
        if self.counts is not None:
            return "drawn for " + ", ".join(f"{finding}: {n}" for finding, n in self.counts.images.items())
        return "balanced over findings" if self.balanced else "as in training"


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of a seed, one block or less.

    Attributes:
        first: index in the set of the first image here.
        images: uint8 (n, R, R).
        labels: float32 (n, F), each in [0, 1] or NaN, unknown, in the order of the set's findings.
    """

    first: int
    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, slots=True)
class SyntheticImages:
    """Images in memory; uint8 (n, R, R), labels float32 (n, F) in [0, 1], names of the F findings."""

    images: np.ndarray
    labels: np.ndarray
    findings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def as_torch_dataset(self) -> TensorDataset:
        """Pairs of image, float (1, R, R) in [0, 1], and label vector, float (F,)."""
        images = torch.from_numpy(self.images).unsqueeze(1).float() / 255
        return TensorDataset(images, torch.from_numpy(self.labels))


@dataclass(frozen=True)
class Generator:
    """A trained generator, ready to draw."""

    network: nn.Module
    record: GeneratorRecord
    findings_record: FindingsRecord
    device: torch.device
    folder: Path | None = None  # where it was loaded from
    precision: Precision = field(default="fp32", kw_only=True)  # in which it draws

    @classmethod
    def load(
        cls, reference: Path | str, device: str | None = None, precision: str = "fp32", track: Track = silent
    ) -> Self:
        """Open a generator; on the GPU where there is one, unless told otherwise.

        Args:
            reference: a run's or a package's folder, hub://HOST/ORG/NAME@REVISION or hf://ORG/NAME@REVISION.
            precision: "fp32", "bf16" or "auto", the faster one here; in bf16 an image is not the same
                everywhere, and differs from that in fp32 by less than a grey level on average.
            track: shows how far a generator that lies elsewhere has come.
        Raises:
            PathMissing, GeneratorRefused, HubRefused, PackageRefused: with the next step.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        folder = local_folder(reference, track)
        network, record, findings = load_generator(folder, chosen)
        family = FAMILIES[record.architecture]
        drawn_in = family.precision(precision, chosen)
        return cls(network, record, findings, chosen, folder, precision=drawn_in)

    @property
    def name(self) -> str:
        """The name that its training gave it."""
        return self.record.name

    @property
    def findings(self) -> tuple[str, ...]:
        """Names in label order."""
        return self.findings_record.findings

    @property
    def resolution(self) -> int:
        """Side of the images, pixels."""
        return self.record.resolution

    @property
    def family(self) -> Family:
        """The family that its network belongs to."""
        return FAMILIES[self.record.architecture]

    @cached_property
    def config(self) -> FamilyConfig:
        """What its network was made from."""
        return self.family.config.parse(self.record.network, source=self.name)

    @cached_property
    def federation(self) -> FederationRecord | None:
        """How several sites trained it together; None if one site did."""
        return None if self.folder is None else load_federation(self.folder)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.record.weights_sha256

    def generate(
        self,
        n: int,
        *,
        findings: Mapping[str, float] | None = None,
        balanced: bool = False,
        seed: int = 0,
        track: Track = silent,
    ) -> SyntheticImages:
        """Draw `n` images into memory.

        Args:
            n: number of images.
            findings: value of each named finding in [0, 1], all others 0; None samples labels as in training.
            balanced: findings take turns.
            seed: root seed; image i of a seed is the same whatever `n`.
        Raises:
            FindingUnknown, SettingRefused.
        """
        choice = LabelChoice(findings, balanced)
        images = np.empty((n, self.resolution, self.resolution), np.uint8)
        labels = np.empty((n, len(self.findings)), np.float32)
        with track("Generating", total=n) as advance:
            for batch in self.batches(n, choice=choice, seed=seed):
                span = slice(batch.first, batch.first + len(batch.images))
                images[span], labels[span] = batch.images, batch.labels
                advance(len(batch.images))
        return SyntheticImages(images, labels, self.findings)

    def batches(self, stop: int, *, choice: LabelChoice, seed: int, start: int = 0) -> Iterator[Batch]:
        """Images `start` ... `stop` of a seed, one block at a time, in constant memory."""
        choice.check(self.findings)
        if stop < 1:
            raise SettingRefused(f"n is {stop}; it must be 1 or more")
        size = self.block_size

        def draw(block: int) -> Batch:
            first = block * size
            latents, labels = self.inputs(range(first, first + size), choice, seed)
            images = self.draw(latents, labels)
            span = slice(max(start, first) - first, min(stop, first + size) - first)
            return Batch(first + span.start, images[span], labels[span])

        yield from self.on_threads(draw, range(start // size, -(-stop // size)))

    def on_threads(self, function: Callable[[int], R], blocks: Sequence[int]) -> Iterator[R]:
        """``map(function, blocks)`` on every core, for a function that draws a block of images."""
        self._sampler  # noqa: B018  made once, not by every thread
        return thread_map(function, blocks, threads=threads_for(len(blocks), self.device))

    def labels(self, stop: int, *, choice: LabelChoice, seed: int) -> np.ndarray:
        """Label vectors of images 0 ... `stop` of a seed, float32 (stop, F), without the images."""
        choice.check(self.findings)
        return self.inputs(range(stop), choice, seed)[1]

    def draw(self, latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images of given inputs: latents float32 (n, L), labels float32 (n, F) -> uint8 (n, R, R)."""
        with torch.no_grad():
            return self._sampler(torch.from_numpy(latents).to(self.device), torch.from_numpy(labels).to(self.device))

    @cached_property
    def _sampler(self) -> Sampler:
        if self.precision == "bf16":
            return bf16_sampler(self.network, self.resolution)
        return self.family.sampler(self.network)

    @property
    def block_size(self) -> int:
        """Number of images that the network always runs on together."""
        factor = GPU_FACTOR if self.device.type == "cuda" else 1
        return max(SMALLEST_BLOCK, min(64, BLOCK_PIXELS // self.resolution**2)) * factor

    def inputs(self, indices: Sequence[int], choice: LabelChoice, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Latents float32 (n, L) and label vectors float32 (n, F) of some images of a seed."""
        latents = np.empty((len(indices), self.config.latent_size), np.float32)
        labels = np.zeros((len(indices), len(self.findings)), np.float32)
        for place, index in enumerate(indices):
            stream = numpy_stream(seed, "image", index)
            share = stream.random()  # in any case, so that latents do not depend on the label choice
            latents[place] = stream.standard_normal(latents.shape[1], dtype=np.float32)
            if choice.given is not None:
                for finding, value in choice.given.items():
                    labels[place, self.findings.index(finding)] = value
            elif choice.counts is not None:
                drawn_for = choice.counts.at(index)
                if drawn_for in self.findings:  # otherwise "No Finding": all are 0
                    labels[place] = self._sample_label(share, self.findings.index(drawn_for))
            else:
                labels[place] = self._sample_label(share, index % len(self.findings) if choice.balanced else None)
        return latents, labels

    def _sample_label(self, share: float, finding: int | None) -> np.ndarray:
        """A label vector from those that contain `finding` (any if None), by their frequency in training."""
        vectors, cumulative = self._label_tables[finding]
        if len(vectors) == 0:  # too rare to be published: the finding alone, or no finding
            alone = np.zeros(len(self.findings), np.float32)
            alone[[finding] if finding is not None else []] = 1
            return alone
        place = int(np.searchsorted(cumulative, share * cumulative[-1], side="right"))
        vector: np.ndarray = vectors[place]
        return vector

    @cached_property
    def _label_tables(self) -> dict[int | None, tuple[np.ndarray, np.ndarray]]:
        combinations = self.findings_record.combinations
        vectors = np.array([v for v, _ in combinations], np.float32).reshape(len(combinations), len(self.findings))
        counts = np.array([n for _, n in combinations], np.float64)
        tables: dict[int | None, tuple[np.ndarray, np.ndarray]] = {None: (vectors, counts.cumsum())}
        for finding in range(len(self.findings)):
            has = vectors[:, finding] == 1
            tables[finding] = vectors[has], counts[has].cumsum()
        return tables
