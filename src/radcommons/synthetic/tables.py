"""The text files of a synthetic set: labels.csv, dataset.json, provenance.json, one line for each image.

They are written and, as far as the set needs it, read without holding a million entries in memory.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

FORMAT_VERSION = 1
Format = Literal["png", "dicom", "npz"]

PROVENANCE = "provenance.json"
_SUFFIX = {"png": ".png", "dicom": ".dcm"}
_EMPTY_CELL = re.compile(r",(?=,|$)")
_IMAGES_KEY = '"images": ['  # a line of its own in provenance.json; the request is above it


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of the set: its name, place, generator and labels as text, "" for an unknown one."""

    name: str
    index: int
    generator: int
    labels: list[str]


def is_complete(folder: Path) -> bool:
    """True if a set is finished: its provenance is written last."""
    return (folder / PROVENANCE).is_file()


def image_name(index: int, format: Format) -> str:
    """Where image `index` is: a path below the set's folder; for npz with the row after a ``#``."""
    return f"images.npz#{index}" if format == "npz" else f"images/{index:08d}{_SUFFIX[format]}"


def label_texts(labels: np.ndarray) -> list[str]:
    """Each float32 as the shortest text that reads back as the same number; 0 and 1 as integers, NaN as nothing."""
    return ["" if text == "nan" else text.removesuffix(".0") for text in labels.astype("U").tolist()]


def labels_csv(findings: Sequence[str], entries: Iterable[Entry]) -> Iterator[bytes]:
    """torchxrayvision style: a column ``image``, then one column for each finding; an empty cell is unknown."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(["image", *findings])
    yield header.getvalue().encode()
    for entry in entries:
        yield f"{entry.name},{','.join(entry.labels)}\n".encode()


def dataset_json(entries: Iterable[Entry]) -> Iterator[bytes]:
    """StyleGAN style: ``{"labels": [["images/00000000.png", [1, 0]], ...]}``; null is unknown."""
    yield b'{"labels": [\n'
    yield from _separated(f'["{entry.name}", [{_json_numbers(entry.labels)}]]' for entry in entries)
    yield b"\n]}\n"


def provenance_json(request: Mapping[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    """The request, then under ``images`` the file, index, generator and labels of every image."""
    yield f"{json.dumps(request, indent=1)[:-2]},\n{_IMAGES_KEY}\n".encode()
    yield from _separated(
        f'{{"file": "{entry.name}", "index": {entry.index}, "generator": {entry.generator}, '
        f'"labels": [{_json_numbers(entry.labels)}]}}'
        for entry in entries
    )
    yield b"\n]}\n"


def request_of(path: Path) -> dict[str, Any]:
    """The keys of provenance.json that stand above ``images``; raises ValueError where it is not JSON."""
    lines = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            lines.append(line)
            if line.strip() == _IMAGES_KEY:
                lines.append("]}")
                break
    head = json.loads("".join(lines))
    if not isinstance(head, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    head.pop("images", None)
    return head


def read_labels(path: Path, findings: int) -> np.ndarray:
    """The labels of labels.csv, float32 (n, `findings`); NaN for an empty cell."""
    columns = range(1, findings + 1)
    with path.open(encoding="utf-8") as file:
        lines = (_EMPTY_CELL.sub(",nan", line) for line in file)
        return np.loadtxt(lines, np.float32, comments=None, delimiter=",", skiprows=1, usecols=columns, ndmin=2)


def _json_numbers(labels: list[str]) -> str:
    return ", ".join(text or "null" for text in labels)


def _separated(lines: Iterable[str]) -> Iterator[bytes]:
    separator = ""
    for line in lines:
        yield f"{separator}{line}".encode()
        separator = ",\n"
