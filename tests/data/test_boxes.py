from pathlib import Path

import numpy as np
import pytest

from radcommons.data.boxes import read_boxes
from radcommons.errors import TableRefused

HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"  # as NIH wrote it


def write(folder: Path, *rows: str) -> Path:
    path = folder / "BBox_List_2017.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_the_list_of_nih_is_read_with_its_header_and_its_name_for_infiltration(tmp_path: Path) -> None:
    rows = ["00000001_000.png,Infiltrate,0,512,256,512,,,", "00000002_000.png,Mass,100.5,200,50,60,,,"]
    boxes = read_boxes(write(tmp_path, *rows))
    assert list(boxes.by_finding) == ["Infiltration", "Mass"]
    assert boxes.by_finding["Mass"].tolist() == [[100.5, 200, 50, 60]]


def test_a_heat_map_is_the_share_of_boxes_over_each_pixel_in_x_and_y(tmp_path: Path) -> None:
    boxes = read_boxes(write(tmp_path, "a,Mass,0,512,256,512", "b,Mass,0,768,512,256"))
    heat = boxes.heat_map("Mass", 4)  # a pixel is 256 wide: x from the left, y from the top
    assert heat.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0], [1, 0.5, 0, 0]]


def test_a_pixel_covered_in_part_counts_in_part(tmp_path: Path) -> None:
    heat = read_boxes(write(tmp_path, "a,Mass,128,0,256,64")).heat_map("Mass", 4)
    assert heat[0].tolist() == [0.125, 0.125, 0, 0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,Mass,900,0,300,10", "line 2: the box is empty or not within 1024 x 1024 pixels"),
        ("a,Mass,10,10,0,10", "line 2: the box is empty"),
        ("a,Mass,ten,10,5,10", "line 2: column 'Bbox [x' is not a number"),
        ("a,Masss,10,10,5,10", "line 2: the finding is not in the vocabulary"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_never_by_its_image(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(TableRefused) as error:
        read_boxes(write(tmp_path, row.replace("a,", "00013118_008.png,", 1)))
    assert said in str(error.value) and "00013118" not in str(error.value)


def test_a_table_without_boxes_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,Finding Label\na,Mass\n")
    with pytest.raises(TableRefused, match="no column for the box's left edge"):
        read_boxes(path)


@pytest.mark.real
def test_the_real_list_has_eight_findings_and_hearts_right_of_the_middle_of_the_film(shared_data: Path) -> None:
    boxes = read_boxes(shared_data / "nih" / "BBox_List_2017.csv.gz")
    assert {name: len(rows) for name, rows in boxes.by_finding.items()} == {
        "Atelectasis": 180, "Cardiomegaly": 146, "Effusion": 153, "Infiltration": 123,
        "Mass": 85, "Nodule": 79, "Pneumonia": 120, "Pneumothorax": 98,
    }  # fmt: skip
    heart = boxes.heat_map("Cardiomegaly", 64)
    across = (heart.sum(axis=0) * np.arange(64)).sum() / heart.sum()
    down = (heart.sum(axis=1) * np.arange(64)).sum() / heart.sum()
    assert 32 < across < 40 and 36 < down < 48  # the patient's left is on the film's right; below the middle
