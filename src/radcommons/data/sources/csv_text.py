"""Read CSV files as people have them: any usual encoding and separator, stray quotation marks.

A message gives line numbers as an editor shows them, never the content of a cell.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from radcommons.errors import PathMissing, TableRefused

SEPARATORS = ",;\t|"  # if a header has equally many of two, the earlier one
ROWS_AT_ONCE = 512
_ASCII_SPACE = " \t\r\n\f\v"
_UTF_16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_EXCEL_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t|]*', re.IGNORECASE)
_NO_ROW = re.compile(rf'[\s"{SEPARATORS}]*')


@dataclass(frozen=True)
class CsvColumns:
    """A header and its columns, all cells stripped; `lines` are the rows' line numbers in an editor."""

    header: list[str]
    lines: list[int]
    columns: list[list[str]]


def read_csv(path: Path) -> CsvColumns:
    """The columns of a CSV file, plain or gzipped; blank rows and repeated headers are left out.

    Raises PathMissing if there is no file, TableRefused if it is not a table or a row does not match its header.
    """
    text, space = _text(path)
    rows = _rows(text, path.name)
    _, header = next(rows, (0, []))
    header = [name.strip() for name in header]
    lines: list[int] = []
    columns: list[list[str]] = [[] for _ in header]
    few: list[list[str]] = []  # a few rows at a time: freeing one list per row takes longer than reading it
    for line, row in _fitting(rows, header, path.name):
        lines.append(line)
        few.append(row)
        if len(few) == ROWS_AT_ONCE:
            _append(columns, few, space)
            few = []
    _append(columns, few, space)
    if not lines:
        raise TableRefused(f"{path.name} has a header but no rows")
    return CsvColumns(header, lines, columns)


def _append(columns: list[list[str]], rows: list[list[str]], space: str | None) -> None:
    for column, cells in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        column += map(str.strip, cells) if space is None else [cell.strip(space) for cell in cells]


def _fitting(rows: Iterator[tuple[int, list[str]]], header: list[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows as wide as the header, without blank rows and repeated headers; TableRefused for a wider row."""
    width, names = len(header), set(header) - {""}
    for line, row in rows:
        if len(row) != width:
            if any(cell.strip() for cell in row[width:]):
                raise TableRefused(f"{name} line {line} has {len(row)} fields and the header has {width}")
            row = (row + [""] * width)[:width]
        if (row[0] in names and _is_header(row, header, name, line)) or not any(map(str.strip, row)):
            continue
        yield line, row


def _is_header(row: list[str], header: list[str], name: str, line: int) -> bool:
    """Whether a row repeats the header, as in concatenated tables; TableRefused if its columns are reordered."""
    cells = [cell.strip() for cell in row]
    if cells != header and sorted(cells) == sorted(header):
        raise TableRefused(f"{name} line {line}: the header is repeated with its columns in another order")
    return cells == header


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line, the header first."""
    first, separator = _start(text)
    lines = io.StringIO(text)
    for _ in range(first - 1):
        next(lines)
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    line = first
    with _long_fields(len(text)):
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error:
                row = _row_with_stray_marks(text, line, first + reader.line_num - 1, separator, name)
            yield line, row
            line = first + reader.line_num


def _row_with_stray_marks(text: str, line: int, last: int, separator: str, name: str) -> list[str]:
    """A row such as ``a,"left" lung,b`` with the marks as text; one line only, so that no other row is swallowed."""
    one = text.split("\n")[line - 1]
    parsed = list(csv.reader([one, ""], delimiter=separator, skipinitialspace=True))
    if line != last or len(parsed) == 1:  # an open mark joins the second line to the first
        raise TableRefused(f"{name} line {line}: a quotation mark is not closed or is inside a field")
    return parsed[0]


def _start(text: str) -> tuple[int, str]:
    """The line of the header, from 1, and the separator: from Excel's ``sep=;``, or the most frequent one."""
    separator = None
    for number, line in enumerate((line.rstrip("\n ") for line in io.StringIO(text)), start=1):
        if _NO_ROW.fullmatch(line):
            continue
        if separator is None and (named := _EXCEL_SEPARATOR.fullmatch(line)):
            separator = named[1]
            continue
        unquoted = re.sub(r'"[^"]*"', "", line)
        return number, separator or max(SEPARATORS, key=unquoted.count)
    return 1, ","


@contextmanager
def _long_fields(characters: int) -> Iterator[None]:
    """Allow the csv module to read fields of this length."""
    before = csv.field_size_limit(max(characters, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _text(path: Path) -> tuple[str, str | None]:
    """The text with line feeds only, and the characters to strip from a cell."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise PathMissing(f"{path} does not exist") from None
    except (OSError, EOFError, zlib.error):
        raise TableRefused(f"{path.name} cannot be read, or is a damaged gzip file") from None
    text, space = _decoded(content, path.name)
    if _NO_ROW.fullmatch(text):
        raise TableRefused(f"{path.name} is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n"), space


def _decoded(content: bytes, name: str) -> tuple[str, str | None]:
    not_text = TableRefused(f"{name} is not a text table; export it as CSV")
    wide = _UTF_16.get(content[:2]) or _without_mark(content)
    try:
        text = content.decode(wide or "utf-8-sig")
        space = None
    except UnicodeDecodeError:
        if wide:
            raise not_text from None
        # Every byte stays a separate character, so that two patients cannot become one. A byte may be half a character
        # of another encoding, so strip only ASCII spaces.
        try:
            text, space = content.decode("cp1252"), _ASCII_SPACE
        except UnicodeDecodeError:
            text, space = content.decode("latin-1"), _ASCII_SPACE
    if "\0" in text:
        raise not_text
    return text, space


def _without_mark(content: bytes) -> str | None:
    """The form of UTF-16 without a byte order mark: most characters of a table are ASCII, so half the bytes are 0."""
    half = len(content) // 2
    zeros = {"utf-16-le": content[1::2].count(0), "utf-16-be": content[0::2].count(0)}
    encoding = max(zeros, key=lambda e: zeros[e])
    return encoding if half and zeros[encoding] > half // 2 and len(content) % 2 == 0 else None
