"""Any CSV with images beside it: labels as a list in one column, or one column a finding."""

import os
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.labels import LabelRows, Labels, Uncertain, read_labels
from radcommons.data.sources.tables import (
    AGE_NAMES,
    IMAGE_NAMES,
    PATIENT_NAMES,
    SEX_NAMES,
    USUAL_COLUMNS,
    VIEW_NAMES,
    Columns,
    Table,
    Wanted,
    check_sources,
    read_table,
    tables_in,
)
from radcommons.data.sources.view_columns import said_by_rows
from radcommons.data.views import NOTHING_DECLARED, Declared, Verdict, judge
from radcommons.errors import PathMissing, TableRefused


def list_table(sources: Sequence[Path], *, findings: Sequence[str] | None = None, uncertain: Uncertain = "u-ignore",
               images: Path | None = None, columns: Columns = USUAL_COLUMNS,
               declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """What one CSV and its images offer.

    Args:
        sources: one CSV file, or one folder with ``labels.csv`` (or a single other CSV file).
        findings: findings to keep, in this order; None for all that the table labels.
        uncertain: what -1 becomes, see `read_labels`.
        images: folder that the image column counts from; None for the CSV's own.
        columns: columns to use where the usual names do not fit.
        declared: words for frontal views, radiographs and the chest; see `views.judge`.
    """
    path = _one_csv(sources)
    table = read_table(path)
    image, patient = table.require(
        Wanted("image", IMAGE_NAMES, columns.image, "--image-column"),
        Wanted("patient", PATIENT_NAMES, columns.patient, "--patient-column"),
    )
    labels = labels_beside(table, (image, patient), findings=findings, uncertain=uncertain, label_column=columns.labels)
    root = check_sources([images])[0] if images else path.parent
    said = said_by_rows(table)
    age, gender = (table.cells(table.find(names)) for names in (AGE_NAMES, SEX_NAMES))
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    seen: set[str] = set()
    for row, (line, name, who) in enumerate(zip(table.lines, table.cells(image), table.cells(patient), strict=True)):
        file = os.path.normpath(os.path.join(root, name.replace("\\", "/")))  # noqa: PTH118  fast for 10^5 rows
        row_labels = labels.rows[row]
        verdict = judge(said[row], declared)
        reason = _fault(name, who, file, row_labels, verdict, repeated=file in seen)
        seen.add(file)
        if reason or isinstance(row_labels, str):
            refusals.append(Refusal(line, name, reason or str(row_labels)))
            continue
        candidates.append(
            Candidate(line, Path(file), who, name, row_labels, verdict.view, age_years(age[row]),
                      sex(gender[row]), verdict=verdict)
        )  # fmt: skip
    return Listing("table", labels.findings, candidates, refusals, label_policy=labels.policy, declared=declared)


def labels_beside(table: Table, keys: Sequence[str | None], *, findings: Sequence[str] | None, uncertain: Uncertain,
                  label_column: str | None) -> LabelRows:  # fmt: skip
    """The labels of a table whose `keys` columns hold image and patient; see `read_labels`."""
    if len({key for key in keys if key}) < len([key for key in keys if key]):
        raise TableRefused(f"{table.name}: one column cannot hold both the image and the patient")
    if label_column is not None:
        table.require(Wanted("labels", (), label_column))
    taken = [*keys, *(table.find(names) for names in (VIEW_NAMES, AGE_NAMES, SEX_NAMES))]
    return read_labels(table, findings=findings, label_column=label_column, uncertain=uncertain, taken=taken)


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


def _fault(name: str, patient: str, file: str, labels: Labels | str, verdict: Verdict, *, repeated: bool) -> str | None:
    if not name:
        return "the image cell is blank"
    if not patient:
        return "the patient cell is blank"
    if repeated:
        return "duplicate: another row has the same image"
    if verdict.refused:
        return verdict.refused
    if isinstance(labels, str):
        return labels
    return None if os.path.isfile(file) else "image file is missing"  # noqa: PTH113
