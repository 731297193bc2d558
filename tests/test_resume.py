"""What a stopped command had worked out is found again; what is damaged, or of another request, is made again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from radcommons.resume import Kept, Rows, record_of


class Score(BaseModel):
    value: float


def never(*_: object) -> None:
    pytest.fail("made again")


def test_what_was_made_once_is_found_and_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", "one")
    assert kept.records("scores", Score, lambda: [Score(value=0.1)]) == [Score(value=0.1)]
    kept.array("features", lambda: np.eye(3))
    kept.put("sums", mean=np.ones(2))
    again = Kept(tmp_path / "kept", "one")
    assert again.records("scores", Score, never) == [Score(value=0.1)]  # type: ignore[arg-type]
    assert np.array_equal(again.array("features", never), np.eye(3))  # type: ignore[arg-type]
    found = again.get("sums")
    assert found is not None and found["mean"].tolist() == [1, 1]
    for path in (tmp_path / "kept").iterdir():
        if path.name != "request":
            path.write_bytes(path.read_bytes()[:-5])
    assert again.records("scores", Score, lambda: [Score(value=0.2)]) == [Score(value=0.2)]
    assert np.array_equal(again.array("features", lambda: np.zeros(3)), np.zeros(3))
    assert again.get("sums") is None
    again.finish()
    assert list(tmp_path.iterdir()) == []


def test_another_request_begins_anew(tmp_path: Path) -> None:
    Kept(tmp_path / "kept", "one").array("features", lambda: np.eye(3))
    assert Kept(tmp_path / "kept", "two").array("features", lambda: np.zeros(3)).tolist() == [0, 0, 0]


def blocks(stop: int, *, asked: list[int]) -> Callable[[int], Iterator[tuple[int, np.ndarray]]]:
    """Rows of three numbers, two at a time, from where they are asked for; stopped at `stop`."""

    def made(start: int) -> Iterator[tuple[int, np.ndarray]]:
        asked.append(start)
        for first in range(start, 7, 2):
            if first >= stop:
                raise KeyboardInterrupt
            yield first, np.arange(3 * first, 3 * min(first + 2, 7)).reshape(-1, 3)

    return made


@pytest.mark.parametrize("cut", [0, 1])
def test_a_growing_array_goes_on_after_its_last_whole_row(tmp_path: Path, cut: int) -> None:
    asked: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        Kept(tmp_path).growing("drawn", (7, 3), blocks(4, asked=asked), np.float32)
    path = tmp_path / "drawn.rows"
    path.write_bytes(path.read_bytes()[: -cut or None])
    for _ in range(2):
        array = Kept(tmp_path).growing("drawn", (7, 3), blocks(99, asked=asked), np.float32)
        assert np.array_equal(array, np.arange(21).reshape(7, 3))
    assert asked == [0, 4 - cut], "what is whole is not made again"


def test_rows_written_again_take_the_place_of_what_came_after(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows", (2,), np.uint8)
    assert len(rows) == 0 and rows.read().shape == (0, 2)
    rows.write(0, np.ones((5, 2)))
    rows.write(3, np.zeros((1, 2)))
    assert rows.read().tolist() == [[1, 1]] * 3 + [[0, 0]]


@pytest.mark.parametrize("text", ['{"digest": "12', "[]", '{"digest": 12}', "{}", '{"digest": "21"}', None])
def test_results_are_done_where_their_record_is_whole_and_of_the_same_digest(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "trial.json"
    if text is not None:
        path.write_text(text)
    assert record_of(path, "12") is None
    path.write_text('{"digest": "12/3"}')
    assert record_of(path, "12") == {"digest": "12/3"}
