"""Preview an import from its table and file names: no image is opened and nothing is written."""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from radcommons.data.findings import NO_FINDING
from radcommons.data.ingest import SPLIT_SALT, ladder
from radcommons.data.listing import PARTS, Candidate, Listing, patient_notes
from radcommons.data.split import SplitLists, with_split
from radcommons.data.store_folder import KEY_FILE, bytes_needed, nearest_existing, require_own_folder
from radcommons.data.store_writer import nothing_to_import
from radcommons.data.summary import Prevalence


class ImportPlan(BaseModel):
    """Counts of a previewed import.

    Attributes:
        images: films that the import would open; it refuses unreadable ones only then.
        refused: number of rows that the table already rules out, by reason.
        absent: rows of a public table without an image.
        declared: films accepted because the user declared their view, modality or part of the body, by word.
        without_finding: images in which every finding is known to be absent.
        bytes_needed: size of the images in the store, all resolutions.
        bytes_free: free space on the disk of the store.
        notes: warnings for the user, one line each.
    """

    source: str
    label_policy: str
    images: int
    patients: int
    refused: dict[str, int]
    absent: int
    declared: dict[str, int]
    images_by_part: dict[str, int]
    patients_by_part: dict[str, int]
    without_finding: int
    findings: list[Prevalence]
    views: dict[str, int]
    sexes: dict[str, int]
    resolution: int
    bytes_needed: int
    bytes_free: int
    notes: tuple[str, ...] = ()


def plan_import(
    listing: Listing,
    out: Path,
    *,
    resolution: int,
    split_salt: str = SPLIT_SALT,
    split_lists: SplitLists | None = None,
    key_file: Path | None = None,
) -> ImportPlan:
    """Preview `ingest` with the same arguments.

    Raises the same SettingRefused, PathInUse, NothingToImport and BadInput as `ingest` before its first film.
    """
    ladder(resolution)
    listing = with_split(listing, split_lists, salt=split_salt).with_few_words()
    require_own_folder(out, key_file or out / KEY_FILE)
    if not listing.candidates:
        raise nothing_to_import((r.reason for r in listing.refusals), listing.absent)
    by_part = {part: [c for c in listing.candidates if c.part == part] for part in PARTS}
    return ImportPlan(
        source=listing.source,
        label_policy=listing.label_policy,
        images=len(listing.candidates),
        patients=len({c.patient for c in listing.candidates}),
        refused=_counts(r.reason for r in listing.refusals),
        absent=listing.absent,
        declared=_counts(word for c in listing.candidates for word in c.decision.declared),
        images_by_part={part: len(placed) for part, placed in by_part.items()},
        patients_by_part={part: len({c.patient for c in placed}) for part, placed in by_part.items()},
        without_finding=_without_finding(listing),
        findings=_prevalences(listing.findings, listing.candidates),
        views=_counts(c.view or "unknown" for c in listing.candidates),
        sexes=_counts(c.sex or "unknown" for c in listing.candidates),
        resolution=resolution,
        bytes_needed=bytes_needed(len(listing.candidates), resolution),
        bytes_free=shutil.disk_usage(nearest_existing(out)).free,
        notes=(*listing.notes, *patient_notes(c.patient for c in listing.candidates)),
    )


def _prevalences(findings: Sequence[str], candidates: Sequence[Candidate]) -> list[Prevalence]:
    rows = Counter((c.part, c.labels) for c in candidates)  # NIH: 112,120 rows, 836 combinations of labels
    prevalences = []
    for position, finding in enumerate(findings):
        of_part: Counter[tuple[str | None, int | None]] = Counter()
        for (part, labels), count in rows.items():
            of_part[part, labels[position]] += count
        level = Counter[int | None]()
        for (_, label), count in of_part.items():
            level[label] += count
        prevalences.append(
            Prevalence(
                finding=finding,
                present=level[1],
                absent=level[0],
                unknown=level[None],
                present_by_part={part: of_part[part, 1] for part in PARTS},
            )
        )
    return prevalences


def _without_finding(listing: Listing) -> int:
    findings = [place for place, name in enumerate(listing.findings) if name != NO_FINDING]
    rows = Counter(c.labels for c in listing.candidates)
    return sum(count for labels, count in rows.items() if all(labels[place] == 0 for place in findings))


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
