"""Preview an import from its table and file names: no image is opened and nothing is written."""

import shutil
from collections import Counter
from pathlib import Path

from pydantic import BaseModel

from radcommons.data.ingest import SPLIT_SALT, ladder
from radcommons.data.listing import PARTS, Listing, patient_notes
from radcommons.data.split import SplitLists, with_split
from radcommons.data.store_folder import KEY_FILE, bytes_needed, nearest_existing, require_own_folder
from radcommons.data.store_writer import nothing_to_import
from radcommons.data.summary import Prevalence, counts, prevalences, without_finding


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
    films = Counter((c.part, *c.labels) for c in listing.candidates)  # NIH: 112,120 rows, 836 combinations of labels
    return ImportPlan(
        source=listing.source,
        label_policy=listing.label_policy,
        images=len(listing.candidates),
        patients=len({c.patient for c in listing.candidates}),
        refused=counts(r.reason for r in listing.refusals),
        absent=listing.absent,
        declared=counts(word for c in listing.candidates for word in c.decision.declared),
        images_by_part={part: len(placed) for part, placed in by_part.items()},
        patients_by_part={part: len({c.patient for c in placed}) for part, placed in by_part.items()},
        without_finding=without_finding(listing.findings, films),
        findings=prevalences(listing.findings, films),
        views=counts(c.view or "unknown" for c in listing.candidates),
        sexes=counts(c.sex or "unknown" for c in listing.candidates),
        resolution=resolution,
        bytes_needed=bytes_needed(len(listing.candidates), resolution),
        bytes_free=shutil.disk_usage(nearest_existing(out)).free,
        notes=(*listing.notes, *patient_notes(c.patient for c in listing.candidates)),
    )
