"""Read labels as 1 present, 0 absent, None unknown: from a list in one column, or from one column per finding.

A row that contradicts itself gets a reason instead of labels.
"""

import difflib
import re
import shlex
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from radcommons.data.sources.label_lists import MISLABELLED, LabelLists, Labels
from radcommons.data.sources.tables import LABEL_NAMES, Table, Wanted
from radcommons.errors import FindingUnknown, TableRefused, nearest_hint
from radcommons.findings import NO_FINDING, VOCABULARY, canonical, canonical_list, canonical_or_none, folded

Uncertain = Literal["paper", "u-ones", "u-zeros", "u-ignore"]
Level = Literal["present", "absent", "uncertain", "blank"]

# Paper section 7: findings whose uncertain labels the authors read as present; all others become 0.
PAPER_UNCERTAIN_PRESENT = frozenset({"Cardiomegaly", "Edema", "Atelectasis", "Effusion", "Pneumonia"})
# CheXpert's labeller allows devices together with "No Finding".
_COMPATIBLE_WITH_NO_FINDING = frozenset({NO_FINDING, "Support Devices"})
_SPELLINGS = [folded(name) for name in VOCABULARY]
_NUMBERS: dict[int, Level] = {1: "present", 0: "absent", -1: "uncertain"}
_WORDS: dict[str, Level] = {
    **dict.fromkeys(("true", "t", "yes", "y", "positive", "present"), "present"),
    **dict.fromkeys(("false", "f", "no", "n", "negative", "absent"), "absent"),
    "uncertain": "uncertain",
    **dict.fromkeys(("", "na", "n/a", "nan", "null", "none", "unknown"), "blank"),
}


@lru_cache(maxsize=1024)
def level(cell: str) -> Level | None:
    """The meaning of a cell in a finding's column: ``1``, ``1.0``, ``1,00``, ``yes``, ``-1``, ``NA``, or None."""
    word = cell.casefold().replace("\u2212", "-")  # typographic minus
    number = re.fullmatch(r"([+-]?[01])(?:[.,]0*)?", word)
    return _NUMBERS.get(int(number[1])) if number else _WORDS.get(word)


@dataclass(frozen=True)
class LabelRows:
    """Findings in label order, and for every row its labels or the reason to refuse it."""

    findings: tuple[str, ...]
    rows: list[Labels | str]
    policy: str
    notes: tuple[str, ...] = ()


def choose_findings(asked: Sequence[str] | None, offered: tuple[str, ...], *, default: tuple[str, ...], source: str
                    ) -> tuple[str, ...]:  # fmt: skip
    """The canonical names of the requested findings, or `default`; FindingUnknown for one that is not offered."""
    if asked is None:
        return default
    chosen = canonical_list(tuple(asked))
    faults = [
        f"finding '{name}' is not labelled by {source}; "
        + (nearest_hint(name, offered) if offered else "no row names a known finding")
        for name in chosen
        if name not in offered
    ]
    if faults:
        raise FindingUnknown("; ".join(faults))
    return chosen


def column_labels(table: Table, columns: dict[str, str], findings: Sequence[str], *, uncertain: Uncertain,
                  blank: int | None) -> list[Labels | str]:  # fmt: skip
    """The labels of every row from one column per finding (`columns`: finding to column)."""
    names = list(columns)
    seen: dict[tuple[str, ...], Labels | str] = {}
    rows: list[Labels | str] = []
    for cells in zip(*(table.cells(columns[name]) for name in names), strict=True):
        if cells not in seen:
            levels = {name: level(cell) for name, cell in zip(names, cells, strict=True)}
            seen[cells] = _row_labels(levels, columns, findings, uncertain, blank)
        rows.append(seen[cells])
    return rows


def read_labels(table: Table, *, findings: Sequence[str] | None, label_column: str | None, uncertain: Uncertain,
                taken: Sequence[str | None]) -> LabelRows:  # fmt: skip
    """The labels of a table in either form.

    Args:
        table: the table.
        findings: findings to keep, in this order; None = all labels of the table, in the vocabulary's order.
        label_column: the column of lists; None = look for one, or for one column per finding.
        uncertain: what -1 becomes; blank is unknown, except with "paper", where it is 0.
        taken: columns with other content.
    Raises:
        TableRefused: no labels, or both forms at once. FindingUnknown: a name is not in the vocabulary or the table.
    """
    if label_column is not None:
        (label_column,) = table.require(Wanted("labels", (), label_column))
    asked = None if findings is None else canonical_list(tuple(findings))
    if label_column is not None and label_column in taken:
        raise TableRefused(f"{table.name}: column '{label_column}' cannot be both the labels and an identifier")
    listed = label_column or table.find(LABEL_NAMES)
    columns = {} if label_column else _finding_columns(table, taken, asked)
    if listed and columns:
        raise TableRefused(
            f"{table.name}: labels are in column '{listed}' and in one column per finding ({', '.join(columns)}); "
            f"pass --label-column {shlex.quote(listed)}, or rename it to read the others"
        )
    if listed:
        lists = LabelLists(table, listed, asked)
        chosen = _chosen(asked, lists.offered, table)
        return LabelRows(chosen, lists.labels(chosen), "as-given", lists.notes(chosen))
    if not columns:
        raise TableRefused(
            f"{table.name}: no labels: neither a column of findings joined by | (call it 'labels', or pass "
            f"--label-column NAME) nor a column named for a finding; {table.found()}"
        )
    chosen = _chosen(asked, columns, table)
    blank = 0 if uncertain == "paper" else None
    return LabelRows(chosen, column_labels(table, columns, chosen, uncertain=uncertain, blank=blank), uncertain)


def _row_labels(levels: dict[str, Level | None], columns: dict[str, str], findings: Sequence[str],
                uncertain: Uncertain, blank: int | None) -> Labels | str:  # fmt: skip
    """The labels of one row; cells of findings that are not requested are ignored."""
    wrong = [columns[name] for name in columns if name in findings and levels[name] is None]
    if wrong:
        return f"mislabelled: a value other than 1, 0, -1 or blank in column {', '.join(wrong)}"
    present = {name for name, found in levels.items() if found == "present"}
    if NO_FINDING in present and present - _COMPATIBLE_WITH_NO_FINDING:
        return MISLABELLED
    return tuple(_value(levels[name], name, uncertain, blank) for name in findings)


def _value(found: Level | None, finding: str, uncertain: Uncertain, blank: int | None) -> int | None:
    in_paper = int(finding in PAPER_UNCERTAIN_PRESENT)
    of_uncertain = {"u-ones": 1, "u-zeros": 0, "u-ignore": None, "paper": in_paper}[uncertain]
    return {"present": 1, "absent": 0, "blank": blank, "uncertain": of_uncertain}[found or "blank"]


def _finding_columns(table: Table, taken: Sequence[str | None], asked: Sequence[str] | None) -> dict[str, str]:
    """Canonical finding to column, in the table's order; a column with a misspelt finding is refused, not ignored."""
    columns: dict[str, str] = {}
    faults: list[str] = []
    for column in table.columns:
        if column in taken:
            continue
        name = canonical_or_none(column)
        if name is not None:
            if name in columns and (asked is None or name in asked):
                faults.append(f"columns '{columns[name]}' and '{column}' both mean '{name}'")
            columns.setdefault(name, column)
        elif None not in map(level, table.cells(column)):
            close = difflib.get_close_matches(folded(column), _SPELLINGS, n=1, cutoff=0.8)
            if close and (asked is None or canonical(close[0]) in asked):
                faults.append(
                    f"the name of column {table.number(column)} is not a known finding; "
                    f"the nearest is '{canonical(close[0])}'"
                )
    if faults:
        raise FindingUnknown(f"{table.name}: {'; '.join(faults)}")
    return columns


def _chosen(asked: tuple[str, ...] | None, names: Container[str], table: Table) -> tuple[str, ...]:
    offered = tuple(name for name in VOCABULARY if name in names)
    default = tuple(name for name in offered if name != NO_FINDING)
    if asked is None and not default:
        raise TableRefused(f"{table.name}: no row names a finding, so there is nothing to learn from")
    return choose_findings(asked, offered, default=default, source=table.name)
