"""CheXpert: ``train.csv`` and ``valid.csv``, whose ``Path`` column leads to images under the source."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.findings import CHEXPERT
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.labels import Labels, Uncertain, check_policy, choose_findings, column_labels
from radcommons.data.sources.tables import AGE_NAMES, SEX_NAMES, Wanted, read_table, tables_in
from radcommons.data.sources.view_columns import said_by_rows
from radcommons.data.views import NOTHING_DECLARED, Declared, Verdict, judge
from radcommons.errors import PathMissing

TABLES = ("train.csv", "valid.csv")
PATH = Wanted("image path", ("path",))
SPELLINGS = {"Effusion": ("pleural effusion", "effusion")}

_PATIENT = re.compile(r"(?<![^/])patient\d+(?=/)", re.IGNORECASE)


def list_chexpert(sources: Sequence[Path], *, findings: Sequence[str] | None = None, uncertain: Uncertain = "paper",
                  declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """What CheXpert folders offer: the frontal films of ``train.csv`` and ``valid.csv`` that are there.

    Lateral films are refused, rows without an image counted as absent; the patient is the path's ``patientNNNNN``.
    Findings default to CheXpert's 14. A blank label means "not mentioned" and is 0 under every policy, which is
    CheXpert's own convention (Irvin et al. 2019) and the paper's; the policies differ in -1: u-ones 1, u-zeros 0,
    u-ignore unknown, paper by finding (paper section 7; a finding that it does not name becomes 0).
    """
    check_policy(uncertain)
    chosen = choose_findings(findings, CHEXPERT, default=CHEXPERT, source="CheXpert")
    paths = [path for name in TABLES for path in tables_in(sources, name)]
    if not paths:
        raise PathMissing(f"{', '.join(map(str, sources))}: no train.csv or valid.csv; name the folder that holds them")
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    absent, seen = 0, set[str]()
    for path in dict.fromkeys(paths):
        table = read_table(path)
        wanted = (Wanted(f"finding '{name}'", SPELLINGS.get(name, (name.casefold(),))) for name in CHEXPERT)
        image, *columns = table.require(PATH, *wanted)
        labels_of_rows = column_labels(
            table, dict(zip(CHEXPERT, columns, strict=True)), chosen, uncertain=uncertain, blank=0
        )
        folders = [path.parent, *(source for source in sources if source.is_dir())]
        facts = (table.cells(table.find(names)) for names in (AGE_NAMES, SEX_NAMES))
        for line, labels, found, said, age, gender in zip(
            table.lines, labels_of_rows, _present(table.cells(image), folders), said_by_rows(table), *facts, strict=True
        ):
            if found is None:
                absent += 1
                continue
            file, name = found
            patient = _PATIENT.search(name)
            verdict = judge(said, declared)
            reason = _fault(labels, name, verdict, patient is not None, repeated=name in seen)
            seen.add(name)
            if reason or patient is None or isinstance(labels, str):
                refusals.append(Refusal(line, name, str(reason)))
                continue
            facts_of_row = (verdict.view, age_years(age), sex(gender))
            who = patient.group().lower()
            candidates.append(Candidate(line, file, who, name, labels, *facts_of_row, verdict=verdict))
    return Listing("chexpert", chosen, candidates, refusals, absent, uncertain, declared)


def _fault(labels: Labels | str, name: str, verdict: Verdict, has_patient: bool, *, repeated: bool) -> str | None:
    if repeated:
        return "duplicate: another row has the same image"
    if "_lateral" in name.casefold():
        return "lateral view"
    if verdict.refused:
        return verdict.refused
    if isinstance(labels, str):
        return labels
    return None if has_patient else "no patient folder (patientNNNNN) in the Path column"


def _present(cells: list[str], folders: Sequence[Path]) -> list[tuple[Path, str] | None]:
    """For every ``Path`` cell its file and its path below the data set's folder, or None where it is not there.

    ``CheXpert-v1.0-small/train/patient00001/...`` is looked for under the source with one, two, ... leading
    parts left out; the first way that finds a file serves the whole table.
    """
    paths = [cell.replace("\\", "/") for cell in cells]
    for path in paths:
        parts = path.split("/")
        for folder in map(os.fspath, folders):
            for skip in range(len(parts)):
                if path and os.path.isfile("/".join((folder, *parts[skip:]))):  # noqa: PTH113  fast for 224,316 rows
                    return [_below(folder, p, skip) for p in paths]
    return [None] * len(cells)


def _below(folder: str, path: str, skip: int) -> tuple[Path, str] | None:
    below = path.split("/", skip)[-1]
    if not path or not os.path.isfile(f"{folder}/{below}"):  # noqa: PTH113
        return None
    # From the folder above the patient's on, so that the same film has the same name under any SOURCE.
    patient = _PATIENT.search(path)
    name = path[path.rfind("/", 0, max(0, patient.start() - 1)) + 1 :] if patient else below
    return Path(folder, below), name
