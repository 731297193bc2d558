"""Find image files by their name without suffix, so that a re-encoded download still matches its table."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
# A table may have been made before the films were converted.
_STRIPPED = frozenset(
    ("png", "jpg", "jpeg", "dcm", "dicom", "tif", "tiff", "bmp", "gif", "webp", "jp2", "j2k", "jls", "ima")
)
NOT_IMAGES = frozenset({".csv", ".tsv", ".gz", ".txt", ".json", ".xml", ".md", ".html", ".pdf", ".xlsx", ".zip"})


def stem(name: str) -> str:
    """A file's name without folders and image suffix; the last dot of a UID is not a suffix."""
    base = name.replace("\\", "/").rpartition("/")[2] if "/" in name or "\\" in name else name
    head, _, suffix = base.rpartition(".")
    return head if head and suffix.lower() in _STRIPPED else base


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every regular file below a folder, without hidden files, in no order; a folder reached by several links counts
    once."""
    pending, linked = [os.fspath(folder)], list[str]()
    seen: set[tuple[int, int]] = set()
    while pending or linked:
        place = pending.pop() if pending else linked.pop()
        identity = os.stat(place)  # noqa: PTH116
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    is_folder, is_file = entry.is_dir(), entry.is_file()
                except OSError:  # a link to itself
                    continue
                if is_folder:
                    (linked if entry.is_symlink() else pending).append(entry.path)
                elif is_file:
                    yield entry
        linked.sort(reverse=True)


def image_folders(sources: Sequence[Path], pattern: str) -> list[Path]:
    """The folders in each source that match `pattern`, or the source itself if none does."""
    folders: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = [] if source.match(pattern) else [path for path in source.glob(pattern) if path.is_dir()]
            folders += sorted(inside) or [source]
    return folders


def by_stem(folders: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """Image files below `folders` by their name without suffix; more than one path means that the name is ambiguous."""
    found: dict[str, tuple[str, ...]] = {}  # tuples of strings, which the garbage collector skips
    for folder in folders:
        for entry in walk(folder):
            if entry.name.lower().endswith(IMAGE_SUFFIXES):
                name = stem(entry.name)
                found[name] = (*found.get(name, ()), entry.path)
    return found
