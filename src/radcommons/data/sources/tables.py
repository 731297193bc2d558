"""Reading a label table: CSV text, plain or gzipped, into columns of stripped strings; and finding its columns.

A message names lines and columns, never a cell of a patient or an image.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radcommons.data.findings import folded
from radcommons.errors import PathMissing, TableRefused, nearest

FIRST_LINE = 2  # the header is line 1

IMAGE_NAMES = ("image", "image index", "image id", "image path", "image file", "path", "file", "file path", "filename",
               "file name", "dicom", "dicom path")  # fmt: skip
PATIENT_NAMES = ("patient", "patient id", "patientid", "subject", "subject id", "subjectid")
VIEW_NAMES = ("view", "view position", "viewposition", "ap/pa", "projection")
AGE_NAMES = ("age", "patient age", "patientage", "age years")
SEX_NAMES = ("sex", "gender", "patient sex", "patient gender", "patientsex")
LABEL_NAMES = (
    "labels",
    "label",
    "finding labels",
    "findings",
    "finding",
    "pathologies",
    "pathology",
    "diagnosis",
)
UID_NAMES = ("sopinstanceuid", "sop instance uid", "sop uid", "sopuid")


@dataclass(frozen=True)
class Table:
    """A label table in memory: `name` for messages, `frame` of strings, `lines` of its rows in the file."""

    name: str
    frame: pl.DataFrame
    lines: list[int]

    @property
    def columns(self) -> list[str]:
        """The header's names, in order."""
        return self.frame.columns

    def cells(self, column: str | None) -> list[str]:
        """One column as strings, "" for blank; blanks only where `column` is None."""
        return [""] * len(self.lines) if column is None else self.frame[column].to_list()

    def find(self, names: Iterable[str]) -> str | None:
        """The first column whose name, without case and punctuation, is among `names`; earlier names win."""
        by_folded = {folded(column): column for column in reversed(self.columns)}
        return next((by_folded[name] for name in names if name in by_folded), None)

    def require(self, *wanted: "Wanted") -> list[str]:
        """The column of each wanted one; raises TableRefused with every fault and what was found."""
        faults = [fault for fault in map(self._fault, wanted) if fault]
        if faults:
            raise TableRefused(f"{self.name}: {'; '.join(faults)}; {self.found()}")
        return [column.chosen or self.find(column.names) or "" for column in wanted]

    def found(self) -> str:
        """The end of a message: the columns that are there, but not cells of a table without a header."""
        shown = [column for column in self.columns if _looks_like_a_name(column)]
        hidden = len(self.columns) - len(shown)
        note = f", and {hidden} that look like values (the first line must name the columns)" if hidden else ""
        return f"columns found: {', '.join(shown) or 'none'}{note}"

    def _fault(self, wanted: "Wanted") -> str | None:
        if wanted.chosen is not None:
            if wanted.chosen in self.columns:
                return None
            close = nearest(wanted.chosen, [c for c in self.columns if _looks_like_a_name(c)])
            hint = f"; the nearest is '{close}'" if close else ""
            return f"no column '{wanted.chosen}' for the {wanted.what}{hint}"
        if self.find(wanted.names) is not None:
            return None
        step = f", or pass {wanted.option} NAME" if wanted.option else ""
        return f"no column for the {wanted.what}: call it {wanted.names[0]!r}{step}"


@dataclass(frozen=True)
class Columns:
    """Columns of a table of one's own, by name; None for the usual names."""

    image: str | None = None
    patient: str | None = None
    labels: str | None = None


USUAL_COLUMNS = Columns()


@dataclass(frozen=True)
class Wanted:
    """A column that a source looks for: what it holds, its usual names, and the name or option that overrides."""

    what: str
    names: Sequence[str]
    chosen: str | None = None
    option: str | None = None


def read_table(path: Path) -> Table:
    """A CSV file (comma, semicolon or tab; UTF-8 or Latin-1; gzipped or not) as a Table.

    Raises PathMissing where there is no file, TableRefused where it is not a table or has no rows.
    """
    text = _text(path)
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        shown = [f"'{name}'" for name in repeated if _looks_like_a_name(name)]
        raise TableRefused(f"{path.name}: {len(repeated)} columns have the same name as another: {', '.join(shown)}")
    try:
        frame = pl.read_csv(text.encode(), infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError:
        raise TableRefused(f"{path.name}{_why_unreadable(text, separator, len(names))}") from None
    frame = frame.rename({old: old.strip() for old in frame.columns})
    frame = frame.select(pl.all().fill_null("").str.strip_chars()).with_row_index("_line", offset=FIRST_LINE)
    frame = frame.filter(pl.any_horizontal(pl.exclude("_line") != ""))
    if frame.is_empty():
        raise TableRefused(f"{path.name} has a header but no rows")
    lines = frame["_line"].to_list()
    return Table(path.name, frame.drop("_line"), lines)


def one_table(sources: Sequence[Path], pattern: str, what: str) -> Path:
    """The one file that `pattern` finds in the source folders, or that a source is; PathMissing, TableRefused."""
    found = sorted(set(tables_in(sources, pattern)))
    if not found:
        raise PathMissing(f"{', '.join(map(str, sources))}: no {what}; name the folder that holds it")
    if len(found) > 1:
        names = ", ".join(sorted({path.name for path in found}))
        raise TableRefused(f"{len(found)} files could be the {what} ({names}); name one of them as a source")
    return found[0]


def tables_in(sources: Sequence[Path], pattern: str) -> list[Path]:
    """Files named like `pattern`, plain or ``.gz``, that are a source or lie in one; a plain one hides its ``.gz``."""
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
    """`sources`, all of which exist; raises PathMissing naming every one that does not."""
    missing = [str(source) for source in sources if not source.exists()]
    if missing or not sources:
        raise PathMissing(f"{', '.join(missing)} does not exist" if missing else "no source is given")
    return sources


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise PathMissing(f"{path} does not exist") from None
    except (OSError, EOFError, zlib.error):
        raise TableRefused(f"{path.name} cannot be read, or is a damaged gzip file") from None
    if not content.strip():
        raise TableRefused(f"{path.name} is empty")
    if b"\0" in content:
        raise TableRefused(f"{path.name} is not a text table; export it as CSV")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")


def _why_unreadable(text: str, separator: str, width: int) -> str:
    try:
        reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
        for row in reader:
            if len(row) > width:
                return f" line {reader.line_num} has {len(row)} fields and the header has {width}"
    except csv.Error:
        return f" line {reader.line_num}: a quotation mark is not closed or stands inside a field"
    return " cannot be read as CSV"


def _looks_like_a_name(column: str) -> bool:
    """Whether a header cell is a name, and not an identifier, file or number of a table without a header."""
    return re.search(r"\d{3}|\^|\.\w{2,5}$|^\W*\d", column) is None and 0 < len(column) <= 60
