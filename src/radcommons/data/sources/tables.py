"""A label table in memory: columns of stripped strings, found by their usual names.

Messages give line numbers, column numbers and known column names only: in a table without a header line, the "column
names" are the data of the first patient.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from radcommons.data.sources.csv_text import read_csv
from radcommons.errors import PathMissing, TableRefused, nearest
from radcommons.findings import canonical_or_none

IMAGE_NAMES = ("image", "image index", "image id", "image path", "image file", "image name", "path", "file",
               "file path", "filename", "dicom", "dicom path", "dicom id", "dicom file")  # fmt: skip
PATIENT_NAMES = ("patient", "patient id", "subject", "subject id")
VIEW_NAMES = ("view", "view position", "ap/pa", "projection")
AGE_NAMES = ("age", "patient age", "age years")
SEX_NAMES = ("sex", "gender", "patient sex", "patient gender", "patient sex dicom")
LABEL_NAMES = ("labels", "label", "finding labels", "findings", "finding", "pathologies", "pathology",
               "diagnosis")  # fmt: skip
UID_NAMES = ("sop instance uid", "sop uid")
SPLIT_NAMES = ("split", "part", "set", "fold")


def squashed(name: str) -> str:
    """Letters and digits of a column's name, lower case: ``Patient ID``, ``patient_id`` and ``PatientID`` are equal."""
    return re.sub(r"[\W_]+", "", name).casefold()


_KNOWN = frozenset(
    squashed(name)
    for names in (IMAGE_NAMES, PATIENT_NAMES, VIEW_NAMES, AGE_NAMES, SEX_NAMES, LABEL_NAMES, UID_NAMES, SPLIT_NAMES)
    for name in names
)

_NOBODY = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "unknown", "-"})


@dataclass(frozen=True)
class Wanted:
    """A column that a source needs: its content, its usual names, and the user's name and option for it."""

    what: str
    names: Sequence[str]
    chosen: str | None = None
    option: str | None = None


@dataclass(frozen=True)
class Table:
    """A label table in memory.

    Attributes:
        name: name of the file, for messages.
        header: the cells of the first line, "" for a column without a name.
        lines: the line number of each row in the file.
        columns: the named columns, "" for a blank cell.
    """

    name: str
    header: list[str]
    lines: list[int]
    columns: dict[str, list[str]]

    def cells(self, column: str | None) -> list[str]:
        """One column as strings; all blank if `column` is None."""
        return [""] * len(self.lines) if column is None else self.columns[column]

    def find(self, names: Iterable[str]) -> str | None:
        """The first column with one of `names`, in any spelling; earlier names take precedence."""
        by_squashed = {squashed(column): column for column in reversed(self.columns) if squashed(column)}
        return next((by_squashed[name] for name in map(squashed, names) if name in by_squashed), None)

    def require(self, *wanted: Wanted) -> list[str]:
        """The names of the wanted columns; raises TableRefused with every fault and the columns found."""
        faults = [fault for fault in map(self._fault, wanted) if fault]
        if faults:
            names = [name for one in wanted for name in one.names]
            raise TableRefused(f"{self.name}: {'; '.join(faults)}; {self.found(names)}")
        return [self._place(one) or "" for one in wanted]

    def optional(self, wanted: Wanted) -> str | None:
        """A column that may be missing, unless the user has named it."""
        return self.find(wanted.names) if wanted.chosen is None else self.require(wanted)[0]

    def number(self, column: str) -> int:
        """The position of a column, from 1, for messages about columns with unknown names."""
        return self.header.index(column) + 1

    def found(self, also: Iterable[str] = ()) -> str:
        """The end of a message: the columns with known names, and the number of others."""
        known = _KNOWN.union(map(squashed, also))
        shown = [c for c in self.columns if squashed(c) in known or canonical_or_none(c)]
        others = len(self.columns) - len(shown)
        note = f", and {others} with unknown names, not shown" if others else ""
        step = "" if any(squashed(c) in known for c in shown) else "; the first line must name the columns"
        return f"columns found: {', '.join(shown) or 'none'}{note}{step}"

    def _place(self, wanted: Wanted) -> str | None:
        if wanted.chosen is None:
            return self.find(wanted.names)
        return wanted.chosen if wanted.chosen in self.columns else self.find([wanted.chosen])

    def _fault(self, wanted: Wanted) -> str | None:
        place = self._place(wanted)
        if place is not None:
            twice = self.header.count(place)
            return f"{twice} columns have the name of the {wanted.what}; rename all but one" if twice > 1 else None
        if wanted.chosen is not None:
            close = nearest(wanted.chosen, self.columns)
            hint = f"; the nearest name is that of column {self.number(close)}" if close else ""
            return f"no column '{wanted.chosen}' for the {wanted.what}{hint}"
        step = f", or pass {wanted.option} NAME" if wanted.option else ""
        return f"no column for the {wanted.what}: call it {wanted.names[0]!r}{step}"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of your own table; None for the usual names."""

    image: str | None = None
    patient: str | None = None
    labels: str | None = None
    view: str | None = None
    sex: str | None = None
    age: str | None = None

    def facts(self, table: Table) -> list[str | None]:
        """The table's columns of view, age and sex; None for a missing one."""
        return [
            table.optional(Wanted("view", VIEW_NAMES, self.view, "--view-column")),
            table.optional(Wanted("age", AGE_NAMES, self.age, "--age-column")),
            table.optional(Wanted("sex", SEX_NAMES, self.sex, "--sex-column")),
        ]


USUAL_COLUMNS = Columns()


def read_table(path: Path) -> Table:
    """Read a CSV file: comma, semicolon, tab or bar; UTF-8, UTF-16 or Windows-1252; plain or gzipped.

    Raises PathMissing if there is no file; TableRefused if it is not a table, has no rows, or has two columns with the
    same known name.
    """
    read = read_csv(path)
    repeated = {name for name in read.header if name and read.header.count(name) > 1}
    known = sorted(name for name in repeated if squashed(name) in _KNOWN or canonical_or_none(name))
    if known:
        names = ", ".join(f"'{name}'" for name in known)
        raise TableRefused(f"{path.name}: {len(known)} columns have the same name as another: {names}")
    columns = {name: cells for name, cells in zip(read.header, read.columns, strict=True) if name}
    return Table(path.name, read.header, read.lines, columns)


def patient_fault(patient: str) -> str | None:
    """Why a patient cell is not an identifier: films of several people would count as one person's."""
    if patient.casefold() in _NOBODY:
        return "the patient cell is blank"
    if "\ufffd" in patient or "?" in patient:
        return "the patient cell has lost a letter to a wrong character set; export the table again, as UTF-8"
    return None


def one_table(sources: Sequence[Path], pattern: str, what: str) -> Path:
    """The only file in the source folders, or among the sources, that matches `pattern`; PathMissing, TableRefused."""
    found = sorted(set(tables_in(sources, pattern)))
    if not found:
        raise PathMissing(f"{', '.join(map(str, sources))}: no {what}; name the folder that has it")
    if len(found) > 1:
        names = ", ".join(sorted({path.name for path in found}))
        raise TableRefused(f"{len(found)} files could be the {what} ({names}); name one of them as a source")
    return found[0]


def tables_in(sources: Sequence[Path], pattern: str) -> list[Path]:
    """Files that match `pattern`, plain or ``.gz``, among the sources or in them; a plain file hides its ``.gz``."""
    found: list[Path] = []
    for source in check_sources(sources):
        if source.is_file():
            found += [source] if source.match(pattern) or source.match(f"{pattern}.gz") else []
            continue
        plain = sorted(source.glob(pattern))
        zipped = sorted(source.glob(f"{pattern}.gz"))
        found += plain + [path for path in zipped if path.with_suffix("") not in plain]
    named = [path for path in found if path in sources]
    return named or found


def check_sources(sources: Sequence[Path]) -> Sequence[Path]:
    """`sources`, if all exist; raises PathMissing with every missing one."""
    missing = [str(source) for source in sources if not source.exists()]
    if missing or not sources:
        raise PathMissing(f"{', '.join(missing)} does not exist" if missing else "no source is given")
    return sources
