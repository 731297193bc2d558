"""Finding image files: one walk of the folders, by stem, so that a re-encoded download still matches its table."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


def stem(name: str) -> str:
    """A file's name without folders and image suffix; the last dot of a UID is not a suffix."""
    base = name.replace("\\", "/").rpartition("/")[2]
    head, dot, tail = base.rpartition(".")
    return head if head and f"{dot}{tail}".lower() in IMAGE_SUFFIXES else base


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every regular file under a folder, hidden ones left out, in no order."""
    pending = [os.fspath(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.is_file():
                    yield entry


def image_folders(sources: Sequence[Path], pattern: str) -> list[Path]:
    """The folders in each source that match `pattern`, or the source itself where none does."""
    folders: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = [] if source.match(pattern) else [path for path in source.glob(pattern) if path.is_dir()]
            folders += sorted(inside) or [source]
    return folders


def by_stem(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Image files under `folders` by their name without suffix; more than one path is an ambiguity."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for entry in walk(folder):
            if entry.name.lower().endswith(IMAGE_SUFFIXES):
                found.setdefault(stem(entry.name), []).append(Path(entry.path))
    return found
