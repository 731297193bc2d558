"""Find the file that a table's cell names: by its path or the end of it, without suffix and case, never by a guess."""

import os
import posixpath
import unicodedata
from collections.abc import Hashable, Sequence

from radcommons.data.sources.image_files import stem

DUPLICATE = "duplicate: another row has the same image"
DISAGREE = "rows of this image disagree in its patient or labels; put all its findings into one row"
MISSING = "image file is missing"


class FileNames:
    """Files by their paths below a source.

    A cell matches a file if one path is the end of the other: ``./a/1.PNG``, ``a\\\\1``, ``1.png`` and
    ``/export/a/1.dcm`` all match ``a/1.png``; ``b/1.png`` does not.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._whole: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for place, path in enumerate(paths):
            key = path_key(path)
            self._whole.setdefault(key, []).append(place)
            for end in _ends(key):
                self._ends.setdefault(end, []).append(place)

    def find(self, cell: str) -> list[int]:
        """Positions in the list of paths; several if the cell matches them equally well."""
        key = path_key(cell)
        found = self._whole.get(key) or self._ends.get(key)
        if not found:
            found = next((self._whole[end] for end in _ends(key) if end in self._whole), [])
        if len(found) > 1:
            found = self._as_written(found, cell) or found
        return found

    def _as_written(self, places: Sequence[int], cell: str) -> list[int]:
        """The files with the cell's exact name; if none, without case; if none, without suffix."""
        name = cell.replace("\\", "/").rpartition("/")[2]
        names = {place: self._paths[place].rpartition("/")[2] for place in places}
        for same in (str, str.casefold, stem):
            found = [place for place in places if same(names[place]) == same(name)]
            if found:
                return found
        return []

    def match(self, cells: Sequence[str]) -> list[int | str]:
        """For every cell the position of its file, or the reason to refuse its row.

        Rows with different paths never share a file: matched by the ends of their paths, they would be films of two
        folders, and one of these folders is missing.
        """
        found = [self.find(cell) if cell else [] for cell in cells]
        keys_of: dict[int, set[str]] = {}
        for cell, places in zip(cells, found, strict=True):
            if len(places) == 1:
                keys_of.setdefault(places[0], set()).add(path_key(cell))
        matched: list[int | str] = []
        for cell, places in zip(cells, found, strict=True):
            if not cell or len(places) != 1:
                matched.append(_fault(cell, len(places)))
                continue
            (place,) = places
            keys = keys_of[place]
            if len(keys) > 1 and path_key(cell) != path_key(self._paths[place]):
                matched.append(f"ambiguous: rows with {len(keys)} different paths fit one file")
            else:
                matched.append(place)
        return matched


def path_key(path: str) -> str:
    """A path in lower case, without suffix, with slashes, ``.`` and ``..`` resolved, in one Unicode form."""
    text = unicodedata.normalize("NFC", readable(path)).replace("\\", "/")
    folders, slash, name = posixpath.normpath("/" + text.lstrip("/"))[1:].rpartition("/")
    return (folders + slash + stem(name)).casefold()


def readable(path: str) -> str:
    """A path; if its bytes are not UTF-8, read as Windows-1252, which archives made on Windows use."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("cp1252", errors="surrogateescape")
    return path


def _ends(key: str) -> list[str]:
    """``a/b/c`` and then ``b/c``, ``c``: the longest first."""
    parts = key.split("/")
    return ["/".join(parts[first:]) for first in range(len(parts))]


def _fault(cell: str, matches: int) -> str:
    if not cell:
        return "the image cell is blank"
    return f"ambiguous: {matches} files have the name in this row" if matches else MISSING


def repeated(files: Sequence[Hashable], content: Sequence[Hashable]) -> dict[int, str]:
    """The rows to refuse because other rows have the same file, with the reason.

    If the rows of a file have the same content, the first one counts. If not, all are refused: in a table with one row
    per finding, the findings of later rows would otherwise count as absent.

    Args:
        files: the file of every row.
        content: patient and labels of every row.
    """
    first: dict[Hashable, int] = {}
    again = [row for row, file in enumerate(files) if first.setdefault(file, row) != row]
    disagree = {files[row] for row in again if content[row] != content[first[files[row]]]}
    return dict.fromkeys(again, DUPLICATE) | {row: DISAGREE for row, file in enumerate(files) if file in disagree}
