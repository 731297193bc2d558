"""Which file a cell means."""

import os
from pathlib import Path

import pytest

from radcommons.data.sources.file_names import DISAGREE, DUPLICATE, FileNames, repeated
from radcommons.data.sources.image_files import walk

FILES = ["a/1.png", "a/2.png", "b/1.png", "b/3.PNG", "b/4.jpg", "b/4.png", "5", "1.2.840.7", "c/d/6.dcm"]


@pytest.mark.parametrize(
    ("cell", "files"),
    [
        ("a/1.png", ["a/1.png"]),
        ("./a/1.png", ["a/1.png"]),
        ("a/./1", ["a/1.png"]),
        ("x/../a/1", ["a/1.png"]),
        ("A\\1.PNG", ["a/1.png"]),
        ("/mnt/export/a/1.dcm", ["a/1.png"]),
        ("D:\\export\\a\\1.tif", ["a/1.png"]),
        ("1.png", ["a/1.png", "b/1.png"]),
        ("2", ["a/2.png"]),
        ("3.png", ["b/3.PNG"]),
        ("4", ["b/4.jpg", "b/4.png"]),
        ("4.png", ["b/4.png"]),
        ("4.JPG", ["b/4.jpg"]),
        ("5", ["5"]),
        ("1.2.840.7", ["1.2.840.7"]),
        ("d/6", ["c/d/6.dcm"]),
        ("a/3.png", []),  # that of another folder
        ("x/6.dcm", []),
        ("c/6.dcm", []),
        ("11.png", []),
        (".", []),
    ],
)
def test_one_path_has_to_be_the_end_of_the_other(cell: str, files: list[str]) -> None:
    assert [FILES[place] for place in FileNames(FILES).find(cell)] == files


def test_a_film_is_not_given_to_rows_of_two_folders() -> None:
    names = FileNames(["IM0.png", "a/7.png"])
    both = "ambiguous: rows with 2 different paths fit one file"
    assert names.match(["PA0/IM0", "PA1/IM0"]) == [both, both]
    assert names.match(["IM0", "PA1/IM0"]) == [0, both]  # the path of the file itself
    assert names.match(["/x/a/7.png", "", "b/7.png", "a/7"]) == [
        both, "the image cell is blank", "image file is missing", 1,
    ]  # fmt: skip


def test_a_second_row_of_a_file_is_a_duplicate_and_rows_that_disagree_are_refused_all() -> None:
    matched = FileNames(["a/1.png", "2"]).match(["a/1.png", "./A/1", "2"])
    assert matched == [0, 0, 1]
    assert repeated(matched, ["x", "x", "y"]) == {1: DUPLICATE}
    assert repeated(matched, ["x", "y", "y"]) == {0: DISAGREE, 1: DISAGREE}


def test_names_repeated_in_many_folders_are_found_at_once() -> None:
    files = [f"patient{n}/study1/IM0" for n in range(20_000)]  # a search through all IM0 for each would take minutes
    assert FileNames(files).match([f"./{file}" for file in files]) == list(range(20_000))


def test_names_in_another_encoding_are_found() -> None:
    latin = os.fsdecode("Müller.png".encode("cp1252"))
    assert FileNames([latin]).find("Müller.png") == [0]
    assert FileNames(["Mu\u0308ller.png"]).find("Müller") == [0]  # as macOS writes it
    assert FileNames([latin, "Müller.png"]).find("Müller.png") == [1]
    assert FileNames([latin, f"a/{latin}"]).find("a/Müller") == [1]


def test_links_that_lead_in_circles_end_and_a_folder_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "b" / "1.png").touch()
    (tmp_path / "tree" / "0").symlink_to(tmp_path / "tree" / "a")  # walked under its own name, though it comes later
    (tmp_path / "tree" / "a" / "up").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / "itself").symlink_to(tmp_path / "tree" / "itself")
    (tmp_path / "tree" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.png").touch()
    (tmp_path / "tree" / "linked").symlink_to(tmp_path / "elsewhere")
    found = sorted(Path(entry.path).relative_to(tmp_path / "tree").as_posix() for entry in walk(tmp_path / "tree"))
    assert found == ["a/b/1.png", "linked/2.png"]
