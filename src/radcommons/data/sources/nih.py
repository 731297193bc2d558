"""NIH ChestX-ray14: ``Data_Entry_2017*.csv`` and ``images*/``, complete or a partial, re-encoded download."""

from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.image_files import by_stem, image_folders, stem
from radcommons.data.sources.label_lists import LabelLists
from radcommons.data.sources.labels import choose_findings
from radcommons.data.sources.tables import AGE_NAMES, SEX_NAMES, Wanted, one_table, patient_fault, read_table
from radcommons.data.sources.view_columns import statements_by_row
from radcommons.data.views import NOTHING_DECLARED, Decision, Declared, decide
from radcommons.findings import NIH, NO_FINDING

IMAGE = Wanted("image", ("image index",))
LABELS = Wanted("labels", ("finding labels",))
PATIENT = Wanted("patient", ("patient id",))


def list_nih(sources: Sequence[Path], *, findings: Sequence[str] | None = None, declared: Declared = NOTHING_DECLARED
             ) -> Listing:  # fmt: skip
    """List an NIH download: the table in one of the folders, images in ``images*/`` of any, by name without suffix.

    Rows without an image count as absent. Findings default to the NIH 14 in the paper's order.
    """
    table = read_table(one_table(sources, "Data_Entry_2017*.csv", "table Data_Entry_2017*.csv(.gz)"))
    chosen = choose_findings(findings, (*NIH, NO_FINDING), default=NIH, source="NIH ChestX-ray14")
    image, label, patient = table.require(IMAGE, LABELS, PATIENT)
    age, gender = (table.find(names) for names in (AGE_NAMES, SEX_NAMES))
    lists = LabelLists(table, label, chosen if findings else None)
    files = by_stem(image_folders(sources, "images*"))
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    absent, seen = 0, set[str]()
    for line, name, labels, who, statements, years, f_or_m in zip(
        table.lines, table.cells(image), lists.labels(chosen), table.cells(patient),
        statements_by_row(table), table.cells(age), table.cells(gender), strict=True,
    ):  # fmt: skip
        paths = files.get(stem(name))
        if paths is None:
            absent += 1
            continue
        decision = decide(statements, declared)
        reason = _fault(paths, labels, who, decision, repeated=name in seen)
        seen.add(name)
        if reason or isinstance(labels, str):
            refusals.append(Refusal(line, name, reason or str(labels)))
            continue
        candidates.append(
            Candidate(
                line, Path(paths[0]), who, name, labels, decision.view, age_years(years), sex(f_or_m), decision=decision
            )
        )
    return Listing("nih", chosen, candidates, refusals, absent, declared=declared, notes=lists.notes(chosen))


def _fault(paths: Sequence[str], labels: object, patient: str, decision: Decision, *, repeated: bool) -> str | None:
    if repeated:
        return "duplicate: another row has the same image"
    if len(paths) > 1:
        return f"ambiguous: {len(paths)} files have the name in this row"
    if isinstance(labels, str):
        return labels
    return decision.refused or patient_fault(patient)
