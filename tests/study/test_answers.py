import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import PathMissing, TableRefused
from radcommons.study.answers import Answers, read_answers

TWO = [
    ("anna", "radiologists", "256", 1, "a", "real", "real", 4, 8.5),
    ("anna", "radiologists", "256", 2, "b", "synthetic", "timed out", "", 30),
    ("ben", "computer vision", "256", 2, "a", "real", "synthetic", 2, ""),
    ("ben", "computer vision", "256", 1, "b", "synthetic", "synthetic", 5, 3),
]


def refusal(path: Path) -> str:
    with pytest.raises(TableRefused) as refused:
        read_answers(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_answers_become_arrays_by_block_reader_and_image(write_answers: Callable[..., Path]) -> None:
    second = [("ben", "computer vision", "512", n, image, truth, "real", "", "") for n, image, truth in
              ((1, "b", "synthetic"), (2, "c", "real"))]  # fmt: skip
    found = read_answers(write_answers([*TWO, *second]))
    assert found.readers == ("anna", "ben") and found.groups == ("radiologists", "computer vision")
    assert found.blocks == ("256", "512") and found.images == ("a", "b", "c")
    assert found.synthetic.tolist() == [False, True, False] and found.group_of.tolist() == [0, 1]
    assert np.array_equal(found.calls[0], [[0, 0.5, np.nan], [1, 1, np.nan]], equal_nan=True)
    assert np.array_equal(found.calls[1], [[np.nan] * 3, [np.nan, 0, 0]], equal_nan=True)
    assert found.position[0, 1, :2].tolist() == [2, 1] and found.seconds[0, 0, :2].tolist() == [8.5, 30]


@pytest.mark.parametrize(
    ("way", "right", "scores"),
    [
        ("half", [1, 0.5, 0, 1], [-4, 0, 2, 5]),
        ("wrong", [1, 0, 0, 1], [-4, 0, 2, 5]),
        ("excluded", [1, np.nan, 0, 1], [-4, np.nan, 2, 5]),
    ],
)
def test_a_timed_out_answer_counts_as_was_asked_for(
    write_answers: Callable[..., Path], way: str, right: list[float], scores: list[float]
) -> None:
    found: Answers = read_answers(write_answers(TWO))
    assert np.array_equal(found.right(way)[0].ravel(), right, equal_nan=True)  # type: ignore[arg-type]
    assert np.array_equal(found.scores(way)[0].ravel(), scores, equal_nan=True)  # type: ignore[arg-type]


def test_semicolons_a_byte_order_mark_capitals_and_further_columns_are_read(
    write_answers: Callable[..., Path],
) -> None:
    columns = ("Reader", "Group", "Block", "Position", "Image", "Truth", "Answer", "Confidence", "Seconds", "comment")
    path = write_answers([(*line, "x") for line in TWO], columns=columns, separator=";")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"timed out", b"Timed_Out"))
    assert read_answers(path).readers == ("anna", "ben")


def test_confidence_and_time_may_have_no_column(write_answers: Callable[..., Path]) -> None:
    found = read_answers(write_answers([line[:7] for line in TWO], columns=("reader", "group", "block", "position",
                                                                           "image", "truth", "answer")))  # fmt: skip
    assert np.isnan(found.confidence).all() and np.isnan(found.seconds).all()


def changed(line: int, **cells: object) -> list[tuple[object, ...]]:
    names = ("reader", "group", "block", "position", "image", "truth", "answer", "confidence", "seconds")
    lines = [dict(zip(names, one, strict=True)) for one in TWO]
    lines[line].update(cells)
    return [tuple(one.values()) for one in lines]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (changed(0, truth="fake"), "line 2: truth must be real or synthetic"),
        (changed(1, answer="?"), "line 3: answer must be real, synthetic or timed out"),
        (changed(2, confidence=6), "line 4: confidence must be a whole number from 1 to 5, or empty"),
        (changed(2, confidence="sure"), "line 4: confidence must be a whole number from 1 to 5, or empty"),
        (changed(3, seconds=-1), "line 5: seconds must be a number from 0 on, or empty"),
        (changed(3, seconds="inf"), "line 5: seconds must be a number from 0 on, or empty"),
        (changed(3, position="nan"), "line 5: position must be a whole number from 1 on"),
        (changed(3, position=1.5), "line 5: position must be a whole number from 1 on"),
        (changed(3, reader=" ", image=""), "line 5: reader and image must not be empty"),
        (changed(1, image="a", truth="real"), "line 3: this reader has already answered this image"),
        (changed(0, group="all readers"), "line 2: 'all readers' cannot be the name of a group; choose another"),
        (changed(1, position=1), "line 3: this reader has another image at this position, in line 2"),
        (changed(2, truth="synthetic"), "line 4: this image has another truth in line 2"),
        (changed(3, group="radiologists"), "line 5: this reader is of another group in line 4"),
        (TWO[:3], "line 4: this reader saw only real images in this block; leave the block out"),
        ([TWO[1], TWO[3]], "line 2: this reader saw only synthetic images in this block; leave the block out"),
    ],
)  # fmt: skip
def test_what_cannot_be_analysed_is_named_by_line(
    write_answers: Callable[..., Path], lines: list[tuple[object, ...]], said: str
) -> None:
    assert said in refusal(write_answers(lines))


def test_many_faults_are_a_few_and_a_number(write_answers: Callable[..., Path]) -> None:
    lines = [("r", "g", "b", n, n, "fake", "real", "", "") for n in range(1, 10)]
    assert refusal(write_answers(lines)).endswith("line 6: truth must be real or synthetic; and 4 more")


def test_no_message_holds_the_content_of_a_cell(write_answers: Callable[..., Path]) -> None:
    lines = changed(0, truth="Mueller", answer="Mueller", confidence="Mueller", position="Mueller", seconds="Mueller")
    assert "Mueller" not in refusal(write_answers(lines))
    assert "Mueller" not in refusal(write_answers(changed(1, image="Mueller", truth="real")[:2]))
    assert "Mueller" not in refusal(write_answers([("x",) * 9], columns=("Mueller",) * 9))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "answers.csv is empty"),
        (b"\n \n", "answers.csv is empty"),
        (b"reader,group,block,position,image,truth,answer\n\n", "answers.csv has no answers"),
        (b"reader,group,block,position,image,truth\n", "answers.csv has no column 'answer'; its first line must name"),
        (b"reader,reader,group,block,position,image,truth,answer\n", "answers.csv has more than one column 'reader'"),
        (
            b"reader,group,block,position,image,truth,answer\n" + b"a" * 200_000,
            "line 2: a cell is not closed or is too long",
        ),
        (b"\xff\xfe\x00", "answers.csv is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_table_of_answers_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "answers.csv").write_bytes(content)
    assert re.search(re.escape(said), refusal(tmp_path / "answers.csv"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"gone\.csv does not exist"):
        read_answers(tmp_path / "gone.csv")
