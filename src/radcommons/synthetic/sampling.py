"""A synthetic set drawn from one or several generators, here or on a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from radcommons.cluster.address import Cluster
from radcommons.errors import SettingRefused
from radcommons.folders import alone_in
from radcommons.models.generator import Batch, Generator, LabelChoice
from radcommons.progress import Track, silent
from radcommons.synthetic.cluster import batches_on_cluster
from radcommons.synthetic.dicom import StudyDate
from radcommons.synthetic.tables import Format
from radcommons.synthetic.writing import SetWriter


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
    first = generators[0]
    choice.check(first.findings)
    if count < len(generators):
        raise SettingRefused(f"n is {count}; it must be {len(generators)} or more")
    for other in generators[1:]:
        if (other.findings, other.resolution) != (first.findings, first.resolution):
            raise SettingRefused(f"{first.name} and {other.name} differ in findings or resolution; draw a set of each")
    with alone_in(out, private=False):
        writer = SetWriter(
            out,
            findings=first.findings,
            resolution=first.resolution,
            count=count,
            format=format,
            seed=seed,
            generators=[provenance_entry(generator) for generator in generators],
            label_choice=choice.describe(),
            study_date=study_date,
        )
        already = writer.done
        with track("Generating", total=count, done=already) as advance:
            for place, generator in enumerate(generators):
                start = max(already, count * place // len(generators))
                stop = count * (place + 1) // len(generators)
                if start >= stop:
                    continue
                drawn: AbstractContextManager[Iterator[Batch]] = (
                    nullcontext(generator.batches(stop, choice=choice, seed=seed, start=start))
                    if cluster is None
                    else batches_on_cluster(generator, cluster, stop, choice=choice, seed=seed, start=start)
                )
                with drawn as batches:
                    for batch in batches:
                        writer.write(batch)
                        advance(len(batch.images))
        writer.finish()
        return count - already


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
