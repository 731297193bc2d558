"""Tables as people have them, and the lines that an editor shows."""

import csv
import gzip
from pathlib import Path

import pytest

from radcommons.data.sources.csv_text import ROWS_AT_ONCE, read_csv
from radcommons.data.sources.tables import read_table
from radcommons.errors import TableRefused

HEADER = ["image", "patient", "Mass"]


@pytest.fixture
def read(tmp_path: Path):
    """Header, lines and columns of a file with this content."""

    def reading(content: str | bytes):
        path = tmp_path / "labels.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        found = read_csv(path)
        return found.header, found.lines, list(zip(*found.columns, strict=True))

    return reading


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_separator_line_end_and_encoding_gives_the_same_table(read, separator, end, encoding):
    rows = [HEADER, ["1.png", "Müller", "1"], ["2.png", "Weiß", "0"]]
    text = end.join(separator.join(row) for row in rows) + end
    content = b"\xff\xfe" + text.encode(encoding) if encoding == "utf-16-le" else text.encode(encoding)
    for written in (content, gzip.compress(content)):
        assert read(written) == (HEADER, [2, 3], [tuple(row) for row in rows[1:]])


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;", "\n\nsep=;", "sep=;;;"])
def test_the_separator_that_excel_writes_into_the_first_line_is_used(read, first):
    lines_before = first.count("\n") + 1
    found = read(f"{first}\nimage;patient;Mass,left\n1.png;a,b;1,0\n")
    assert found == (["image", "patient", "Mass,left"], [lines_before + 2], [("1.png", "a,b", "1,0")])


def test_a_tab_may_be_the_separator_that_excel_names(read):
    assert read("sep=\t\nimage\tpatient\n1.png\ta,b\n") == (["image", "patient"], [3], [("1.png", "a,b")])


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        ('5" film', '5" film'),
        ('the "left" lung', 'the "left" lung'),
        ('"left" lung', "left lung"),
        ('"he said ""no"""', 'he said "no"'),
        ('"a, b"', "a, b"),
        (' "a, b"', "a, b"),
        ('""', ""),
        ("it's", "it's"),
    ],
)
def test_quotation_marks_inside_a_cell_are_text(read, cell, read_as):
    assert read(f"image,patient,report\n1.png,a,x\n2.png,b,{cell}\n3.png,c,z\n")[2] == [
        ("1.png", "a", "x"), ("2.png", "b", read_as), ("3.png", "c", "z"),
    ]  # fmt: skip


def test_a_row_has_the_line_that_an_editor_shows(read):
    text = 'image,"pat\nient",report\n1.png,a,"one\ntwo\n\nfour"\n\n2.png,b,x\n,,\n  \n3.png,"c\nd",y\n4.png,e,\n'
    header, lines, rows = read("\n,,\n" + text)
    assert header == ["image", "pat\nient", "report"] and [row[0] for row in rows] == [f"{n}.png" for n in range(1, 5)]
    in_editor = ("\n,,\n" + text).split("\n")
    assert [in_editor[line - 1].partition(",")[0] for line in lines] == [row[0] for row in rows]
    assert rows[0][2] == "one\ntwo\n\nfour"
    assert read(text.replace("\n", "\r\n"))[1] == [line - 2 for line in lines]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('1.png,a,1\n2.png,"b,1\n3.png,c,1\n', 3),  # never closed
        ('1.png,a,1\n2.png,b,"1', 3),  # cut off
        ('1.png,"a,1\n2.png,"b,1\n3.png,c,1\n', 2),  # the second opening mark closes the first: a row would be lost
        ('1.png,a,1\n2.png,"b"x,1,2\n', 3),  # text after the marks, and a field too many
        ("1.png,a,1\n2.png,b,1,Doe\n", 3),
    ],
)
def test_what_would_lose_or_shift_a_row_is_refused_with_its_line(read, rows, line):
    with pytest.raises(TableRefused, match=rf"^labels\.csv line {line}[ :]") as caught:
        read(f"image,patient,Mass\n{rows}")
    assert "Doe" not in str(caught.value)


def test_short_rows_are_filled_and_trailing_separators_left_out(read):
    found = read("image,patient,Mass,,\n1.png,a,1,,,,,\n2.png,b\n3.png,c,0,note\n")
    rows = [("1.png", "a", "1", "", ""), ("2.png", "b", "", "", ""), ("3.png", "c", "0", "note", "")]
    assert found == ([*HEADER, "", ""], [2, 3, 4], rows)


def test_the_header_repeated_is_left_out_and_another_order_refused(read):
    assert read("image,patient,Mass\n1.png,a,1\nimage,patient,Mass\n2.png,b,0\n")[1] == [2, 4]
    with pytest.raises(TableRefused, match="line 3: the header is repeated with its columns in another order"):
        read("image,patient,Mass\n1.png,a,1\npatient,image,Mass\nb,2.png,0\n")


def test_a_cell_of_a_million_characters_is_read_and_the_limit_of_others_stays(read):
    before = csv.field_size_limit()
    assert len(read(f"image,report\n1.png,{'x' * 1_000_000}\n")[2][0][1]) == 1_000_000
    assert csv.field_size_limit() == before


def test_more_rows_than_are_turned_at_once_stay_in_order(read):
    count = 2 * ROWS_AT_ONCE + 3
    _, lines, rows = read("image,patient\n" + "".join(f"{n}.png,p{n}\n" for n in range(count)))
    assert lines == list(range(2, count + 2)) and rows == [(f"{n}.png", f"p{n}") for n in range(count)]


def test_bytes_of_another_encoding_never_make_two_patients_one(read):
    names = [bytes([b"A"[0], byte]) for byte in range(0x80, 0x100)] + [b"\xc3\xbc", b"\xfc", b"A"]
    found = read(b"patient,x\n" + b"".join(name + b",1\n" for name in names))
    assert len({row[0] for row in found[2]}) == len(names)


def test_known_columns_that_stand_twice_are_refused_and_unknown_ones_left_out(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("image,patient,note,note,image\n1,2,3,4,5\n")
    with pytest.raises(TableRefused, match=r"1 columns have the same name as another: 'image'$"):
        read_table(path)
    path.write_text("image,patient,note,note,\n1,2,3,4,5\n")
    assert read_table(path).cells("image") == ["1"]
