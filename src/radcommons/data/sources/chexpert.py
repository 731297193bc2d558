"""CheXpert: ``train.csv`` and ``valid.csv``, whose ``Path`` column leads to images under the source."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.film import age_years, sex
from radcommons.data.findings import CHEXPERT
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.label_lists import Labels
from radcommons.data.sources.labels import Uncertain, check_policy, choose_findings, column_labels
from radcommons.data.sources.tables import AGE_NAMES, SEX_NAMES, Wanted, check_sources, read_table, tables_in
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
    folders = [source for source in check_sources(sources) if source.is_dir()]
    paths = [path for name in TABLES for path in tables_in(sources, name)]
    if not paths:  # the download's batches lie one folder further down
        folders += sorted(path for folder in folders for path in folder.iterdir() if path.is_dir())
        paths = [path for name in TABLES for path in tables_in(folders or sources, name)]
    if not paths:
        raise PathMissing(f"{', '.join(map(str, sources))}: no train.csv or valid.csv; name the folder that holds them")
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
        for line, labels, found, said, age, gender in zip(
            table.lines, labels_of_rows, present, said_by_rows(table), *facts, strict=True
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

    ``CheXpert-v1.0/train/patient00001/...`` is looked for in every folder with one, two, ... leading parts left out,
    up to the patient: the download comes in several folders, of which each holds some of the patients.
    """
    roots = list(dict.fromkeys(map(os.fspath, folders)))
    places: dict[str, list[tuple[int, str]]] = {}
    return [_found(cell.replace("\\", "/"), roots, places) for cell in cells]


def _found(path: str, roots: Sequence[str], places: dict[str, list[tuple[int, str]]]) -> tuple[Path, str] | None:
    """The file of one path; `places` remembers where its folders are: number of parts left out, and root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    patient = _PATIENT.search(path)
    # What holds the film: the patient's folder where the path names one, else the film's own.
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
            # From the folder above the patient's on, so that the same film has the same name under any SOURCE.
            return Path(file), "/".join(parts[max(0, holder - 1) :] if patient else parts[skip:])
    return None


def _existing(ways: Sequence[tuple[int, str]], parts: Sequence[str]) -> list[tuple[int, str]]:
    """The ways to look for a folder that find it."""
    return [(skip, root) for skip, root in ways if os.path.isdir("/".join((root, *parts[skip:])))]  # noqa: PTH112
