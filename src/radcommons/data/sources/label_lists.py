"""Read labels that are a list in one column: ``Effusion|Mass``, ``Effusion; Mass``, ``['effusion', 'mass']``.

An unknown word may be a patient's name, so messages show only words of radiology and misspelt findings.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from radcommons.data.sources.radiology_words import is_radiology
from radcommons.data.sources.tables import Table
from radcommons.errors import FindingUnknown, TableRefused
from radcommons.findings import BY_FOLDED, NO_FINDING, SPELLINGS, VOCABULARY, canonical_or_none, folded

Labels = tuple[int | None, ...]

MISLABELLED = "mislabelled: 'No Finding' together with a finding"
MISSPELT = 0.85  # similarity to a finding; a word at or above it is a misspelling
ALIKE = 0.8  # similarity; a word below it is something else
SHORTEST_SHOWN = 7  # letters of a misspelt finding; a shorter one may be a name
FIRST_WORDS = 5

_SAYS_NOTHING = frozenset(map(folded, (
    "", "NA", "N/A", "NaN", "null", "none", "unknown", "unlabelled", "unlabeled", "not available", "todo", "?",
    "unchanged", "exclude", "suboptimal study",
)))  # fmt: skip


def listed_names(cell: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The canonical names of the findings in a cell, and the words in it that are not findings."""
    names: list[str] = []
    unknown: list[str] = []
    for item in _items(cell):
        if folded(item) in _SAYS_NOTHING:
            continue
        parts = [item] if canonical_or_none(item) else [p.strip() for p in re.split(r"[;,/\n]", item)]
        found = {part: canonical_or_none(part) for part in parts if folded(part) not in _SAYS_NOTHING}
        names += filter(None, found.values())
        # Text with commas but without a finding is one item.
        unknown += [part for part, name in found.items() if name is None] if any(found.values()) else [item]
    return frozenset(names), tuple(unknown)


def _items(cell: str) -> list[str]:
    """The items of ``a|b``, or of a list as Python and JSON write it."""
    if cell[:1] in "[{(" and cell[-1:] in "]})":
        quoted = re.findall(r"""'([^']*)'|"([^"]*)\"""", cell)
        items = [one or other for one, other in quoted] if quoted else cell[1:-1].split(",")
    else:
        items = cell.split("|")
    return [item.strip() for item in items]


class LabelLists:
    """A column of lists; each distinct cell is read once.

    Raises FindingUnknown for a word that is not a finding. If `asked` names the findings to keep, such words are left
    out and counted, and only a probable misspelling of a finding to keep is refused. Raises TableRefused if the column
    does not contain findings.
    """

    def __init__(self, table: Table, column: str, asked: Sequence[str] | None) -> None:
        self._table, self._column, self._asked = table, column, asked
        self._cells = table.cells(column)
        self._rows_of_cell = Counter(self._cells)
        read = {cell: listed_names(cell) for cell in self._rows_of_cell}
        self._names = {cell: names for cell, (names, _) in read.items()}
        self._unknown = {cell: frozenset(unknown) for cell, (_, unknown) in read.items() if unknown}
        self.offered = frozenset(name for names in self._names.values() for name in names)
        # The words that are not findings: their first line, and their number of rows.
        self._first_line: dict[str, int] = {}
        self._rows_of_word = Counter[str]()
        for line, cell in zip(table.lines, self._cells, strict=True) if self._unknown else ():
            for word in sorted(self._unknown.get(cell, ())):
                self._first_line.setdefault(word, line)
                self._rows_of_word[word] += 1
        self._check_words()

    def labels(self, findings: Sequence[str]) -> list[Labels | str]:
        """The labels of every row: listed = 1, not listed = 0; unknown for an empty cell or one such as "NA"."""
        by_cell = {cell: self._labels(cell, findings) for cell in self._names}
        return [by_cell[cell] for cell in self._cells]

    def notes(self, findings: Sequence[str]) -> tuple[str, ...]:
        """One line about the words left out because `asked` does not name them."""
        if self._asked is None:
            return ()
        rows = Counter[str]()
        for cell, names in self._names.items():
            rows.update(dict.fromkeys(names - {*findings, NO_FINDING}, self._rows_of_cell[cell]))
        left = [f"{name} ({_rows(count)})" for name, count in rows.most_common()]
        shown = self._shown(self._rows_of_word)
        hidden = self._rows_of_word.keys() - shown
        left += [f"'{word}' ({_rows(self._rows_of_word[word])})" for word in shown]
        if hidden:
            count = sum(self._rows_of_cell[cell] for cell, words in self._unknown.items() if words & hidden)
            left.append(f"{len(hidden)} unknown words, not shown ({_rows(count)})")
        return (f"left out of column '{self._column}', not in --findings: {', '.join(left)}",) if left else ()

    def _labels(self, cell: str, findings: Sequence[str]) -> Labels | str:
        names = self._names[cell]
        for word in sorted(self._unknown.get(cell, ())):
            if reason := _doubtful(word, tuple(findings)):
                return reason
        if NO_FINDING in names and (len(names) > 1 or cell in self._unknown):
            return MISLABELLED
        if not names and cell not in self._unknown:
            return (None,) * len(findings)
        return tuple(int(finding in names) for finding in findings)

    def _check_words(self) -> None:
        asked = self._asked
        faults = [word for word in self._rows_of_word if asked is None or _misspelling(word, asked)]
        if asked is None and len(faults) > max(2, len(self.offered)):
            step = f"use names such as {', '.join(VOCABULARY[:5])}"
            if self.offered:
                step = f"name those to keep with --findings, such as {', '.join(sorted(self.offered)[:5])}"
            raise TableRefused(  # probably the wrong column, so do not repeat its values
                f"{self._table.name}: column '{self._column}' has no findings: {len(faults)} different values "
                f"are not known and {len(self.offered)} are; choose another with --label-column, or {step}"
            )
        if not faults:
            return
        shown = self._shown(faults)
        lines = [self._fault(word, shown=word in shown) for word in faults[:FIRST_WORDS]]
        more = f"; and {len(faults) - FIRST_WORDS} more" if len(faults) > FIRST_WORDS else ""
        raise FindingUnknown("; ".join(lines) + more + self._step(faults))

    def _step(self, faults: Sequence[str]) -> str:
        if all(_misspelling(word, VOCABULARY) for word in faults):
            return ""
        if not self.offered:
            return "; no row names a known finding: choose another column with --label-column"
        return f"; known in this column are {', '.join(sorted(self.offered))}: with --findings the others are left out"

    def _fault(self, word: str, *, shown: bool) -> str:
        what = f"finding '{word}'" if shown else f"a finding of {len(word)} characters"
        close = _misspelling(word, VOCABULARY)
        hint = f"; the nearest is '{close}'" if close else ""
        return f"{self._table.name} line {self._first_line[word]}: {what} is not known{hint}"

    def _shown(self, words: Iterable[str]) -> list[str]:
        """At most FIRST_WORDS words that a message may repeat, the most frequent first."""
        ranked = sorted(words, key=lambda word: -self._rows_of_word[word])
        return [word for word in ranked if is_radiology(word) or _is_misspelt(word)][:FIRST_WORDS]


def _is_misspelt(word: str) -> bool:
    return word.isalpha() and len(word) >= SHORTEST_SHOWN and _misspelling(word, VOCABULARY) is not None


def _likeness(word: str, findings: Iterable[str]) -> tuple[float, str]:
    """The largest similarity of a word to the spellings of some findings, 0 to 1, and that finding."""
    wanted, text = set(findings), folded(word)
    matcher = SequenceMatcher(b=text)
    best = (0.0, "")
    for spelling, name in BY_FOLDED.items():
        if name in wanted:
            matcher.set_seq1(spelling)
            if matcher.real_quick_ratio() > best[0] and matcher.quick_ratio() > best[0]:
                best = max(best, (matcher.ratio(), name))
    return best


def _misspelling(word: str, findings: Iterable[str]) -> str | None:
    """The finding that a word misspells, if any; "no effusion" is not a misspelling."""
    likeness, name = _likeness(word, findings)
    return name if likeness >= MISSPELT and _within(word, [name]) is None else None


def _within(word: str, findings: Iterable[str]) -> str | None:
    """The finding that occurs as whole words in a longer text, if any."""
    wanted, text = set(findings), _words(word)
    return next((name for spelling, name in _SPELLED_OUT if name in wanted and spelling in text), None)


@lru_cache(maxsize=1024)
def _doubtful(word: str, findings: tuple[str, ...]) -> str | None:
    """Why a row with this word is refused: the word may mean one of the findings."""
    if within := _within(word, findings):
        return f"mislabelled: the label cell names {within} within a longer text"
    likeness, name = _likeness(word, findings)
    return f"mislabelled: the label cell has a word similar to {name}" if likeness >= ALIKE else None


def _words(text: str) -> str:
    """The words of a text with spaces around them, so that `in` finds whole words only."""
    return " ".join(("", *re.findall(r"[^\W_]+", text.casefold()), ""))


_SPELLED_OUT = [(_words(spelling), name) for spelling, name in SPELLINGS.items()]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
