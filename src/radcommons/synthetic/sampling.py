"""A synthetic set drawn from one or several generators, here or on a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from radcommons.cluster.address import Cluster
from radcommons.errors import SettingRefused
from radcommons.folders import alone_in
from radcommons.models.generator import Batch, Generator, LabelChoice
from radcommons.progress import Track, silent
from radcommons.synthetic.cluster import batches_on_cluster
from radcommons.synthetic.contact_sheet import Block, write_contact_sheet
from radcommons.synthetic.dicom import StudyDate
from radcommons.synthetic.tables import Format
from radcommons.synthetic.writing import SetWriter


@dataclass(frozen=True, slots=True)
class Share:
    """Images `first` ... `stop` of a set, which are the same ones of one generator's seed.

    Attributes:
        columns: for each of the generator's findings, its place among those of the set.
        provenance: what the set's provenance says of it.
    """

    generator: Generator
    choice: LabelChoice
    first: int
    stop: int
    columns: tuple[int, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What a set is drawn from: `shares` follow each other from image 0 on.

    Attributes:
        findings: of the set; those that a generator does not know are unknown for its images.
        resolution: side of the images; larger ones are averaged down, smaller ones enlarged.
    """

    findings: tuple[str, ...]
    resolution: int
    seed: int
    shares: tuple[Share, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return self.shares[-1].stop

    def fitted(self, share: Share, batch: Batch) -> Batch:
        """A batch of a share's generator with the side and the findings of the set."""
        labels = np.full((len(batch.labels), len(self.findings)), np.nan, np.float32)
        labels[:, share.columns] = batch.labels
        return Batch(batch.first, resized(batch.images, self.resolution), labels)


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 (n, S, S) -> (n, side, side), averaged down or interpolated between."""
    if images.shape[-1] == side:
        return images
    how = cv2.INTER_AREA if images.shape[-1] > side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (side, side), interpolation=how) for image in images])


def write_set(
    generators: Sequence[Generator],
    out: Path,
    count: int,
    *,
    choice: LabelChoice,
    seed: int,
    format: Format = "png",
    study_date: StudyDate = "today",
    cluster: Cluster | None = None,
    track: Track = silent,
) -> int:
    """Draw a synthetic set into folder `out`; the same call continues after a kill, and does nothing after the end.

    Args:
        generators: each draws an equal run of the images, in order; they share findings and resolution.
        count: images in all.
        choice: how labels are chosen.
        seed: root seed of the set.
        study_date: of DICOM files; today is the day on which the set is begun.
        cluster: where to draw; here by default. This process writes.
    Returns:
        How many images this call drew.
    Raises:
        FindingUnknown, SettingRefused: before anything is written.  PathInUse, DiskFull.
    """
    first, parts = generators[0], len(generators)
    choice.check(first.findings)
    if count < parts:
        raise SettingRefused(f"n is {count}; it must be {parts} or more")
    for other in generators[1:]:
        if (other.findings, other.resolution) != (first.findings, first.resolution):
            raise SettingRefused(f"{first.name} and {other.name} differ in findings or resolution; draw a set of each")
    columns = tuple(range(len(first.findings)))
    shares = [
        Share(each, choice, count * place // parts, count * (place + 1) // parts, columns, provenance_entry(each))
        for place, each in enumerate(generators)
    ]
    plan = SetPlan(first.findings, first.resolution, seed, tuple(shares))
    how = choice.describe()
    return write_plan(plan, out, label_choice=how, format=format, study_date=study_date, cluster=cluster, track=track)


def write_plan(
    plan: SetPlan,
    out: Path,
    *,
    label_choice: str,
    format: Format,
    study_date: StudyDate = "today",
    cluster: Cluster | None = None,
    track: Track = silent,
) -> int:
    """Draw a planned set into folder `out`, as `write_set` does; `label_choice` is in words, for the provenance."""
    with alone_in(out, private=False):
        writer = SetWriter(
            out,
            findings=plan.findings,
            resolution=plan.resolution,
            count=plan.count,
            format=format,
            seed=plan.seed,
            generators=[share.provenance for share in plan.shares],
            label_choice=label_choice,
            study_date=study_date,
        )
        already = writer.done
        with track("Generating", total=plan.count, done=already) as advance:
            for share in plan.shares:
                start = max(already, share.first)
                if start >= share.stop:
                    continue
                how: dict[str, Any] = {"choice": share.choice, "seed": plan.seed, "start": start}
                drawn: AbstractContextManager[Iterator[Batch]] = (
                    nullcontext(share.generator.batches(share.stop, **how))
                    if cluster is None
                    else batches_on_cluster(share.generator, cluster, share.stop, **how)
                )
                with drawn as batches:
                    for batch in batches:
                        writer.write(plan.fitted(share, batch))
                        advance(len(batch.images))
        writer.finish()
        if already < plan.count:
            write_contact_sheet(out, [_block(plan, share) for share in plan.shares])
        return plan.count - already


def _block(plan: SetPlan, share: Share) -> Block:
    """What the contact sheet says of a share."""
    known = [plan.findings[column] for column in share.columns]
    return Block(share.generator.name, share.first, share.stop, known, share.choice.describe())


def provenance_entry(generator: Generator) -> dict[str, Any]:
    """What a set's provenance says of a generator; nothing of its precision where that is fp32."""
    record = generator.record
    return {
        "name": record.name,
        **({"precision": "bf16"} if generator.precision == "bf16" else {}),
        "digest": record.weights_sha256,
        "architecture": record.architecture,
        "images_seen": record.images_seen,
    }
