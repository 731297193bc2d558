"""DICOM files in folders, joined to a label table by SOPInstanceUID, or by their path or the end of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radcommons.data.dicom_film import Header, read_header
from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.file_names import MISSING, FileNames, repeated
from radcommons.data.sources.image_files import NOT_IMAGES, walk
from radcommons.data.sources.label_lists import Labels
from radcommons.data.sources.labels import Uncertain, read_labels
from radcommons.data.sources.tables import (
    IMAGE_NAMES,
    PATIENT_NAMES,
    UID_NAMES,
    USUAL_COLUMNS,
    Columns,
    Wanted,
    check_sources,
    patient_fault,
    read_table,
)
from radcommons.data.sources.view_columns import statements_by_row
from radcommons.data.views import NO_STATEMENTS, NOTHING_DECLARED, Decision, Declared, decide
from radcommons.errors import PathMissing
from radcommons.workers import in_order


@dataclass(frozen=True)
class _File:
    """One file; `place` is its position in the sorted list."""

    place: int
    path: Path
    relative: str
    header: Header


def list_dicom(sources: Sequence[Path], labels: Path, *, findings: Sequence[str] | None = None,
               uncertain: Uncertain = "u-ignore", workers: int = 1, columns: Columns = USUAL_COLUMNS,
               declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """List DICOM files and their labels from a table.

    Args:
        sources: folders of DICOM files.
        labels: the table. A column of SOPInstanceUIDs joins it to the files; without one, the image column does, by the
            path below a source or the end of it, see `FileNames`. A patient column overrides the headers' PatientID.
        workers: processes that read headers.
        findings, uncertain, columns, declared: as in `list_table`.
    """
    table = read_table(labels)
    uid_column = None if columns.image else table.find(UID_NAMES)
    key = uid_column or table.require(Wanted("image", IMAGE_NAMES, columns.image, "--image-column"))[0]
    patient = table.optional(Wanted("patient", PATIENT_NAMES, columns.patient, "--patient-column"))
    facts = columns.facts(table)
    label_rows = read_labels(table, findings=findings, label_column=columns.labels, uncertain=uncertain,
                             taken=(key, patient, *facts))  # fmt: skip
    files = _read_tree(sources, labels, workers)
    matches = _join(files, table.cells(key), by_uid=uid_column is not None)
    told = list(zip(table.cells(patient), label_rows.rows, strict=True))
    again = repeated([-1 - row if isinstance(match, str) else match for row, match in enumerate(matches)], told)
    row_of = {match: row for row, match in reversed(list(enumerate(matches))) if isinstance(match, int)}
    row_of_uid = {files[index].header.uid: row for index, row in row_of.items()} if uid_column else {}
    of_view, *others = facts
    cells = [table.cells(column) for column in (patient, *others)]
    statements = statements_by_row(table, view_column=of_view if columns.view else None)
    candidates: list[tuple[int, Candidate]] = []
    refusals = [
        Refusal(line, table.cells(key)[row], match if isinstance(match, str) else again[row])
        for row, (line, match) in enumerate(zip(table.lines, matches, strict=True))
        if isinstance(match, str) or row in again
    ]
    seen: set[str] = set()
    for index, file in enumerate(files):
        row = row_of.get(index, row_of_uid.get(file.header.uid))
        if row in again:
            continue  # already refused as a row
        name = file.header.uid or file.relative
        who, age, gender = ("", "", "") if row is None else (column[row] for column in cells)
        labels_of_row = "no row in the label table" if row is None else label_rows.rows[row]
        who = who or ("" if patient else file.header.patient)
        by_table = decide(NO_STATEMENTS if row is None else statements[row], declared)
        decision = decide(file.header.statements, declared, by_table)
        reason = _fault(file.header, labels_of_row, who, decision, repeated=name in seen, of_table=patient is not None)
        seen.add(name)
        if row is None or isinstance(labels_of_row, str) or reason:
            line = file.place if row is None else table.lines[row]
            refusals.append(Refusal(line, name, reason or str(labels_of_row)))
            continue
        about = (decision.view, age_years(age) or file.header.age_years, sex(gender) or file.header.sex)
        candidates.append(
            (row, Candidate(table.lines[row], file.path, who, name, labels_of_row, *about, decision=decision))
        )
    candidates.sort(key=lambda pair: pair[0])
    notes = (*label_rows.notes, *([] if patient else _patients_written_in_two_ways(files)))
    return Listing("dicom", label_rows.findings, [c for _, c in candidates], refusals, label_policy=label_rows.policy,
                   declared=declared, notes=notes)  # fmt: skip


def _read_tree(sources: Sequence[Path], labels: Path, workers: int) -> list[_File]:
    found: list[tuple[str, Path]] = []
    for source in check_sources(sources):
        if source.is_file():
            raise PathMissing(f"{source} is a file; 'dicom' reads folders, and the table goes to --labels")
        for entry in walk(source):
            path = Path(entry.path)
            if path.suffix.lower() not in NOT_IMAGES and path.name != "DICOMDIR" and path != labels:
                found.append((path.relative_to(source).as_posix(), path))
    found.sort()
    with in_order(read_header, [(path,) for _, path in found], workers=workers, small=True) as headers:
        return [
            _File(place, path, relative, header)
            for place, ((relative, path), header) in enumerate(zip(found, headers, strict=True), start=1)
        ]


def _join(files: list[_File], keys: list[str], *, by_uid: bool) -> list[int | str]:
    """For every row its file (the first, if several have the same UID), or the reason to refuse it."""
    if not by_uid:
        matches = FileNames([file.relative for file in files]).match(keys)
        return ["no DICOM file for this row" if match == MISSING else match for match in matches]
    first = {file.header.uid: index for index, file in reversed(list(enumerate(files)))}
    return [first.get(key, "no DICOM file for this row") if key else "the image cell is blank" for key in keys]


def _patients_written_in_two_ways(files: list[_File]) -> list[str]:
    """A warning if PatientIDs with different bytes decode to the same text: two people may have become one."""
    written = {(file.header.patient, file.header.patient_bytes) for file in files if file.header.patient}
    several = sum(count > 1 for count in Counter(patient for patient, _ in written).values())
    if not several:
        return []
    return [
        f"{several:,} PatientIDs have the same text but different bytes (SpecificCharacterSet); each counts as one "
        "patient; if they are several people, add a patient column to the table"
    ]


def _fault(header: Header, labels: Labels | str, patient: str, decision: Decision, *, repeated: bool, of_table: bool
           ) -> str | None:  # fmt: skip
    if header.refused:
        return header.refused
    if repeated:
        return "duplicate: another file has the same SOPInstanceUID"
    if decision.refused:
        return decision.refused
    if isinstance(labels, str):
        return labels
    if not patient:
        return "no patient identifier"
    if of_table:
        return patient_fault(patient)
    unreadable = "PatientID cannot be read in the header's SpecificCharacterSet; add a patient column to the table"
    return unreadable if "\ufffd" in patient else None
