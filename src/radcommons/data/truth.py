"""Where findings are known to sit: boxes that radiologists drew around findings of NIH ChestX-ray14
(``BBox_List_2017.csv``), and the regions of a simulated hospital (``truth.npz``).

Boxes are pooled over patients: the module never returns which patient a box belongs to.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from radcommons.data.sources.tables import Table, Wanted, read_table
from radcommons.data.store import Store
from radcommons.data.store_folder import TRUTH_FILE
from radcommons.errors import StoreRefused, TableRefused
from radcommons.files import read_arrays
from radcommons.findings import canonical_or_none

FILM_SIDE = 1024  # side of the films of the coordinates, pixels; square, so cropping and padding change nothing
# The header is written without quotation marks: 'Bbox [x,y,w,h]' makes four columns.
COLUMNS = (
    Wanted("finding", ("finding label", "finding", "label")),
    Wanted("box's left edge", ("bbox [x", "x")),
    Wanted("box's upper edge", ("y",)),
    Wanted("box's width", ("w", "width")),
    Wanted("box's height", ("h]", "h", "height")),
)
OF_THE_LIST = {"Infiltrate": "Infiltration"}


@dataclass(frozen=True)
class Boxes:
    """Boxes of each finding, float64 (n, 4): left, top, width, height in pixels of a film of 1024 x 1024."""

    by_finding: dict[str, np.ndarray]

    def heat_map(self, finding: str, side: int) -> np.ndarray:
        """Share of a finding's boxes that cover each pixel, float64 (side, side) in [0, 1].

        A pixel that a box covers partly counts partly.
        """
        edges = np.arange(side + 1) * (FILM_SIDE / side)
        heat = np.zeros((side, side))
        boxes = self.by_finding[finding]
        for left, top, width, height in boxes:
            across, down = (_covered(edges, start, start + length) for start, length in ((left, width), (top, height)))
            heat += down[:, None] * across
        return heat / len(boxes)


def read_boxes(path: Path) -> Boxes:
    """Read a list of boxes, CSV, gzipped or not.

    Raises:
        PathMissing.
        TableRefused: a column is missing, a finding unknown or a box outside the film; the message gives the line.
    """
    table = read_table(path)
    finding, *numbers = table.require(*COLUMNS)
    boxes = np.stack([_numbers(table, column) for column in numbers], axis=1)
    outside = (boxes < 0).any(axis=1) | (boxes[:, 2:] == 0).any(axis=1)
    outside |= (boxes[:, :2] + boxes[:, 2:] > FILM_SIDE + 1).any(axis=1)
    if outside.any():
        line = table.lines[int(np.flatnonzero(outside)[0])]
        raise TableRefused(
            f"{table.name} line {line}: the box is empty or not within {FILM_SIDE} x {FILM_SIDE} pixels; "
            f"coordinates belong to the original films of that size"
        )
    names = []
    for line, cell in zip(table.lines, table.cells(finding), strict=True):
        name = canonical_or_none(OF_THE_LIST.get(cell, cell))
        if name is None:
            raise TableRefused(f"{table.name} line {line}: the finding is not in the vocabulary")
        names.append(name)
    kinds = np.array(names)
    return Boxes({name: boxes[kinds == name] for name in dict.fromkeys(names)})


def _numbers(table: Table, column: str) -> np.ndarray:
    values = np.empty(len(table.lines))
    for place, (line, cell) in enumerate(zip(table.lines, table.cells(column), strict=True)):
        try:
            values[place] = float(cell)
        except ValueError:
            values[place] = np.nan
        if not np.isfinite(values[place]):
            raise TableRefused(f"{table.name} line {line}: column '{column}' is not a number")
    return values


def _covered(edges: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Share of each pixel between `edges` (n + 1,) that start ... stop covers, (n,) in [0, 1]."""
    covered: np.ndarray = np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
    return covered / np.diff(edges)


def read_truth(store: Store, side: int) -> dict[str, np.ndarray]:
    """For each finding, the share of its simulated films in which it covers each pixel, float64 (side, side).

    Raises:
        StoreRefused: the store has real films, for which nobody knows the truth, or the file is damaged.
    """
    path = store.path / TRUTH_FILE
    if not path.is_file():
        raise StoreRefused(
            f"{store.path} is not a simulated hospital: it has no {TRUTH_FILE}; "
            "for films of NIH ChestX-ray14 pass --boxes BBox_List_2017.csv, or leave --store out"
        )
    heats = read_arrays(path)
    if heats is None:
        raise StoreRefused(f"{path} is damaged; simulate the hospital again, to a new folder")
    return {name: _resized(heat, side) for name, heat in heats.items() if heat.any()}


def _resized(heat: np.ndarray, side: int) -> np.ndarray:
    """A map of shares, (T, T), at another side: averaged if reduced, linear if enlarged."""
    if len(heat) == side:
        return heat.astype(np.float64)
    way = cv2.INTER_AREA if side < len(heat) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(heat.astype(np.float64), (side, side), interpolation=way), np.float64)
