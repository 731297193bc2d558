"""A pool: the images of several generators as one labelled list, of which image i depends on the specification only."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

from radcommons.cluster.address import Cluster
from radcommons.errors import FindingUnknown, SettingRefused, nearest_hint
from radcommons.findings import NO_FINDING, canonical_or_none
from radcommons.models.generator import Batch, FindingCounts, Generator, LabelChoice
from radcommons.packages.references import is_reference, pinned
from radcommons.pool.audits import require_audits
from radcommons.pool.settings import PoolGenerator, PoolSettings
from radcommons.pool.shares import Labels, balanced_labels, images_of_each
from radcommons.pool.stream import PoolStream
from radcommons.progress import Track, silent
from radcommons.synthetic.dicom import StudyDate
from radcommons.synthetic.sampling import SetPlan, Share, provenance_entry, write_plan


class Pool:
    """Labelled images of several generators, drawn when they are asked for.

    Attributes:
        settings: the specification.
        generators: as in the specification.
        plan: which generator draws which images, for what.
    """

    def __init__(self, settings: PoolSettings, *, device: str | None = None, track: Track = silent) -> None:
        """Open the generators of a specification and decide who draws what; nothing is drawn yet.

        Args:
            device: where to draw; by default a GPU if there is one.
            track: shows how far generators that lie elsewhere have come.
        Raises:
            PathMissing, GeneratorRefused: a generator cannot be opened.
            FindingUnknown, SettingRefused: the specification does not fit the generators.
            GateRefused: an audit denies, or does not say, what the specification asks for.
        """
        self.settings = settings
        self.generators = tuple(
            Generator.load(each.reference, device, settings.precision, track) for each in settings.generator
        )
        require_audits(settings, self.generators)
        self.plan = _plan(settings, self.generators)

    @classmethod
    def load(cls, path: Path | str, *, device: str | None = None) -> Self:
        """The pool of a specification file, TOML."""
        return cls(PoolSettings.load(Path(path)), device=device)

    @classmethod
    def of(cls, *references: Path | str, total_images: int, seed: int = 0, balanced: bool = False) -> Self:
        """A pool in which every generator has the same weight."""
        tables = tuple(PoolGenerator(reference=str(reference)) for reference in references)
        values = {"total_images": total_images, "seed": seed, "balanced": balanced, "generator": tables}
        return cls(PoolSettings.parse(values, source="Pool"))

    def __len__(self) -> int:
        return self.plan.count

    @property
    def findings(self) -> tuple[str, ...]:
        """Canonical names in label order; a generator's label of another's finding is NaN, unknown."""
        return self.plan.findings

    @property
    def resolution(self) -> int:
        """Side of the images, pixels."""
        return self.plan.resolution

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Images `start` ... `stop`, one block at a time, in constant memory."""
        stop = len(self) if stop is None else stop
        for share in self.plan.shares:
            first, last = max(start, share.first), min(stop, share.stop)
            if first < last:
                drawn = share.generator.batches(last, choice=share.choice, seed=self.plan.seed, start=first)
                yield from (self.plan.fitted(share, batch) for batch in drawn)

    def write(
        self, out: Path | str, *, study_date: StudyDate = "today", cluster: Cluster | None = None, track: Track = silent
    ) -> int:
        """Write the set into folder `out`; the same call continues after a kill, and does nothing after the end.

        Args:
            study_date: of DICOM files; today is the day on which the set is begun.
            cluster: where to draw; here by default. This process writes.
        Returns:
            How many images this call drew.
        Raises:
            PathInUse, DiskFull.
        """
        how = "balanced over the pool" if self.settings.balanced else "by generator"
        return write_plan(
            self.plan,
            Path(out),
            label_choice=how,
            format=self.settings.format,
            study_date=study_date,
            cluster=cluster,
            track=track,
        )

    def as_torch_dataset(self, *, seed: int = 0) -> PoolStream:
        """The images in mixed order, drawn as they are asked for, without a set on disk.

        Args:
            seed: of the order.
        """
        return PoolStream(self.plan, seed=seed)


def _plan(settings: PoolSettings, generators: Sequence[Generator]) -> SetPlan:
    """Who draws what; raises FindingUnknown or SettingRefused with everything that does not fit the generators."""
    names = [_by_canonical_name(generator) for generator in generators]
    findings = tuple(dict.fromkeys(name for own in names for name in own))
    resolution = _resolution(settings, generators)
    if settings.balanced:
        labels = balanced_labels(settings, [tuple(own) for own in names])
        images = [sum(each.values()) for each in labels]
    else:
        labels = _counted_labels(settings, names)
        images = images_of_each(settings)
    shares = []
    spans = pairwise([0, *accumulate(images)])
    for asked, generator, own, counts, (first, stop) in zip(
        settings.generator, generators, names, labels, spans, strict=True
    ):
        counted = {own.get(finding, finding): count for finding, count in counts.items()}
        choice = LabelChoice(balanced=asked.balanced, counts=FindingCounts(counted, first) if counted else None)
        choice.check(generator.findings)
        entry: dict[str, Any] = {
            **provenance_entry(generator),
            **({"reference": pinned(asked.reference)} if is_reference(asked.reference) else {}),
            "images": stop - first,
            "label_choice": choice.describe(),
            "findings": list(own),
        }
        columns = tuple(findings.index(name) for name in own)
        shares.append(Share(generator, choice, first, stop, columns, entry))
    return SetPlan(findings, resolution, settings.seed, tuple(shares))


def _by_canonical_name(generator: Generator) -> dict[str, str]:
    """A generator's findings, in its order, by their canonical names; a name outside the vocabulary stays as it is."""
    names: dict[str, str] = {}
    for own in generator.findings:
        name = canonical_or_none(own) or own
        if name in names:
            raise FindingUnknown(f"'{names[name]}' and '{own}' of {generator.name} are the same finding, '{name}'")
        names[name] = own
    return names


def _counted_labels(settings: PoolSettings, names: Sequence[dict[str, str]]) -> list[Labels]:
    """The counts of each generator's table by canonical names; raises FindingUnknown with every name that is wrong."""
    faults = []
    every: list[Labels] = []
    for asked, own in zip(settings.generator, names, strict=True):
        labels: Labels = {}
        for written, count in (asked.findings or {}).items():
            name = canonical_or_none(written) or written
            if name in labels:
                faults.append(f"'{written}' names {name} twice for {asked.reference}")
            elif name not in own and name != NO_FINDING:
                hint = nearest_hint(written, own) if own else "it knows none"
                faults.append(f"finding '{written}' is not one of {asked.reference}'s; {hint}")
            labels[name] = count
        every.append(labels)
    if faults:
        raise FindingUnknown("; ".join(faults))
    return every


def _resolution(settings: PoolSettings, generators: Sequence[Generator]) -> int:
    """Side of the set's images; raises SettingRefused if some would be enlarged without being asked for."""
    smallest = min(generators, key=lambda generator: generator.resolution)
    side = settings.resolution or smallest.resolution
    if side > smallest.resolution and not settings.enlarge:
        raise SettingRefused(
            f"'resolution' is {side} and {smallest.name} draws {smallest.resolution} x {smallest.resolution} pixels; "
            f"set 'resolution = {smallest.resolution}', or 'enlarge = true' to enlarge its images"
        )
    return side
