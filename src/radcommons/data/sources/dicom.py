"""A folder tree of DICOM files with a label table, joined by SOPInstanceUID, relative path, file name or stem."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from radcommons.data.dicom_film import Header, read_header
from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.image_files import stem, walk
from radcommons.data.sources.labels import Labels, Uncertain
from radcommons.data.sources.table import labels_beside
from radcommons.data.sources.tables import (
    AGE_NAMES,
    IMAGE_NAMES,
    PATIENT_NAMES,
    SEX_NAMES,
    UID_NAMES,
    USUAL_COLUMNS,
    Columns,
    Wanted,
    check_sources,
    read_table,
)
from radcommons.data.sources.view_columns import said_by_rows
from radcommons.data.views import NOTHING_DECLARED, NOTHING_SAID, Declared, Verdict, judge
from radcommons.errors import PathMissing
from radcommons.workers import in_order

NOT_IMAGES = frozenset({".csv", ".gz", ".txt", ".json", ".xml", ".md", ".html", ".pdf", ".xlsx", ".zip"})


@dataclass(frozen=True)
class _File:
    """One file of the tree; `place` is its line in the sorted list."""

    place: int
    path: Path
    relative: str
    header: Header


# How a file is named, and how a table's key is, for each way to join the two.
_UID_ONLY: list[tuple[Callable[[_File], str], Callable[[str], str]]] = [(lambda f: f.header.uid, str)]
_BY_NAME: list[tuple[Callable[[_File], str], Callable[[str], str]]] = [
    (lambda f: f.relative, str),
    (lambda f: f.path.name, str),
    (lambda f: stem(f.path.name), stem),
]


def list_dicom(sources: Sequence[Path], labels: Path, *, findings: Sequence[str] | None = None,
               uncertain: Uncertain = "u-ignore", workers: int = 1, columns: Columns = USUAL_COLUMNS,
               declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """What a tree of DICOM files and a label table offer.

    Args:
        sources: folders of DICOM files.
        labels: the table. A column of SOPInstanceUIDs joins it to the files; else its image column does, by the path
            relative to a source, else by file name, else by stem. A patient column overrides the headers' PatientID.
        findings: findings to keep, in this order; None for all that the table labels.
        uncertain: what -1 becomes, see `read_labels`.
        workers: processes that read headers.
        columns: columns to use where the usual names do not fit.
        declared: words for frontal views, radiographs and the chest; see `views.judge`.
    """
    table = read_table(labels)
    uid_column = None if columns.image else table.find(UID_NAMES)
    key = uid_column or table.require(Wanted("image", IMAGE_NAMES, columns.image, "--image-column"))[0]
    patient = table.require(Wanted("patient", (), columns.patient))[0] if columns.patient else table.find(PATIENT_NAMES)
    label_rows = labels_beside(
        table, (key, patient), findings=findings, uncertain=uncertain, label_column=columns.labels
    )
    files = _read_tree(sources, labels, workers)
    row_of, refused_rows = _join(files, table.cells(key), by_uid=uid_column is not None)
    cells = [table.cells(column) for column in (patient, table.find(AGE_NAMES), table.find(SEX_NAMES))]
    said = said_by_rows(table)
    candidates: list[tuple[int, Candidate]] = []
    refusals = [Refusal(table.lines[row], table.cells(key)[row], reason) for row, reason in refused_rows.items()]
    seen: set[str] = set()
    for file in files:
        row = row_of.get(file.place)
        name = file.header.uid or file.relative
        who, age, gender = ("", "", "") if row is None else (column[row] for column in cells)
        labels_of_row = "no row in the label table" if row is None else label_rows.rows[row]
        who = who or ("" if patient else file.header.patient)
        by_table = judge(NOTHING_SAID if row is None else said[row], declared)
        verdict = judge(file.header.said, declared, by_table)
        reason = _fault(file.header, labels_of_row, who, verdict, repeated=name in seen)
        seen.add(name)
        if row is None or isinstance(labels_of_row, str) or reason:
            line = file.place if row is None else table.lines[row]
            refusals.append(Refusal(line, name, reason or str(labels_of_row)))
            continue
        facts = (verdict.view, age_years(age) or file.header.age_years, sex(gender) or file.header.sex)
        candidates.append(
            (row, Candidate(table.lines[row], file.path, who, name, labels_of_row, *facts, verdict=verdict))
        )
    candidates.sort(key=lambda pair: pair[0])
    return Listing("dicom", label_rows.findings, [c for _, c in candidates], refusals, 0, label_rows.policy, declared)


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


def _join(files: list[_File], keys: list[str], *, by_uid: bool) -> tuple[dict[int, int], dict[int, str]]:
    """Which row each file's `place` belongs to, and the rows that are refused with their reasons.

    A table joins in one way, the one that matches most of its rows. A name that means several files matches none.
    """
    best = -1
    for of_file, of_key in _UID_ONLY if by_uid else _BY_NAME:
        named: dict[str, list[int]] = {}
        for file in files:
            named.setdefault(of_file(file), []).append(file.place)
        asked = [of_key(key.replace("\\", "/")) for key in keys]
        matched = sum(key in named for key in asked)
        if matched > best:
            best, places, written = matched, named, asked
    row_of: dict[int, int] = {}
    refused: dict[int, str] = {}
    first: dict[str, int] = {}
    for row, key in enumerate(written):
        matches = places.get(key, []) if key else []
        if key in first and key:
            refused[row] = "duplicate: another row has the same image"
        elif not matches:
            refused[row] = "no DICOM file for this row" if key else "the image cell is blank"
        elif len(matches) > 1 and not by_uid:
            refused[row] = f"ambiguous: {len(matches)} files have the name in this row"
        else:
            row_of |= dict.fromkeys(matches, row)
        first.setdefault(key, row)
    return row_of, refused


def _fault(header: Header, labels: Labels | str, patient: str, verdict: Verdict, *, repeated: bool) -> str | None:
    if header.refused:
        return header.refused
    if repeated:
        return "duplicate: another file has the same SOPInstanceUID"
    if verdict.refused:
        return verdict.refused
    if isinstance(labels, str):
        return labels
    return None if patient else "no patient identifier"
