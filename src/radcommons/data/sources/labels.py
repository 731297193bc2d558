"""Label cells to 1 present, 0 absent, None unknown: a list in one column, or one column a finding.

A row that contradicts itself gets a reason in place of its labels.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from radcommons.data.findings import (
    NO_FINDING,
    VOCABULARY,
    canonical,
    canonical_list,
    canonical_or_none,
    folded,
)
from radcommons.data.sources.tables import LABEL_NAMES, Table
from radcommons.errors import FindingUnknown, SettingRefused, TableRefused, nearest_hint

Uncertain = Literal["paper", "u-ones", "u-zeros", "u-ignore"]
Level = Literal["present", "absent", "uncertain", "blank"]
Labels = tuple[int | None, ...]

SEPARATOR = "|"
MISLABELLED = "mislabelled: 'No Finding' stands beside a finding"

# Paper section 7: what the authors' files make of an uncertain label; findings it does not name become 0.
PAPER_UNCERTAIN_PRESENT = frozenset({"Cardiomegaly", "Edema", "Atelectasis", "Effusion", "Pneumonia"})
# CheXpert's labeller leaves devices out of "No Finding".
_COMPATIBLE_WITH_NO_FINDING = frozenset({NO_FINDING, "Support Devices"})
_LEVELS: dict[str, Level] = {
    "1": "present",
    "1.0": "present",
    "true": "present",
    "0": "absent",
    "0.0": "absent",
    "false": "absent",
    "-1": "uncertain",
    "-1.0": "uncertain",
    "": "blank",
}


@dataclass(frozen=True)
class LabelRows:
    """Findings in label order, and for every row of a table its labels or the reason to refuse it."""

    findings: tuple[str, ...]
    rows: list[Labels | str]
    policy: str


def check_policy(uncertain: str) -> None:
    """Raises SettingRefused for an unknown policy on uncertain labels."""
    if uncertain not in get_args(Uncertain):
        raise SettingRefused(f"uncertain is '{uncertain}'; {nearest_hint(uncertain, get_args(Uncertain))}")


def choose_findings(asked: Sequence[str] | None, offered: tuple[str, ...], *, default: tuple[str, ...], source: str
                    ) -> tuple[str, ...]:  # fmt: skip
    """The findings asked for by canonical name, `default` where none are; FindingUnknown for one not offered."""
    if asked is None:
        return default
    chosen = canonical_list(tuple(asked))
    faults = [f"finding '{name}' is not labelled by {source}; {nearest_hint(name, offered)}"
              for name in chosen if name not in offered]  # fmt: skip
    if faults:
        raise FindingUnknown("; ".join(faults))
    return chosen


def listed_names(table: Table, column: str) -> dict[str, frozenset[str]]:
    """Every distinct cell of a column such as ``Effusion|Mass`` as a set of canonical names.

    Raises FindingUnknown with the first line of every unknown name; TableRefused where most are unknown.
    """
    meaning: dict[str, frozenset[str]] = {}
    faults: dict[str, str] = {}
    for line, cell in zip(table.lines, table.cells(column), strict=True):
        if cell in meaning:
            continue
        names = set()
        for name in filter(None, (part.strip() for part in cell.split(SEPARATOR))):
            try:
                names.add(canonical(name))
            except FindingUnknown as error:
                hint = " (findings are joined by |)" if "," in name or ";" in name else ""
                faults.setdefault(name, f"{table.name} line {line}: {error}{hint}")
        meaning[cell] = frozenset(names)
    known = {name for names in meaning.values() for name in names}
    if len(faults) > max(2, len(known)):
        raise TableRefused(  # probably the wrong column, so its values may be anything and are not repeated
            f"{table.name}: column '{column}' does not hold findings: {len(faults)} different values are not known and "
            f"{len(known)} are; choose another with --label-column, or use names such as {', '.join(VOCABULARY[:5])}"
        )
    if faults:
        first = list(faults.values())[:5]
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise FindingUnknown("; ".join(first) + more)
    return meaning


def listed_labels(table: Table, column: str, findings: Sequence[str]) -> list[Labels | str]:
    """The labels of every row from a column of lists: listed is 1, not listed is 0, a blank cell is unknown."""
    by_cell: dict[str, Labels | str] = {}
    for cell, names in listed_names(table, column).items():
        if NO_FINDING in names and len(names) > 1:
            by_cell[cell] = MISLABELLED
        elif not names:
            by_cell[cell] = (None,) * len(findings)
        else:
            by_cell[cell] = tuple(int(finding in names) for finding in findings)
    return [by_cell[cell] for cell in table.cells(column)]


def column_labels(table: Table, columns: dict[str, str], findings: Sequence[str], *, uncertain: Uncertain,
                  blank: int | None) -> list[Labels | str]:  # fmt: skip
    """The labels of every row from one column a finding (`columns`: finding to column)."""
    names = list(columns)
    seen: dict[tuple[str, ...], Labels | str] = {}
    rows: list[Labels | str] = []
    for cells in zip(*(table.cells(columns[name]) for name in names), strict=True):
        if cells not in seen:
            seen[cells] = _row_labels(dict(zip(names, cells, strict=True)), columns, findings, uncertain, blank)
        rows.append(seen[cells])
    return rows


def read_labels(table: Table, *, findings: Sequence[str] | None, label_column: str | None, uncertain: Uncertain,
                taken: Sequence[str | None]) -> LabelRows:  # fmt: skip
    """The labels of any table, whichever of the two forms it has.

    Args:
        table: the table.
        findings: findings to keep, in this order; None for all that the table labels, in the vocabulary's order.
        label_column: the column of lists; None to look for one, or for one column a finding.
        uncertain: what -1 becomes; blank is unknown, except under "paper", where it is 0.
        taken: columns that hold something else.
    Raises:
        TableRefused: no labels, or both forms at once. FindingUnknown: a name the vocabulary or table lacks.
    """
    check_policy(uncertain)
    asked = None if findings is None else canonical_list(tuple(findings))
    if label_column is not None and label_column in taken:
        raise TableRefused(f"{table.name}: column '{label_column}' cannot hold both the labels and an identifier")
    listed = label_column or table.find(LABEL_NAMES)
    columns = {} if label_column else _finding_columns(table, taken)
    if listed and columns:
        raise TableRefused(
            f"{table.name}: labels stand in column '{listed}' and in one column a finding ({', '.join(columns)}); "
            f"pass --label-column {listed}, or rename it to read the others"
        )
    if listed:
        meaning = listed_names(table, listed)
        offered = _in_vocabulary_order({name for names in meaning.values() for name in names})
        chosen = _chosen(asked, offered, table)
        return LabelRows(chosen, listed_labels(table, listed, chosen), "as-given")
    if not columns:
        raise TableRefused(
            f"{table.name}: no labels: neither a column of findings joined by | (call it 'labels', or pass "
            f"--label-column NAME) nor a column named for a finding; {table.found()}"
        )
    chosen = _chosen(asked, _in_vocabulary_order(set(columns)), table)
    blank = 0 if uncertain == "paper" else None
    return LabelRows(chosen, column_labels(table, columns, chosen, uncertain=uncertain, blank=blank), uncertain)


def _row_labels(cells: dict[str, str], columns: dict[str, str], findings: Sequence[str], uncertain: Uncertain,
                blank: int | None) -> Labels | str:  # fmt: skip
    wrong = [columns[name] for name, cell in cells.items() if cell.casefold() not in _LEVELS]
    if wrong:
        return f"mislabelled: a value other than 1, 0, -1 or blank in column {', '.join(wrong)}"
    present = {name for name, cell in cells.items() if _LEVELS[cell.casefold()] == "present"}
    if NO_FINDING in present and present - _COMPATIBLE_WITH_NO_FINDING:
        return MISLABELLED
    return tuple(_value(_LEVELS[cells[name].casefold()], name, uncertain, blank) for name in findings)


def _value(level: Level, finding: str, uncertain: Uncertain, blank: int | None) -> int | None:
    in_paper = int(finding in PAPER_UNCERTAIN_PRESENT)
    of_uncertain = {"u-ones": 1, "u-zeros": 0, "u-ignore": None, "paper": in_paper}[uncertain]
    return {"present": 1, "absent": 0, "blank": blank, "uncertain": of_uncertain}[level]


def _finding_columns(table: Table, taken: Sequence[str | None]) -> dict[str, str]:
    """Canonical finding to column, in the table's order; a misspelt finding's column is refused, not ignored."""
    columns: dict[str, str] = {}
    faults: list[str] = []
    for column in table.columns:
        if column in taken:
            continue
        name = canonical_or_none(column)
        if name is not None:
            if name in columns:
                faults.append(f"columns '{columns[name]}' and '{column}' both mean '{name}'")
            columns[name] = column
        elif set(map(str.casefold, table.cells(column))) <= set(_LEVELS):
            close = difflib.get_close_matches(folded(column), map(folded, VOCABULARY), n=1, cutoff=0.8)
            if close:
                faults.append(f"column '{column}' is not a known finding; the nearest is '{canonical(close[0])}'")
    if faults:
        raise FindingUnknown(f"{table.name}: {'; '.join(faults)}")
    return columns


def _in_vocabulary_order(names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in VOCABULARY if name in names)


def _chosen(asked: tuple[str, ...] | None, offered: tuple[str, ...], table: Table) -> tuple[str, ...]:
    default = tuple(name for name in offered if name != NO_FINDING)
    if asked is None and not default:
        raise TableRefused(f"{table.name}: no row names a finding, so there is nothing to learn from")
    return choose_findings(asked, offered, default=default, source=table.name)
