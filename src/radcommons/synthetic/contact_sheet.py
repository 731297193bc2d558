"""``contact_sheet.html`` beside a finished set: images of each generator by finding, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.files import write_whole
from radcommons.findings import NO_FINDING
from radcommons.pages import Table, picture, render_page
from radcommons.pictures import SYNTHETIC, contact_sheet
from radcommons.synthetic.reading import SyntheticSet

SHEET = "contact_sheet.html"
COLUMNS = 8
SIDES = 64, 128  # smallest and largest side of an image on the page, CSS pixels


@dataclass(frozen=True, slots=True)
class Block:
    """Images `first` ... `stop` of a set, drawn by one generator.

    Attributes:
        findings: that the generator knows, by their names in the set.
        label_choice: how its labels were chosen, in words.
    """

    name: str
    first: int
    stop: int
    findings: Sequence[str]
    label_choice: str


def write_contact_sheet(folder: Path, blocks: Sequence[Block]) -> None:
    """Write the page of the finished set in a folder."""
    drawn = SyntheticSet.open(folder)
    write_whole(folder / SHEET, render(drawn, blocks))


def render(drawn: SyntheticSet, blocks: Sequence[Block]) -> str:
    """The whole page as HTML."""
    side = min(max(SIDES[0], drawn.resolution), SIDES[1] if len(blocks) == 1 else SIDES[0])
    found = [{name: rows_with(drawn, block, name) for name in (NO_FINDING, *block.findings)} for block in blocks]
    return render_page(
        "contact_sheet.html.j2",
        count=len(drawn),
        resolution=drawn.resolution,
        seed=drawn.provenance["seed"],
        blocks=[
            {
                "name": block.name,
                "images": block.stop - block.first,
                "share": (block.stop - block.first) / len(drawn),
                "label_choice": block.label_choice,
                "sheet": _sheet(drawn, block, of_block, side),
                "names": [name for name, rows in of_block.items() if len(rows)],
            }
            for block, of_block in zip(blocks, found, strict=True)
        ],
        table=_table(drawn, blocks, found),
        unknown=any(finding not in block.findings for block in blocks for finding in drawn.findings),
    )


def rows_with(drawn: SyntheticSet, block: Block, name: str) -> np.ndarray:
    """Numbers of a block's images that show a finding; for "No Finding", those without any that the generator knows."""
    labels = drawn.labels[block.first : block.stop]
    columns = [drawn.findings.index(finding) for finding in block.findings]
    if name in block.findings:  # also "No Finding", where it is a label
        return block.first + np.flatnonzero(labels[:, drawn.findings.index(name)] >= 0.5)
    return block.first + np.flatnonzero((labels[:, columns] < 0.5).all(axis=1))


def _sheet(drawn: SyntheticSet, block: Block, found: dict[str, np.ndarray], side: int) -> str:
    """The first images of each finding that occurs."""
    rows = {name: [drawn.image(int(i)) for i in rows[:COLUMNS]] for name, rows in found.items() if len(rows)}
    sheet = contact_sheet([np.stack(images) for images in rows.values()], list(rows), side=side, title=SYNTHETIC)
    return picture(sheet, f"Synthetic images of {block.name}, one row per finding")


def _table(drawn: SyntheticSet, blocks: Sequence[Block], found: Sequence[dict[str, np.ndarray]]) -> Table:
    """How many images of each generator show each finding."""
    rows = []
    for name in dict.fromkeys((NO_FINDING, *drawn.findings)):
        counts = [len(of_block[name]) if name in of_block else None for of_block in found]
        cells = ["unknown" if count is None else f"{count:,}" for count in counts]
        rows.append([name, *cells, *([f"{sum(filter(None, counts)):,}"] if len(blocks) > 1 else [])])
    heads = ["finding", *(block.name for block in blocks), *(["together"] if len(blocks) > 1 else [])]
    return Table(
        caption="Number of images with each finding",
        heads=heads,
        rows=rows,
        numbers=range(1, len(heads)),
        show_caption=True,
    )
