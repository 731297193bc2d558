import gzip
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radcommons.data.listing import Candidate, Listing
from radcommons.data.sources.tables import read_table
from radcommons.data.split import part_by_hash, parts_by_hash, read_split_files, shared_patients, with_split
from radcommons.errors import BadInput, PathMissing, TableRefused

GOLDEN = ["test", "train", "test", "train", "train", "test", "test", "train", "val", "train"]


def listing_of(*pairs):
    """A listing of (image, patient) pairs."""
    candidates = [Candidate(n + 2, Path(image), patient, image, (0,)) for n, (image, patient) in enumerate(pairs)]
    return Listing("table", ("Mass",), candidates)


def parts(listing):
    return {c.image: c.part for c in listing.candidates}


def test_the_hash_is_fixed_for_ever():
    """Golden values: a store split by an earlier version has to keep its parts."""
    assert [part_by_hash(str(n), salt="golden") for n in range(10)] == GOLDEN


@given(patient=st.text(), salt=st.text())
def test_a_part_depends_on_patient_and_salt_only(patient, salt):
    first = part_by_hash(patient, salt=salt)
    assert first == part_by_hash(patient, salt=salt) == parts_by_hash(["other", patient], salt=salt)[1]


@given(patient=st.text())
def test_a_share_of_nought_is_never_drawn(patient):
    assert part_by_hash(patient, salt="", fractions=(1, 0, 0)) == "train"
    assert part_by_hash(patient, salt="", fractions=(0, 1, 0)) == "val"
    assert part_by_hash(patient, salt="", fractions=(0, 0, 1)) == "test"
    assert part_by_hash(patient, salt="", fractions=(0.5, 0, 0.5)) != "val"
    assert part_by_hash(patient, salt="", fractions=(7 / 8, 1 / 8, 0)) != "test"


def test_shares_are_kept_and_another_salt_splits_independently():
    patients = [f"p{n}" for n in range(20_000)]
    first, second = parts_by_hash(patients, salt="a"), parts_by_hash(patients, salt="b")
    for part, share in zip(("train", "val", "test"), (0.7, 0.1, 0.2), strict=True):
        assert first.count(part) / 20_000 == pytest.approx(share, abs=0.01)
    agree = sum(a == b for a, b in zip(first, second, strict=True)) / 20_000
    assert agree == pytest.approx(0.7**2 + 0.1**2 + 0.2**2, abs=0.015)


def test_without_lists_the_hash_splits_by_patient():
    listing = listing_of(*((f"{n}.png", f"p{n % 40}") for n in range(200)))
    split = with_split(listing, None, salt="s")
    assert shared_patients((c.patient, c.part) for c in split.candidates) == 0
    assert {c.part for c in split.candidates} == {"train", "val", "test"}


def test_lists_give_the_part_by_stem_and_the_rest_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("a.png\n\n")
    (tmp_path / "test_list.txt.gz").write_bytes(gzip.compress(b"b.png\n"))
    (tmp_path / "my_valid.txt").write_text("images/c\n")
    lists = read_split_files(sorted(tmp_path.iterdir()))
    split = with_split(listing_of(("a.jpg", "1"), ("b.png", "2"), ("x/c.png", "3"), ("d.png", "4")), lists, salt="s")
    assert parts(split) == {"a.jpg": "train", "b.png": "test", "x/c.png": "val"}
    assert [(r.row, r.image, r.reason) for r in split.refusals] == [(5, "d.png", "not in the split lists")]


def test_films_of_one_name_in_many_folders_are_told_apart_by_their_path(tmp_path):
    names = [f"CheXpert/train/patient{n}/study1/view1_frontal.jpg" for n in range(20)]
    (tmp_path / "test_list.txt").write_text(
        "patient3/study1/view1_frontal.jpg\ntrain/patient5/study1/view1_frontal.jpg"
    )
    split = with_split(
        listing_of(*((name, f"p{n}") for n, name in enumerate(names))),
        read_split_files([tmp_path / "test_list.txt"]),
        salt="s",
    )
    assert {image for image, part in parts(split).items() if part == "test"} == {names[3], names[5]}


def test_train_and_val_lists_are_divided_by_patient_seven_to_one(tmp_path):
    names = [f"{n}.png" for n in range(4000)]
    (tmp_path / "train_val_list.txt").write_text("\n".join(names))
    lists = read_split_files([tmp_path / "train_val_list.txt"])
    split = with_split(listing_of(*((name, f"p{n // 2}") for n, name in enumerate(names))), lists, salt="s")
    counts = Counter(c.part for c in split.candidates)
    assert set(counts) == {"train", "val"} and counts["val"] / 4000 == pytest.approx(1 / 8, abs=0.025)
    assert shared_patients((c.patient, c.part) for c in split.candidates) == 0


def test_a_test_list_alone_leaves_the_others_to_train_and_val(tmp_path):
    (tmp_path / "test.txt").write_text("0.png\n1.png")
    lists = read_split_files([tmp_path / "test.txt"])
    split = with_split(listing_of(*((f"{n}.png", f"p{n}") for n in range(100))), lists, salt="s")
    assert {image for image, part in parts(split).items() if part == "test"} == {"0.png", "1.png"}
    assert not split.refusals and {"train", "val"} < set(parts(split).values())


def test_a_csv_of_images_and_parts_is_a_list(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("image,split\na.png,Train\nb.png,validation\nc.png,TEST\n")
    split = with_split(listing_of(("a", "1"), ("b", "2"), ("c", "3")), read_split_files([path]), salt="s")
    assert parts(split) == {"a": "train", "b": "val", "c": "test"}
    path.write_text("image,split\na.png,train\nb.png,trian\n")
    with pytest.raises(
        TableRefused, match=r"split.csv line 3: column 'split' does not name a part; the nearest is 'train'"
    ):
        read_split_files([path])


def test_a_patient_in_two_parts_is_an_error_with_the_count(tmp_path):
    (tmp_path / "train.txt").write_text("a.png\nb.png\nc.png")
    (tmp_path / "test.txt").write_text("d.png\ne.png")
    lists = read_split_files([tmp_path / "train.txt", tmp_path / "test.txt"])
    with pytest.raises(BadInput, match="put 1 patients in two parts"):
        with_split(listing_of(("a.png", "one"), ("d.png", "one"), ("e.png", "two")), lists, salt="s")


def test_lists_that_cannot_be_used_say_why(tmp_path):
    for name, content, error, words in (
        ("train.txt", b"", TableRefused, "names no image"),
        ("test.txt", b"\xff\xfe", TableRefused, "not a text file"),
        ("list.txt", b"a", TableRefused, "must say which part it lists"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=words):
            read_split_files([tmp_path / name])
    with pytest.raises(PathMissing, match="does not exist"):
        read_split_files([tmp_path / "val.txt"])
    (tmp_path / "train.txt").write_text("a.png")
    (tmp_path / "test.txt").write_text("a.jpg")
    with pytest.raises(BadInput, match="1 images are in two parts"):
        read_split_files([tmp_path / "train.txt", tmp_path / "test.txt"])


def test_shared_patients_are_counted():
    assert shared_patients([("a", "train"), ("a", "train"), ("b", "train"), ("b", "test"), ("c", "val")]) == 1


@pytest.fixture(scope="module")
def nih_table(shared_data):
    table = read_table(shared_data / "nih" / "Data_Entry_2017_v2020.csv.gz")
    return pl.DataFrame({"image": table.cells("Image Index"), "patient": table.cells("Patient ID")})


@pytest.mark.real
def test_the_complete_nih_table_splits_seventy_ten_twenty_without_a_shared_patient(nih_table):
    patients = nih_table["patient"].to_list()
    assert len(patients) == 112_120 and len(set(patients)) == 30_805
    found = parts_by_hash(patients, salt="radcommons")
    assert shared_patients(zip(patients, found, strict=True)) == 0
    of_images, of_patients = Counter(found), Counter(dict(zip(patients, found, strict=True)).values())
    for part, share in zip(("train", "val", "test"), (0.7, 0.1, 0.2), strict=True):
        assert of_patients[part] / 30_805 == pytest.approx(share, abs=0.01)
        assert of_images[part] / 112_120 == pytest.approx(share, abs=0.02)


@pytest.mark.real
def test_the_official_nih_lists_share_no_patient_and_cover_the_table(nih_table, shared_data):
    lists = read_split_files(sorted((shared_data / "nih" / "nih_split_lists").iterdir()))
    split = with_split(listing_of(*nih_table.iter_rows()), lists, salt="radcommons")
    counts = Counter(c.part for c in split.candidates)
    assert not split.refusals and counts["test"] == 25_596 and counts["train"] + counts["val"] == 86_524
    assert shared_patients((c.patient, c.part) for c in split.candidates) == 0
    assert counts["val"] / 86_524 == pytest.approx(1 / 8, abs=0.01)
