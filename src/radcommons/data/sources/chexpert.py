"""CheXpert: ``train.csv`` and ``valid.csv``, with a ``Path`` column of the images below the source."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.label_lists import Labels
from radcommons.data.sources.labels import Uncertain, choose_findings, column_labels
from radcommons.data.sources.tables import AGE_NAMES, SEX_NAMES, Wanted, check_sources, read_table, tables_in
from radcommons.data.sources.view_columns import statements_by_row
from radcommons.data.views import NOTHING_DECLARED, Decision, Declared, decide
from radcommons.errors import PathMissing
from radcommons.findings import CHEXPERT

TABLES = ("train.csv", "valid.csv")
PATH = Wanted("image path", ("path",))
SPELLINGS = {"Effusion": ("pleural effusion", "effusion")}

_PATIENT = re.compile(r"(?<![^/])patient\d+(?=/)", re.IGNORECASE)


def list_chexpert(sources: Sequence[Path], *, findings: Sequence[str] | None = None, uncertain: Uncertain = "paper",
                  declared: Declared = NOTHING_DECLARED) -> Listing:  # fmt: skip
    """List the frontal films of ``train.csv`` and ``valid.csv`` that are in CheXpert folders.

    Lateral films are refused, rows without an image count as absent; the patient is ``patientNNNNN`` in the path.
    Findings default to CheXpert's 14. A blank label means "not mentioned" and is 0 under every policy, as in CheXpert
    (Irvin et al. 2019) and in the paper. The policies differ in -1: u-ones 1, u-zeros 0, u-ignore unknown, paper by
    finding (paper section 7; findings not listed there become 0).
    """
    chosen = choose_findings(findings, CHEXPERT, default=CHEXPERT, source="CheXpert")
    folders = [source for source in check_sources(sources) if source.is_dir()]
    paths = [path for name in TABLES for path in tables_in(sources, name)]
    if not paths:  # the download has one more folder level, one folder per batch
        folders += sorted(path for folder in folders for path in folder.iterdir() if path.is_dir())
        paths = [path for name in TABLES for path in tables_in(folders or sources, name)]
    if not paths:
        raise PathMissing(f"{', '.join(map(str, sources))}: no train.csv or valid.csv; name the folder that has them")
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    absent, seen = 0, set[str]()
    for path in dict.fromkeys(paths):
        table = read_table(path)
        wanted = {name: Wanted(f"finding '{name}'", SPELLINGS.get(name, (name.casefold(),))) for name in CHEXPERT}
        image, *_ = table.require(PATH, *(wanted[name] for name in chosen))
        columns = {name: column for name in CHEXPERT if (column := table.find(wanted[name].names))}
        labels_of_rows = column_labels(table, columns, chosen, uncertain=uncertain, blank=0)
        present = _present(table.cells(image), [path.parent, *folders])
        facts = (table.cells(table.find(names)) for names in (AGE_NAMES, SEX_NAMES))
        for line, labels, found, statements, age, gender in zip(
            table.lines, labels_of_rows, present, statements_by_row(table), *facts, strict=True
        ):
            if found is None:
                absent += 1
                continue
            file, name = found
            patient = _PATIENT.search(name)
            decision = decide(statements, declared)
            reason = _fault(labels, name, decision, patient is not None, repeated=name in seen)
            seen.add(name)
            if reason or patient is None or isinstance(labels, str):
                refusals.append(Refusal(line, name, str(reason)))
                continue
            facts_of_row = (decision.view, age_years(age), sex(gender))
            who = patient.group().lower()
            candidates.append(Candidate(line, file, who, name, labels, *facts_of_row, decision=decision))
    return Listing("chexpert", chosen, candidates, refusals, absent, uncertain, declared)


def _fault(labels: Labels | str, name: str, decision: Decision, has_patient: bool, *, repeated: bool) -> str | None:
    if repeated:
        return "duplicate: another row has the same image"
    if "_lateral" in name.casefold():
        return "lateral view"
    if decision.refused:
        return decision.refused
    if isinstance(labels, str):
        return labels
    return None if has_patient else "no patient folder (patientNNNNN) in the Path column"


def _present(cells: list[str], folders: Sequence[Path]) -> list[tuple[Path, str] | None]:
    """For every ``Path`` cell, its file and its path below the data set's folder, or None if there is no file.

    Looks for ``CheXpert-v1.0/train/patient00001/...`` in every folder without the first one, two, ... parts, up to the
    patient: the download comes in several folders, each with some of the patients.
    """
    roots = list(dict.fromkeys(map(os.fspath, folders)))
    places: dict[str, list[tuple[int, str]]] = {}
    return [_found(cell.replace("\\", "/"), roots, places) for cell in cells]


def _found(path: str, roots: Sequence[str], places: dict[str, list[tuple[int, str]]]) -> tuple[Path, str] | None:
    """The file of one path; `places` caches where folders were found: number of parts left out, and root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    patient = _PATIENT.search(path)
    # The folder to look for: the patient's, if the path names one, otherwise the film's own.
    holder = parts.index(patient.group()) if patient else max(0, len(parts) - 2)
    above, below = "/".join((*parts[:holder], "")), "/".join(parts[: holder + 1])
    if above not in places:
        ways = [(skip, root) for skip in range(holder + 1) for root in roots]
        places[above] = _existing(ways, parts[:holder])
    if below not in places:
        places[below] = _existing(places[above], parts[: holder + 1])
    for skip, root in places[below]:
        file = "/".join((root, *parts[skip:]))
        if os.path.isfile(file):  # noqa: PTH113
            # The name starts one folder above the patient's, so that it does not depend on SOURCE.
            return Path(file), "/".join(parts[max(0, holder - 1) :] if patient else parts[skip:])
    return None


def _existing(ways: Sequence[tuple[int, str]], parts: Sequence[str]) -> list[tuple[int, str]]:
    """The combinations of parts left out and root for which the folder exists."""
    return [(skip, root) for skip, root in ways if os.path.isdir("/".join((root, *parts[skip:])))]  # noqa: PTH112
