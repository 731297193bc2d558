"""Reader studies that are made up: who answers what is known."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

COLUMNS = ("reader", "group", "block", "position", "image", "truth", "answer", "confidence", "seconds")
Line = Sequence[object]


@pytest.fixture(scope="session")
def simulate() -> Callable[..., list[Line]]:
    """Lines of answers of readers, given by group as (sensitivity, specificity, change of both until the last image).

    All readers of a block see the same images, half of them synthetic, each in an order of their own. `late` is the
    share of answers that time out.
    """

    def lines(
        groups: Mapping[str, Sequence[tuple[float, float, float]]],
        *,
        blocks: Sequence[str] = ("256",),
        images: int = 100,
        late: float = 0.0,
        confident: bool = True,
        seed: int = 0,
    ) -> list[Line]:
        rng = np.random.default_rng(seed)
        found: list[Line] = []
        for block in blocks:
            for group, readers in groups.items():
                for number, (sensitivity, specificity, change) in enumerate(readers):
                    for position, image in enumerate(rng.permutation(images)):
                        synthetic = bool(image % 2)
                        share = (sensitivity if synthetic else specificity) + change * position / (images - 1)
                        right, is_late = rng.random() < share, rng.random() < late
                        truth = "synthetic" if synthetic else "real"
                        call = truth if right else "real" if synthetic else "synthetic"
                        confidence = rng.integers(3 if right else 1, 6) if confident and not is_late else ""
                        found.append((
                            f"{group}-{number}", group, block, position + 1, f"{block}-{image}", truth,
                            "timed out" if is_late else call, confidence, 30 if is_late else 10 + number,
                        ))  # fmt: skip
        return found

    return lines


@pytest.fixture
def write_answers(tmp_path: Path) -> Callable[..., Path]:
    """Write lines as a file of answers and return its path."""

    def write(lines: Sequence[Line], *, columns: Sequence[str] = COLUMNS, separator: str = ",") -> Path:
        path = tmp_path / "answers.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=separator).writerows([columns, *lines])
        return path

    return write
