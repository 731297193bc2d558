"""The answers of a reader study, read from a CSV file and checked.

Messages give line numbers, never the content of a cell: an image's name may be a patient's.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.errors import PathMissing, TableRefused
from radcommons.records import TimedOut

TRUTHS = {"real": 0.0, "synthetic": 1.0}
TIMED_OUT = 0.5  # as a call
CALLS = {**TRUTHS, "timed out": TIMED_OUT}
NEEDED = ("reader", "group", "block", "position", "image", "truth", "answer")
OPTIONAL = ("confidence", "seconds")
MOST_CONFIDENT = 5
FAULTS_SHOWN = 5
ALL = "all readers"  # in place of a group's name

WORTH: dict[TimedOut, float] = {"half": 0.5, "wrong": 0.0, "excluded": math.nan}  # of an answer that timed out


@dataclass(frozen=True)
class Answers:
    """The answers of R readers to N images in B blocks; NaN wherever a reader did not see an image.

    readers, groups, blocks, images: names, in the order in which the file first has them.
    group_of: number of each reader's group, (R,).
    synthetic: whether each image is, bool (N,).
    calls: 1 synthetic, 0 real, 0.5 timed out, (B, R, N).
    confidence: 1 to 5, NaN where none was given, (B, R, N).
    seconds: >= 0, NaN where not measured, (B, R, N).
    position: in the reader's order of the block, (B, R, N).
    """

    readers: tuple[str, ...]
    groups: tuple[str, ...]
    blocks: tuple[str, ...]
    images: tuple[str, ...]
    group_of: np.ndarray
    synthetic: np.ndarray
    calls: np.ndarray
    confidence: np.ndarray
    seconds: np.ndarray
    position: np.ndarray

    def right(self, timed_out: TimedOut) -> np.ndarray:
        """1 right, 0 wrong, and what a timed-out answer counts; NaN for what does not count, (B, R, N)."""
        right = np.where(np.isnan(self.calls), np.nan, self.calls == self.synthetic)
        return np.where(self.calls == TIMED_OUT, WORTH[timed_out], right)

    def scores(self, timed_out: TimedOut) -> np.ndarray:
        """How sure a reader is that an image is synthetic, -5 to 5, (B, R, N); 0 for a timed-out answer that counts.

        NaN without a confidence.
        """
        scores = np.where(self.calls == 1, self.confidence, -self.confidence)
        return np.where(self.calls == TIMED_OUT, np.nan if timed_out == "excluded" else 0.0, scores)


def read_answers(path: Path) -> Answers:
    """Read and check a file of answers.

    Raises:
        PathMissing: there is no such file.
        TableRefused: it is no table, lacks a column, or holds answers that cannot be analysed; the message names the
            first few lines.
    """
    lines = list(_lines(path))
    if not lines:
        raise TableRefused(f"{path.name} has no answers")
    faults: list[str] = []
    rows = [row for number, line in lines if (row := _row(number, line, faults)) is not None]
    if not faults:
        faults = [*_contradictions(rows), *_one_class(rows)]
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise TableRefused(f"{path.name}: {'; '.join(faults[:FAULTS_SHOWN])}{more}")
    return _arrays(rows)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    reader: str
    group: str
    block: str
    image: str
    position: int
    synthetic: bool
    call: float
    confidence: float
    seconds: float


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and stripped cells by column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PathMissing(f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise TableRefused(f"{path.name} is not UTF-8 text; export it as CSV in UTF-8") from None
    lines = text.splitlines()
    if not any(map(str.strip, lines)):
        raise TableRefused(f"{path.name} is empty")
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    header = [name.strip().lower() for name in next(reader)]
    for name in NEEDED:
        if name not in header:
            raise TableRefused(
                f"{path.name} has no column '{name}'; its first line must name {', '.join(NEEDED)} "
                f"and may name {' and '.join(OPTIONAL)}"
            )
    if repeated := [name for name in (*NEEDED, *OPTIONAL) if header.count(name) > 1]:
        raise TableRefused(f"{path.name} has more than one column '{repeated[0]}'")
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield reader.line_num, dict(zip(header, map(str.strip, cells), strict=False))
    except csv.Error:
        raise TableRefused(f"{path.name} line {reader.line_num}: a cell is not closed or is too long") from None


def _row(number: int, cells: Mapping[str, str], faults: list[str]) -> _Row | None:
    """One line; None after adding what is wrong with it to `faults`."""
    before = len(faults)
    empty = [name for name in NEEDED if not cells.get(name)]
    if cells.get("group") == ALL:
        faults.append(f"line {number}: '{ALL}' cannot be the name of a group; choose another")
    if empty:
        faults.append(f"line {number}: {' and '.join(empty)} must not be empty")
        return None
    truth, call = TRUTHS.get(cells["truth"].lower()), CALLS.get(cells["answer"].lower().replace("_", " "))
    position = _number(cells["position"])
    confidence, seconds = _number(cells.get("confidence", "")), _number(cells.get("seconds", ""))
    if truth is None:
        faults.append(f"line {number}: truth must be real or synthetic")
    if call is None:
        faults.append(f"line {number}: answer must be real, synthetic or timed out")
    if position is None or not (position >= 1 and position.is_integer()):
        faults.append(f"line {number}: position must be a whole number from 1 on")
    if confidence is None or not (math.isnan(confidence) or confidence in range(1, MOST_CONFIDENT + 1)):
        faults.append(f"line {number}: confidence must be a whole number from 1 to {MOST_CONFIDENT}, or empty")
    if seconds is None or not (math.isnan(seconds) or 0 <= seconds < math.inf):
        faults.append(f"line {number}: seconds must be a number from 0 on, or empty")
    if len(faults) > before or truth is None or call is None or None in (position, confidence, seconds):
        return None
    assert position is not None and confidence is not None and seconds is not None
    names = (cells["reader"], cells["group"], cells["block"], cells["image"])
    return _Row(number, *names, int(position), bool(truth), call, confidence, seconds)


def _number(text: str) -> float | None:
    """A number, NaN for an empty cell, None for anything else."""
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _contradictions(rows: list[_Row]) -> Iterator[str]:
    """Two answers, truths, groups or positions where there can be one."""
    answered: dict[object, int] = {}
    truths: dict[str, _Row] = {}
    groups: dict[str, _Row] = {}
    for row in rows:
        for key, words in (
            (("image", row.reader, row.block, row.image), "this reader has already answered this image in this block"),
            (("position", row.reader, row.block, row.position), "this reader has another image at this position"),
        ):
            if key in answered:
                yield f"line {row.line}: {words}, in line {answered[key]}"
            answered.setdefault(key, row.line)
        first = truths.setdefault(row.image, row)
        if first.synthetic != row.synthetic:
            yield f"line {row.line}: this image has another truth in line {first.line}"
        first = groups.setdefault(row.reader, row)
        if first.group != row.group:
            yield f"line {row.line}: this reader is of another group in line {first.line}"


def _one_class(rows: list[_Row]) -> Iterator[str]:
    """Readers who saw one class only in a block."""
    seen: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        seen.setdefault((row.reader, row.block), []).append(row)
    for session in seen.values():
        classes = {row.synthetic for row in session}
        if len(classes) == 1:
            only = "synthetic" if classes.pop() else "real"
            yield f"line {session[0].line}: this reader saw only {only} images in this block; leave the block out"


def _arrays(rows: list[_Row]) -> Answers:
    readers, blocks, images, groups = (
        list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("reader", "block", "image", "group")
    )
    numbers = [{name: i for i, name in enumerate(names)} for names in (blocks, readers, images)]
    place = tuple(
        np.array([number[getattr(row, name)] for row in rows])
        for number, name in zip(numbers, ("block", "reader", "image"), strict=True)
    )
    of_reader = {row.reader: groups.index(row.group) for row in rows}
    synthetic = np.zeros(len(images), bool)
    synthetic[place[2]] = [row.synthetic for row in rows]

    def filled(name: str) -> np.ndarray:
        array = np.full((len(blocks), len(readers), len(images)), np.nan)
        array[place] = [getattr(row, name) for row in rows]
        return array

    return Answers(
        readers=tuple(readers),
        groups=tuple(groups),
        blocks=tuple(blocks),
        images=tuple(images),
        group_of=np.array([of_reader[name] for name in readers]),
        synthetic=synthetic,
        calls=filled("call"),
        confidence=filled("confidence"),
        seconds=filled("seconds"),
        position=filled("position"),
    )
