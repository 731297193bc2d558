"""Any CSV with images: labels as a list in one column, or one column per finding."""

import os
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.file_names import FileNames, repeated
from radcommons.data.sources.image_files import NOT_IMAGES, walk
from radcommons.data.sources.label_lists import Labels
from radcommons.data.sources.labels import Uncertain, read_labels
from radcommons.data.sources.tables import (
    IMAGE_NAMES,
    PATIENT_NAMES,
    USUAL_COLUMNS,
    Columns,
    Wanted,
    check_sources,
    patient_fault,
    read_table,
    tables_in,
)
from radcommons.data.sources.view_columns import statements_by_row
from radcommons.data.views import NOTHING_DECLARED, Decision, Declared, decide
from radcommons.errors import PathMissing, TableRefused


def list_table(sources: Sequence[Path], *, findings: Sequence[str] | None = None, uncertain: Uncertain = "u-ignore",
               images: Path | None = None, columns: Columns = USUAL_COLUMNS,
               declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """List the images of a CSV file with their labels.

    Args:
        sources: one CSV file, or one folder with ``labels.csv`` (or a single other CSV file).
        findings: findings to keep, in this order; None = all labels of the table.
        uncertain: what -1 becomes, see `read_labels`.
        images: folder of the paths in the image column; None = the folder of the CSV file.
        columns: columns with unusual names; one may be both image and patient.
        declared: words for frontal views, radiographs and the chest; see `views.decide`.
    """
    path = _one_csv(sources)
    table = read_table(path)
    image, patient = table.require(
        Wanted("image", IMAGE_NAMES, columns.image, "--image-column"),
        Wanted("patient", PATIENT_NAMES, columns.patient, "--patient-column"),
    )
    facts = columns.facts(table)
    labels = read_labels(table, findings=findings, label_column=columns.labels, uncertain=uncertain,
                         taken=(image, patient, *facts))  # fmt: skip
    root = check_sources([images])[0] if images else path.parent
    files = _files(table.cells(image), os.fspath(root))
    of_view, *others = facts
    age, gender = (table.cells(column) for column in others)
    statements = statements_by_row(table, view_column=of_view if columns.view else None)
    told = list(zip(table.cells(patient), labels.rows, strict=True))
    again = repeated([row if isinstance(file, str) else file for row, file in enumerate(files)], told)
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    for row, (line, name, who) in enumerate(zip(table.lines, table.cells(image), table.cells(patient), strict=True)):
        file, row_labels = files[row], labels.rows[row]
        decision = decide(statements[row], declared)
        reason = _fault(file, who, row_labels, decision, again.get(row))
        if reason or isinstance(row_labels, str) or isinstance(file, str):
            refusals.append(Refusal(line, name, str(reason)))
            continue
        candidates.append(
            Candidate(line, file, who, name, row_labels, decision.view, age_years(age[row]), sex(gender[row]),
                      decision=decision)
        )  # fmt: skip
    return Listing("table", labels.findings, candidates, refusals, label_policy=labels.policy, declared=declared,
                   notes=labels.notes)  # fmt: skip


def _files(names: Sequence[str], root: str) -> list[Path | str]:
    """The file of every row, or the reason to refuse it: at the path in the cell, or by name below the folder."""
    paths = [os.path.normpath(os.path.join(root, name.replace("\\", "/"))) for name in names]  # noqa: PTH118  quick
    there = [bool(name) and os.path.isfile(path) for name, path in zip(names, paths, strict=True)]  # noqa: PTH113
    found: list[Path | str] = [Path(path) for path in paths]
    left = [row for row, is_there in enumerate(there) if not is_there]
    if not left:
        return found
    below = sorted(
        os.path.relpath(entry.path, root)
        for entry in walk(Path(root))
        if os.path.splitext(entry.name)[1].lower() not in NOT_IMAGES  # noqa: PTH122
    )
    for row, match in zip(left, FileNames(below).match([names[row] for row in left]), strict=True):
        found[row] = match if isinstance(match, str) else Path(os.path.normpath(os.path.join(root, below[match])))  # noqa: PTH118
    return found


def _one_csv(sources: Sequence[Path]) -> Path:
    if len(sources) > 1:
        raise PathMissing(f"{len(sources)} sources are given; 'table' reads one CSV file or folder at a time")
    source = check_sources(sources)[0]
    if source.is_file():
        return source
    found = tables_in(sources, "labels.csv") or tables_in(sources, "*.csv")
    if not found:
        raise PathMissing(f"{source}: no labels.csv; name the CSV file itself")
    if len(found) > 1:
        raise TableRefused(f"{source}: {len(found)} CSV files and none is labels.csv; name the one to read")
    return found[0]


def _fault(file: Path | str, patient: str, labels: Labels | str, decision: Decision, again: str | None) -> str | None:
    missing = file if isinstance(file, str) else None
    if missing == "the image cell is blank":
        return missing
    if refused := patient_fault(patient):
        return refused
    if again:
        return again
    if decision.refused:
        return decision.refused
    return labels if isinstance(labels, str) else missing
