from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest
from radcommons.data.sources.table import list_table
from radcommons.data.store import Store
from radcommons.data.truth import read_boxes, read_truth
from radcommons.errors import StoreRefused, TableRefused

HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"  # as NIH wrote it


def test_a_phantoms_regions_are_those_of_its_file_at_any_side(phantom_store: Store) -> None:
    with np.load(phantom_store.path / "truth.npz") as file:
        heart = file["Cardiomegaly"]
    assert np.array_equal(read_truth(phantom_store, 32)["Cardiomegaly"], heart)
    smaller = read_truth(phantom_store, 16)["Cardiomegaly"]
    assert np.allclose(smaller, heart.reshape(16, 2, 16, 2).mean(axis=(1, 3)))
    assert read_truth(phantom_store, 64)["Cardiomegaly"].shape == (64, 64)


def test_a_store_of_films_has_no_truth_and_the_message_says_what_to_pass(film_table, tmp_path: Path) -> None:
    folder = film_table(tmp_path / "films")
    ingest(list_table([folder]), tmp_path / "store", name="films", resolution=32)
    with pytest.raises(StoreRefused, match="not a simulated hospital.*--boxes BBox_List_2017.csv"):
        read_truth(Store.open(tmp_path / "store"), 32)


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut", b""])
def test_a_damaged_truth_is_refused(phantom_store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "truth.npz").write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged"):
        read_truth(Store(tmp_path, phantom_store.record), 32)


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
