import csv
import json
import os
import signal
import sys
from datetime import date
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from radcommons.errors import DiskFull, ImageRefused, PathInUse, PathMissing, SetRefused
from radcommons.folders import alone_in
from radcommons.models.generator import Batch
from radcommons.synthetic import dicom, writing
from radcommons.synthetic.dicom import labels_from_comment
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.writing import SetWriter

FORMATS = ["png", "dicom", "npz"]
FINDINGS = ["Cardiomegaly", "Pleural Thickening", "Effusion"]
GENERATORS = [{"name": "site-a", "digest": "sha256:aa"}, {"name": "site-b", "digest": "sha256:bb"}]
COUNT = 10
REQUEST = {
    "findings": FINDINGS,
    "resolution": 16,
    "count": COUNT,
    "format": "png",
    "seed": 3,
    "generators": GENERATORS,
    "study_date": date(2026, 11, 28),  # of DICOM files only
}


def image(index: int) -> np.ndarray:
    """A small film: a gradient that is different for every index."""
    y, x = np.mgrid[:16, :16]
    return ((7 * x + 3 * y + 11 * index) % 256).astype(np.uint8)


def labels(index: int) -> np.ndarray:
    return np.array([index % 2, 0.1 * index, 1 / 3], np.float32)


def batch(first: int, size: int) -> Batch:
    indices = range(first, min(first + size, COUNT))
    return Batch(
        first,
        np.stack([image(i) for i in indices]),
        np.stack([labels(i) for i in indices]),
    )


def write_set(out: Path, *, size: int = 5, stop: int = COUNT, **changes: object) -> SetWriter:
    """Continue the set in `out` in batches of `size` until `stop` images are done."""
    writer = SetWriter(out, **{**REQUEST, **changes})
    while writer.done < stop:
        # a batch comes from one generator, so it ends where the next generator begins
        boundary = COUNT // 2 if writer.done < COUNT // 2 else COUNT
        writer.write(batch(writer.done, min(size, stop - writer.done, boundary - writer.done)))
    if stop == COUNT:
        writer.finish()
    return writer


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_back_exactly(tmp_path, format):
    write_set(tmp_path / "set", format=format)

    found = SyntheticSet.open(tmp_path / "set")

    assert len(found) == COUNT
    assert found.findings == tuple(FINDINGS)
    assert found.resolution == 16
    assert found.labels.dtype == np.float32
    for i in range(COUNT):
        assert found.image(i).dtype == np.uint8
        assert np.array_equal(found.image(i), image(i))
        assert np.array_equal(found.labels[i], labels(i))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_set_stopped_and_continued_equals_one_written_at_once(tmp_path, format, stop):
    write_set(tmp_path / "at once", format=format)
    write_set(tmp_path / "stopped", format=format, stop=stop, size=3)

    assert not (tmp_path / "stopped/provenance.json").exists()
    assert SetWriter(tmp_path / "stopped", **{**REQUEST, "format": format}).done == stop
    write_set(tmp_path / "stopped", format=format, size=3)

    assert contents(tmp_path / "stopped") == contents(tmp_path / "at once")


@pytest.mark.parametrize("format", FORMATS)
def test_the_batch_size_changes_no_byte(tmp_path, format):
    for size in (1, 2, 5):
        write_set(tmp_path / str(size), format=format, size=size)

    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")


@pytest.mark.parametrize("format", FORMATS)
def test_a_writer_killed_by_the_system_loses_at_most_the_batch_in_hand(tmp_path, format, start):
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from {Path(__file__).stem} import REQUEST, batch
from radcommons.synthetic.writing import SetWriter
writer = SetWriter(Path(sys.argv[1]), **{{**REQUEST, "format": {format!r}}})
writer.write(batch(0, 2))
print("written", flush=True)
while True:
    writer.done = 2
    writer.write(batch(2, 3))
"""
    writing_it = start([sys.executable, "-c", program, tmp_path / "killed"])
    assert writing_it.process.stdout.readline() == "written\n"
    writing_it.signal_all(signal.SIGKILL)
    writing_it.end()

    assert SetWriter(tmp_path / "killed", **{**REQUEST, "format": format}).done in (2, 5)
    write_set(tmp_path / "killed", format=format)
    write_set(tmp_path / "at once", format=format)
    assert contents(tmp_path / "killed") == contents(tmp_path / "at once")


@pytest.mark.parametrize(("format", "last"), [("png", "00000005.png"), ("dicom", "00000005.dcm")])
def test_a_truncated_last_file_is_written_again(tmp_path, format, last):
    write_set(tmp_path / "set", format=format, stop=6)
    damaged = tmp_path / "set/images" / last
    os.truncate(damaged, damaged.stat().st_size - 20)

    assert SetWriter(tmp_path / "set", **{**REQUEST, "format": format}).done == 5
    write_set(tmp_path / "set", format=format)

    assert np.array_equal(SyntheticSet.open(tmp_path / "set").image(5), image(5))


def test_truncated_raw_pixels_of_an_unfinished_npz_are_written_again(tmp_path):
    write_set(tmp_path / "set", format="npz", stop=6)
    raw = tmp_path / "set/.partial/images.raw"
    os.truncate(raw, raw.stat().st_size - 1)

    assert write_set(tmp_path / "set", format="npz", stop=5).done == 5
    write_set(tmp_path / "set", format="npz")

    assert np.array_equal(SyntheticSet.open(tmp_path / "set").image(5), image(5))


def test_a_file_lost_from_the_middle_of_an_unfinished_set_is_written_again(tmp_path):
    write_set(tmp_path / "set", stop=8)
    (tmp_path / "set/images/00000003.png").unlink()

    assert SetWriter(tmp_path / "set", **REQUEST).done == 3


def test_a_stop_between_the_tables_is_made_good(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    writer = write_set(tmp_path / "set", stop=9)
    writer.write(batch(9, 1))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "provenance_json", stopped)
        writer.finish()
    write_set(tmp_path / "set")
    write_set(tmp_path / "at once")

    assert contents(tmp_path / "set") == contents(tmp_path / "at once")


@pytest.mark.parametrize("format", FORMATS)
def test_a_complete_set_asked_for_again_is_left_alone(tmp_path, format):
    write_set(tmp_path, format=format)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}

    writer = SetWriter(tmp_path, **{**REQUEST, "format": format})
    writer.finish()

    assert writer.done == writer.count == COUNT
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("stop", [4, COUNT])
@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 4}, "seed = 3, not 4"),
        ({"count": 11}, "count = 10, not 11"),
        ({"format": "npz"}, "format = png, not npz"),
        ({"resolution": 32}, "resolution = 16, not 32"),
        ({"findings": ["Effusion"]}, 'not ["Effusion"]'),
        ({"generators": GENERATORS[:1]}, "generators = "),
        ({"format": "dicom"}, "format = png, not dicom; study_date = null, not 2026-11-28"),
        ({"label_choice": "balanced"}, "label_choice = training, not balanced"),
    ],
)
def test_another_request_in_the_same_folder_is_refused_naming_the_difference(tmp_path, stop, changes, difference):
    write_set(tmp_path, stop=stop)
    before = contents(tmp_path)

    with pytest.raises(PathInUse) as refused:
        SetWriter(tmp_path, **{**REQUEST, **changes})

    assert difference in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert str(refused.value).count(", not ") == max(1, difference.count(", not "))
    assert "\n" not in str(refused.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "images/patient.png", "provenance.json"])
def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("not ours")

    with pytest.raises(
        PathInUse, match="(already holds something else|provenance.json is damaged); choose another --out"
    ):
        SetWriter(tmp_path, **REQUEST)

    assert contents(tmp_path) == {name: b"not ours"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_text("")
    with pytest.raises(PathInUse, match="is a file; choose another --out"):
        SetWriter(tmp_path / "set", **REQUEST)


def test_a_set_of_another_format_version_is_neither_continued_nor_read(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "provenance.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))

    with pytest.raises(PathInUse, match="was begun with format_version = 2, not 1"):
        SetWriter(tmp_path, **REQUEST)
    with pytest.raises(SetRefused, match="format version 2 and this program reads 1"):
        SyntheticSet.open(tmp_path)


def test_provenance_says_how_every_image_came_about(tmp_path):
    write_set(tmp_path)

    provenance = json.loads((tmp_path / "provenance.json").read_text())

    images = provenance.pop("images")
    assert provenance == {
        "format_version": 1,
        "synthetic": True,
        "format": "png",
        "count": COUNT,
        "resolution": 16,
        "seed": 3,
        "label_choice": "training",
        "findings": FINDINGS,
        "generators": GENERATORS,
    }
    assert SyntheticSet.open(tmp_path).provenance == provenance
    assert [entry["index"] for entry in images] == list(range(COUNT))
    assert [entry["generator"] for entry in images] == [0] * 5 + [1] * 5
    for i, entry in enumerate(images):
        assert np.array_equal(np.array(entry["labels"], np.float32), labels(i))
        assert np.array_equal(np.asarray(Image.open(tmp_path / entry["file"])), image(i))


def test_provenance_indented_by_another_program_is_still_read(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "provenance.json"
    for indent in (None, 4):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
        assert SyntheticSet.open(tmp_path).provenance["seed"] == 3


def test_the_label_table_has_a_column_a_finding_and_integers_for_present_and_absent(tmp_path):
    write_set(tmp_path)

    with (tmp_path / "labels.csv").open(newline="") as file:
        header, *rows = csv.reader(file)

    assert header == ["image", *FINDINGS]
    assert rows[0] == ["images/00000000.png", "0", "0", "0.33333334"]
    assert rows[5] == ["images/00000005.png", "1", "0.5", "0.33333334"]


def test_unknown_labels_are_empty_cells_and_read_back_as_unknown(tmp_path):
    whole = np.stack([labels(i) for i in range(COUNT)])
    whole[3] = np.nan
    whole[7, [0, 2]] = np.nan
    writer = SetWriter(tmp_path, **REQUEST)
    writer.write(Batch(0, np.stack([image(i) for i in range(COUNT)]), whole))
    writer.finish()

    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[4] == "images/00000003.png,,," and lines[8] == "images/00000007.png,,0.7,"
    assert np.array_equal(SyntheticSet.open(tmp_path).labels, whole, equal_nan=True)
    assert dict(json.loads((tmp_path / "dataset.json").read_text())["labels"])["images/00000007.png"] == [
        None,
        0.7,
        None,
    ]


def test_generators_may_draw_unequal_parts(tmp_path):
    writer = write_set(tmp_path, generators=[{**GENERATORS[0], "images": 3}, {**GENERATORS[1], "images": 7}])

    assert writer.done == COUNT
    images = json.loads((tmp_path / "provenance.json").read_text())["images"]
    assert [entry["generator"] for entry in images] == [0] * 3 + [1] * 7


def test_the_stylegan_file_gives_every_image_its_label_vector(tmp_path):
    write_set(tmp_path)

    pairs = dict(json.loads((tmp_path / "dataset.json").read_text())["labels"])

    assert set(pairs) == {str(p.relative_to(tmp_path)) for p in (tmp_path / "images").iterdir()}
    assert pairs["images/00000005.png"] == [1, 0.5, 0.33333334]


def test_a_png_says_that_it_is_synthetic(tmp_path):
    write_set(tmp_path)
    with Image.open(tmp_path / "images/00000002.png") as found:
        assert found.text == {"Software": "radcommons", "Synthetic": "yes"}
        assert found.mode == "L"
        found.load()


def test_a_dicom_file_carries_the_labels_and_the_generator_of_its_image(tmp_path):
    write_set(tmp_path, format="dicom")

    found = pydicom.dcmread(tmp_path / "images/00000007.dcm")

    read = labels_from_comment(found.ImageComments)
    assert list(read) == FINDINGS
    assert np.array_equal(np.array(list(read.values()), np.float32), labels(7))
    assert "site-b (sha256:bb), seed 3, image 7" in found.DerivationDescription


def today_is(monkeypatch: pytest.MonkeyPatch, year: int, month: int, day: int) -> None:
    class Day(date):
        @classmethod
        def today(cls) -> date:
            return date(year, month, day)

    monkeypatch.setattr(dicom, "date", Day)


def study_dates(out: Path) -> set[str]:
    return {pydicom.dcmread(path).StudyDate for path in (out / "images").iterdir()}


@pytest.mark.parametrize("stop", [0, 4, COUNT - 1])
def test_a_dicom_set_begun_yesterday_and_continued_today_keeps_the_date_on_which_it_was_begun(
    tmp_path, monkeypatch, stop
):
    today_is(monkeypatch, 2026, 11, 27)
    write_set(tmp_path / "set", format="dicom", study_date="today", stop=stop)
    today_is(monkeypatch, 2026, 11, 28)
    write_set(tmp_path / "set", format="dicom", study_date="today")

    assert study_dates(tmp_path / "set") == {"20261127"}
    assert SyntheticSet.open(tmp_path / "set").provenance["study_date"] == "2026-11-27"
    write_set(tmp_path / "at once", format="dicom", study_date=date(2026, 11, 27))
    assert contents(tmp_path / "set") == contents(tmp_path / "at once")


def test_midnight_while_a_set_is_written_changes_no_date(tmp_path, monkeypatch):
    today_is(monkeypatch, 2026, 11, 27)
    writer = SetWriter(tmp_path, **{**REQUEST, "format": "dicom", "study_date": "today"})
    writer.write(batch(0, 5))
    today_is(monkeypatch, 2026, 11, 28)
    writer.write(batch(5, 5))
    writer.finish()

    assert study_dates(tmp_path) == {"20261127"}


def test_a_finished_dicom_set_asked_for_again_on_another_day_is_left_alone(tmp_path, monkeypatch):
    today_is(monkeypatch, 2026, 11, 27)
    write_set(tmp_path, format="dicom", study_date="today")
    before = contents(tmp_path)
    today_is(monkeypatch, 2027, 1, 1)

    assert write_set(tmp_path, format="dicom", study_date="today").done == COUNT
    assert contents(tmp_path) == before


@pytest.mark.parametrize("stop", [4, COUNT])
@pytest.mark.parametrize(
    ("asked", "here"), [(date(2026, 11, 28), "2026-11-28"), ("none", "null")], ids=["another date", "none"]
)
def test_another_study_date_in_the_same_folder_is_another_request(tmp_path, monkeypatch, stop, asked, here):
    today_is(monkeypatch, 2026, 11, 27)
    write_set(tmp_path, format="dicom", study_date="today", stop=stop)

    with pytest.raises(PathInUse, match=f"study_date = 2026-11-27, not {here}; use those, or choose another --out"):
        SetWriter(tmp_path, **{**REQUEST, "format": "dicom", "study_date": asked})
    assert SetWriter(tmp_path, **{**REQUEST, "format": "dicom", "study_date": date(2026, 11, 27)}).done == stop


def test_an_unfinished_dicom_set_without_a_date_goes_on_without_one(tmp_path):
    write_set(tmp_path, format="dicom", study_date="none", stop=4)
    write_set(tmp_path, format="dicom", study_date="today")

    assert study_dates(tmp_path) == {""}


@pytest.mark.parametrize("format", ["png", "npz"])
def test_the_date_is_no_part_of_a_set_whose_files_have_none(tmp_path, monkeypatch, format):
    for day in (27, 28):
        today_is(monkeypatch, 2026, 11, day)
        write_set(tmp_path / str(day), format=format, study_date="today")

    assert contents(tmp_path / "27") == contents(tmp_path / "28")
    assert "study_date" not in SyntheticSet.open(tmp_path / "27").provenance


def test_numpy_alone_reads_an_npz_set(tmp_path):
    write_set(tmp_path, format="npz")

    with np.load(tmp_path / "images.npz") as found:
        assert np.array_equal(found["images"], np.stack([image(i) for i in range(COUNT)]))
        assert np.array_equal(found["labels"], np.stack([labels(i) for i in range(COUNT)]))
        assert found["findings"].tolist() == FINDINGS


def test_an_npz_set_is_what_numpy_writes_but_a_piece_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_NPZ_BYTES", 600)  # two images
    write_set(tmp_path, format="npz")

    whole = {
        "images": np.stack([image(i) for i in range(COUNT)]),
        "labels": np.stack([labels(i) for i in range(COUNT)]),
        "findings": np.array(FINDINGS),
    }
    np.savez(tmp_path / "numpy.npz", allow_pickle=False, **whole)
    assert (tmp_path / "images.npz").read_bytes() == (tmp_path / "numpy.npz").read_bytes()


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="is full; free some space and run the same"):
        with alone_in(tmp_path / "set", private=False):
            writer = write_set(tmp_path / "set", stop=4)
            patch.setattr(SetWriter, "_write_image", full)
            writer.write(batch(4, 1))

    write_set(tmp_path / "set")
    assert len(SyntheticSet.open(tmp_path / "set")) == COUNT


def test_an_unfinished_set_is_not_read(tmp_path):
    write_set(tmp_path, stop=4)
    with pytest.raises(SetRefused, match="not a finished synthetic set"):
        SyntheticSet.open(tmp_path)


def test_an_absent_set_is_named(tmp_path):
    with pytest.raises(PathMissing, match="nowhere is not a folder"):
        SyntheticSet.open(tmp_path / "nowhere")


@pytest.mark.parametrize("format", FORMATS)
def test_a_label_table_with_a_row_missing_is_refused(tmp_path, format):
    write_set(tmp_path, format=format)
    table = tmp_path / "labels.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(SetRefused, match=r"labels\.csv has 9 rows and provenance.json counts 10 images"):
        SyntheticSet.open(tmp_path)


@pytest.mark.parametrize(("format", "name"), [("png", "00000003.png"), ("dicom", "00000003.dcm")])
@pytest.mark.parametrize("kept_bytes", [None, 0, 100])
def test_a_missing_or_damaged_image_is_named_and_the_others_are_read(tmp_path, format, name, kept_bytes):
    write_set(tmp_path, format=format)
    if kept_bytes is None:
        (tmp_path / "images" / name).unlink()
    else:
        os.truncate(tmp_path / "images" / name, kept_bytes)
    found = SyntheticSet.open(tmp_path)

    with pytest.raises(ImageRefused, match=f"{name} is missing or damaged"):
        found.image(3)
    assert np.array_equal(found.image(4), image(4))


def test_a_truncated_npz_is_refused(tmp_path):
    write_set(tmp_path, format="npz")
    os.truncate(tmp_path / "images.npz", 1000)
    with pytest.raises(SetRefused, match="damaged synthetic set"):
        SyntheticSet.open(tmp_path)
