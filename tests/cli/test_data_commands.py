"""``radcommons data`` as a person runs it: what is printed where, exit codes, kills, and no identifier anywhere."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from radcommons.cli import run
from radcommons.data import memory
from radcommons.data.store import Store
from radcommons.synthetic.dicom import encode_dicom

COMMAND = (sys.executable, "-m", "radcommons")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a command that ends with exit status 2 and prints nothing on stdout."""
    capsys.readouterr()
    assert run([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("radcommons: ")
    return printed.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The one JSON object on stdout of a command that succeeds."""
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def films(tmp_path: Path, film_table: Callable[..., Path]) -> Path:
    return film_table(tmp_path / "films")


@pytest.fixture
def store(tmp_path: Path, films: Path) -> Path:
    assert run(["data", "import", "table", str(films), "--out", str(tmp_path / "store"), "--resolution", "16"]) == 0
    return tmp_path / "store"


# --- import ----------------------------------------------------------------------------------------------------------


def test_an_import_prints_what_it_made(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    command = ["data", "import", "table", films, "--out", out, "--resolution", "16", "--workers", "1"]
    assert run([str(a) for a in command]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{out}: 12 images of 6 patients (train ") and "up to 16 x 16 pixels" in text
    record = as_json(capsys, *command)
    assert (record["store"], record["images"], record["resolutions"]) == (str(out), 12, [4, 8, 16])
    assert record["name"] == "store"


def test_options_reach_the_store(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = as_json(
        capsys, "data", "import", "table", films, "--out", tmp_path / "s", "--resolution", "8", "--fit", "pad",
        "--findings", "Effusion, Pneumonia", "--name", "St. Mary", "--split-salt", "x", "--uncertain", "u-ones",
        "--key", tmp_path / "key", "--workers", 1,
    )  # fmt: skip
    assert record["findings"] == ["Effusion", "Pneumonia"] and record["split_salt"] == "x"
    assert (record["name"], record["fit"], record["label_policy"]) == ("St. Mary", "pad", "u-ones")
    assert (tmp_path / "key").is_file() and not (tmp_path / "s" / "pseudonym.key").exists()


def test_official_lists_decide_the_split(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"film-{n}.png" for n in range(12)]
    (tmp_path / "test_list.txt").write_text("\n".join(names[:4]))
    (tmp_path / "train_list.txt").write_text("\n".join(names[4:10]))
    record = as_json(
        capsys, "data", "import", "table", films, "--out", tmp_path / "s", "--resolution", 8, "--workers", 1,
        "--split", tmp_path / "test_list.txt", "--split", tmp_path / "train_list.txt",
    )  # fmt: skip
    assert record["split"] == {"train": 6, "val": 0, "test": 4}
    assert record["rejected"] == 2
    assert "not in the split lists" in (tmp_path / "s" / "rejected.csv").read_text()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("image,", "film,"), [], "labels.csv: no column for the image: call it 'image', or pass --image-column NAME"),
        (("", ""), ["--findings", "Pneumonja"], "the nearest is 'Pneumonia'"),
        (("", ""), ["--resolution", "100"], "resolution is 100; it must be a power of two from 4 to 1024"),
        (("", ""), ["--fit", "stretch"], "'--fit': 'stretch' is not one of 'crop', 'pad'"),
        (("", ""), ["--workers", "0"], "--workers is 0; it must be 1 or more"),
        (("", ""), ["--split", "no.txt"], "no.txt"),
        (("", ""), ["--resolutoin", "8"], "No such option"),
        (("", ""), ["--resolution", "big"], "'big' is not a valid int"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    change: tuple[str, str], options: list[str], message: str, films: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    table = films / "labels.csv"
    table.write_text(table.read_text().replace(*change, 1) if change[0] else table.read_text())
    assert message in refused(capsys, "data", "import", "table", films, "--out", tmp_path / "store", *options)
    assert not (tmp_path / "store").exists()


def test_an_empty_or_absent_table_is_one_line(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("data", "import", "table", films, "--out", tmp_path / "store")
    (films / "labels.csv").write_text("image,patient,Pneumonia\n")
    assert "labels.csv has a header but no rows" in refused(capsys, *command)
    (films / "labels.csv").write_text("")
    assert "labels.csv is empty" in refused(capsys, *command)
    (films / "labels.csv").unlink()
    assert "no labels.csv; name the CSV file itself" in refused(capsys, *command)
    for source in ("nih", "chexpert", "rsna"):
        assert str(films) in refused(capsys, "data", "import", source, films, "--out", tmp_path / "store")


def test_an_out_folder_in_use_is_one_line_and_stays(
    store: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(tmp_path)
    options = ("--workers", 1, "--resolution")
    error = refused(capsys, "data", "import", "table", films, "--out", store, *options, 8)
    assert "was begun with resolutions = [4, 8, 16], not [4, 8]; use those, or choose another --out" in error
    assert "holds something else" in refused(capsys, "data", "import", "table", films, "--out", films, *options, 8)
    assert content(tmp_path) == before


def test_a_second_run_is_no_work(store: Path, films: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in store.iterdir()}
    for path in films.glob("*.png"):
        path.write_bytes(b"")
    assert run(["data", "import", "table", str(films), "--out", str(store), "--resolution", "16"]) == 0
    assert {p: p.stat().st_mtime_ns for p in store.iterdir()} == before


def test_unknown_words_are_reported_by_word_and_can_be_declared(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = films / "labels.csv"
    lines = table.read_text().splitlines()
    lines[1], lines[2], lines[3], lines[4] = (
        line.replace(",PA,", f",{view},") for line, view in zip(lines[1:5], ("UNO", "Uno", "UNO", "LAT"), strict=True)
    )
    table.write_text("\n".join(lines))
    command = ("data", "import", "table", films, "--resolution", 16, "--workers", 1)
    unknown = "view 'UNO' is not known; pass --views 'UNO' if it is frontal"
    assert run([*map(str, command), "--out", str(tmp_path / "a"), "--dry-run"]) == 0
    assert f"refused        {unknown} (3)\nrefused        lateral view (1)\n" in capsys.readouterr().out
    assert run([*map(str, command), "--out", str(tmp_path / "a")]) == 0
    assert f"refused        {unknown} (3)\nrefused        lateral view (1)\n" in capsys.readouterr().out
    assert as_json(capsys, *command, "--out", tmp_path / "a")["refused"] == {unknown: 3, "lateral view": 1}
    for words in (["uno"], ["any"], ["x,UNO"], ["x", "--views", "uno"]):
        options = ("--out", tmp_path / "b", "--views", *words)
        plan = as_json(capsys, *command, *options, "--dry-run")
        assert (plan["images"], plan["declared"], plan["refused"]) == (11, {"view UNO": 3}, {"lateral view": 1})
    assert run([*map(str, command), "--out", str(tmp_path / "b"), "--views", "uno"]) == 0
    assert "declared       view UNO (3)\n" in capsys.readouterr().out
    assert as_json(capsys, *command, "--out", tmp_path / "b", "--views", "UNO")["declared"] == {"view UNO": 3}
    assert "other data or settings" in refused(capsys, *command, "--out", tmp_path / "b", "--views", "any")


def test_a_synthetic_set_is_imported_only_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "set"
    films.mkdir()
    rows = ["image,Mass"]
    for index in range(4):
        image = cv2.blur(np.random.default_rng(index).integers(0, 256, (64, 64), np.uint8), (3, 3))
        content = encode_dicom(image, {"Mass": "1"}, generator="g", digest="d", seed=1, index=index,
                               study_date=None)  # fmt: skip
        (films / f"{index}.dcm").write_bytes(content)
        rows.append(f"{index}.dcm,{index % 2}")
    (films / "labels.csv").write_text("\n".join(rows))
    command = ("data", "import", "dicom", films, "--labels", films / "labels.csv", "--out", tmp_path / "store",
               "--resolution", 16, "--workers", 1)  # fmt: skip
    assert "marked as synthetic (SyntheticData); pass --synthetic" in refused(capsys, *command)
    assert as_json(capsys, *command, "--synthetic")["images"] == 4


def test_the_share_of_coloured_pixels_can_be_set(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = cv2.imread(str(films / "film-0.png"), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    marked = cv2.merge([grey] * 3)
    marked[:5] = (0, 255, 0)  # 5 of 48 rows
    assert cv2.imwrite(str(films / "film-0.png"), marked)
    command = ("data", "import", "table", films, "--resolution", 16, "--workers", 1)
    record = as_json(capsys, *command, "--out", tmp_path / "a")
    (reason,) = record["refused"]
    assert reason.startswith("colour image: 10.42% of the pixels are coloured, the limit is 1%")
    assert as_json(capsys, *command, "--out", tmp_path / "b", "--most-coloured", 11)["rejected"] == 0
    assert "other data or settings" in refused(capsys, *command, "--out", tmp_path / "b")
    for wrong in ("-1", "101", "nan"):
        assert "must be a percentage from 0 to 100" in refused(
            capsys, *command, "--out", tmp_path / "c", "--most-coloured", wrong
        )


def test_a_dry_run_prints_what_the_import_then_makes_and_writes_nothing(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(tmp_path)
    command = ("data", "import", "table", films, "--out", tmp_path / "store", "--resolution", 16, "--workers", 1)
    plan = as_json(capsys, *command, "--dry-run")
    assert run([*map(str, command), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "would read 12 images of 6 patients; nothing was written" in text and "GiB free" in text
    assert "Pneumonia" in text and "No image was opened" in text
    assert content(tmp_path) == before
    record = as_json(capsys, *command)
    assert (plan["images"], plan["patients"]) == (record["images"], record["patients"])
    assert (plan["store"], plan["images_by_part"]) == (record["store"], record["split"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "100"], "resolution is 100"),
        (["--findings", "Pneumonja"], "the nearest is 'Pneumonia'"),
        (["--workers", "0"], "--workers is 0; it must be 1 or more"),
        (["--fit", "stretch"], "'--fit': 'stretch' is not one of 'crop', 'pad'"),
    ],
)
def test_a_dry_run_refuses_what_the_import_would(
    options: list[str], message: str, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("data", "import", "table", films, "--out", tmp_path / "store", "--dry-run")
    assert message in refused(capsys, *command, *options)


@pytest.mark.parametrize("source", ["nih", "chexpert", "rsna", "dicom", "table"])
def test_every_import_has_help_with_its_options_and_an_example(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "import", source, "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--out", "--resolution", "--fit", "--split", "--key", "--workers", "--dry-run", "--json"):
        assert option in text
    assert f"radcommons data import {source}" in " ".join(text.split())


@pytest.mark.parametrize("command", [[], ["data"], ["data", "import"]])
def test_a_command_that_is_not_finished_shows_its_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    printed = capsys.readouterr()
    assert "Usage:" in printed.out + printed.err and "radcommons: ;" not in printed.err


# --- info and verify -------------------------------------------------------------------------------------------------


def test_info_counts_and_draws(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = as_json(capsys, "data", "info", store)
    assert (info["images"], info["patients"], info["rejected"], info["shared_patients"]) == (12, 6, 0, 0)
    assert info["views"] == {"PA": 12} and info["sexes"] == {"F": 12} and len(info["age_years"]) == 3
    pneumonia = next(f for f in info["findings"] if f["finding"] == "Pneumonia")
    assert (pneumonia["present"], pneumonia["absent"], pneumonia["unknown"]) == (6, 6, 0)
    assert info["contact_sheet"] == str(store / "contact_sheet.png")
    with Image.open(store / "contact_sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.height >= 2 * 64
    assert Store.open(store).record.images == 12  # the sheet does not make it another folder
    assert run(["data", "verify", str(store)]) == 0

    assert run(["data", "info", str(store), "--sheet", str(tmp_path / "new" / "sheet.picture")]) == 0
    text = capsys.readouterr().out
    assert "Pneumonia" in text and "12 of 6 patients" in text
    with Image.open(tmp_path / "new" / "sheet.picture") as sheet:
        assert sheet.format == "PNG"
    assert run(["data", "info", str(store), "--sheet", str(tmp_path / "new" / "sheet.picture")]) == 0, "the same again"
    (tmp_path / "thesis.png").write_text("mine")
    assert run(["data", "info", str(store), "--sheet", str(tmp_path / "thesis.png")]) == 2
    assert "thesis.png is already there and is another file; choose another --sheet" in capsys.readouterr().err
    assert (tmp_path / "thesis.png").read_text() == "mine"


def test_verify_names_the_damaged_row_and_exits_2(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "data", "verify", store) == {"store": str(store), "images": 12, "faults": []}
    with (store / "images_0016.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 255]))
    capsys.readouterr()
    assert run(["data", "verify", str(store)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "row 11: damaged at 16 pixels\n"
    assert printed.err.endswith("is damaged in 1 place; restore it from a copy, or import again to a new folder\n")
    os.truncate(store / "images_0008.npy", 128)
    assert run(["data", "verify", str(store), "--json"]) == 2
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert faults == ["images_0008.npy is cut off: rows 0 to 11 are lost", "row 11: damaged at 16 pixels"]
    assert "'radcommons data verify" in refused(capsys, "data", "info", store)


def test_what_is_no_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("info", "verify"):
        assert "is not a folder; make a store with" in refused(capsys, "data", command, tmp_path / "none")
        assert "is not a store (no store.json)" in refused(capsys, "data", command, tmp_path)


def test_a_phantom_hospital_is_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("data", "phantom", "--out", tmp_path / "p", "--patients", 5, "--resolution", 16, "--workers", 1)
    record = as_json(capsys, *command)
    assert record["source"] == "phantom" and record["patients"] == 5
    assert as_json(capsys, *command) == record
    assert "begun with other data or settings; use those" in refused(capsys, *command, "--seed", 1)


# --- identifiers -----------------------------------------------------------------------------------------------------

PLANTED = ("ZZPAT", "ZZFILM", "ZZNAME", "ZZBAD", "ZZSTUDY")


def assert_no_identifier(folder: Path, *printed: str, also: tuple[str, ...] = ()) -> None:
    everything = "\n".join(printed).encode()
    for path in folder.rglob("*"):
        if path.is_file():
            everything += path.name.encode() + path.read_bytes()
        if path.suffix == ".parquet":  # compressed
            everything += pl.read_parquet(path).write_csv().encode()
    for word in (*PLANTED, *also):
        assert word.encode() not in everything


def test_no_identifier_of_a_table_reaches_the_store_or_the_screen(
    tmp_path: Path, film_table: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    films = film_table(tmp_path / "source", films=8, prefix="ZZFILM")
    lines = (films / "labels.csv").read_text().replace("ZZFILM-patient", "ZZPAT").splitlines()
    lines[2] = lines[2].replace(",PA,", ",LATERAL,")
    lines[3] = lines[3].replace("ZZFILM-2.png", "ZZBAD.png")
    (films / "labels.csv").write_text("\n".join(lines))
    (films / "ZZFILM-4.png").write_bytes((films / "ZZFILM-4.png").read_bytes()[:300])
    command = ["data", "import", "table", str(films), "--out", str(tmp_path / "store"), "--resolution", "8"]
    assert run([*command, "--workers", "2"]) == 0
    assert run(["data", "info", str(tmp_path / "store")]) == 0
    printed = capfd.readouterr()
    assert "3 refused" in printed.out
    assert_no_identifier(tmp_path / "store", printed.out, printed.err)


def test_no_identifier_of_dicom_headers_reaches_the_store_or_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows, uids = ["SOPInstanceUID,Pneumonia"], []
    for number in range(5):
        uids.append(generate_uid())
        write_film(tmp_path / "tree" / f"ZZFILM-{number}.dcm", uids[-1], cut=number == 3)
        rows.append(f"{uids[-1]},{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    command = ["data", "import", "dicom", str(tmp_path / "tree"), "--labels", str(tmp_path / "labels.csv"),
               "--out", str(tmp_path / "store"), "--resolution", "8", "--workers", "1", "--json"]  # fmt: skip
    assert run(command) == 0
    printed = capfd.readouterr()
    record = json.loads(printed.out)
    assert (record["images"], record["rejected"]) == (4, 1)
    assert Store.open(tmp_path / "store").manifest["view"].to_list() == ["AP"] * 4
    assert_no_identifier(tmp_path / "store", printed.out, printed.err, also=tuple(uids))


@pytest.mark.parametrize("workers", [1, 2])
def test_file_names_that_are_not_utf_8_and_links_in_circles_are_imported(
    workers: int, tmp_path: Path, film_table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    try:
        (tree / os.fsdecode(b"M\xfcller")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    write_film(tree / os.fsdecode(b"M\xfcller") / os.fsdecode(b"\xe4.dcm"), generate_uid(), cut=False)
    (tree / os.fsdecode(b"\xff")).write_bytes(b"no film")
    (tree / "up").symlink_to(tree)
    (tmp_path / "labels.csv").write_bytes(b"image,Pneumonia\nM\xfcller/\xe4.dcm,1\n")  # as a program there writes it
    options = ("--resolution", 8, "--workers", workers)
    command = ("data", "import", "dicom", tree, "--labels", tmp_path / "labels.csv")
    record = as_json(capsys, *command, "--out", tmp_path / "dicom", *options)
    assert (record["images"], record["rejected"]) == (1, 1)

    films = film_table(tmp_path / "films", films=2)
    (films / "film-0.png").rename(films / os.fsdecode(b"f\xf6lm-0.png"))
    (films / "labels.csv").write_bytes((films / "labels.csv").read_bytes().replace(b"film-0.png", b"f\xf6lm-0.png"))
    (films / "up").symlink_to(films)
    out = tmp_path / os.fsdecode(b"t\xfcble")
    record = as_json(capsys, "data", "import", "table", films, "--out", out, *options)
    assert (record["images"], record["rejected"]) == (2, 0)
    assert as_json(capsys, "data", "info", out)["images"] == 2


def test_notes_of_an_import_are_printed_and_in_its_json(
    tmp_path: Path, film_table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    films = film_table(tmp_path / "films")
    lines = (films / "labels.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    table = ["image,patient,labels", *(f"{row[0]},anyone,Mass|Bronchitis" for row in rows)]
    (films / "labels.csv").write_text("\n".join(table))
    command = ("data", "import", "table", films, "--out", tmp_path / "s", "--resolution", 8, "--findings", "Mass")
    for dry in ([], ["--dry-run"]):
        left_out, one_patient = as_json(capsys, *command, *dry)["notes"]
        assert left_out.endswith("left out: 'Bronchitis' (12 rows)")
        assert one_patient.startswith("one patient has 12 of 12 films") and "anyone" not in one_patient
        assert run([*map(str, command), *dry]) == 0
        assert f"note: {left_out}\nnote: {one_patient}" in capsys.readouterr().out
    assert run(["data", "info", str(tmp_path / "s")]) == 0
    assert f"note: {one_patient}\n" in capsys.readouterr().out


def test_info_names_the_rows_of_identical_films(
    tmp_path: Path, film_table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    films = film_table(tmp_path / "films", films=24)  # ten pictures in turn
    assert run(["data", "import", "table", str(films), "--out", str(tmp_path / "s"), "--resolution", "8"]) == 0
    found = as_json(capsys, "data", "info", tmp_path / "s")["identical"]
    assert len(found) == 24 and {film["group"] for film in found} == set(range(10))
    assert run(["data", "info", str(tmp_path / "s")]) == 0
    text = capsys.readouterr().out
    rows = ", ".join(f"row {film['row']} ({film['image_id']})" for film in found if film["group"] == 0)
    assert [film["row"] for film in found if film["group"] == 0] == [0, 10, 20]
    assert f"identical      {rows}\n" in text and "and 14 more films; --json lists all" in text


def write_film(path: Path, uid: str, *, cut: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = uid
    film.PatientID, film.PatientName, film.Modality, film.ViewPosition = "ZZPAT-9", "ZZNAME^Jane", "DX", "AP"
    film.AccessionNumber, film.StudyDescription = "ZZSTUDY-1", "ZZSTUDY chest"
    film.SamplesPerPixel, film.PhotometricInterpretation, film.PixelRepresentation = 1, "MONOCHROME2", 0
    film.BitsAllocated, film.BitsStored, film.HighBit, film.Rows, film.Columns = 8, 8, 7, 40, 40
    pixels = cv2.blur(np.random.default_rng(int(uid[-4:])).integers(0, 256, (40, 40), np.uint8), (3, 3))
    film.PixelData = pixels.tobytes()[: 500 if cut else None]
    film["PixelData"].VR = "OB"
    film.save_as(path, enforce_file_format=True)


# --- killed, for real ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow_films(tmp_path_factory: pytest.TempPathFactory, film_table: Callable[..., Path]) -> Path:
    """Films that take seconds to import: 300 of 512 x 520 pixels."""
    return film_table(tmp_path_factory.mktemp("slow"), films=300, side=512)


@pytest.fixture(scope="module")
def slow_films_for_processes(tmp_path_factory: pytest.TempPathFactory, film_table: Callable[..., Path]) -> Path:
    """The same films under names of DICOM files."""
    return film_table(tmp_path_factory.mktemp("slow-processes"), films=300, side=512, suffix=".dcm")


WAITING_AFTER_A_BLOCK = """
import sys, time
from radcommons.cli import run
from radcommons.data.store_writer import StoreWriter
append = StoreWriter.append
def waiting(writer, block):
    append(writer, block)
    while not (writer.out.parent / "go on").exists():
        time.sleep(0.01)
StoreWriter.append = waiting
sys.exit(run(sys.argv[1:]))
"""


class Importing:
    """``data import table`` up to its first finished block, where it waits until `go_on`."""

    def __init__(self, start: Callable[..., Any], films: Path, out: Path, key: Path) -> None:
        program = ["-c", WAITING_AFTER_A_BLOCK]
        self.out = out
        options = ["--resolution", "256", "--key", key, "--workers", "2"]
        self.started = start([sys.executable, *program, "data", "import", "table", films, "--out", out, *options])
        self.journal = out / ".import" / "journal.jsonl"
        self.started.wait_until(lambda: self.journal.is_file() and self.journal.stat().st_size)
        listed = Path(f"/proc/{self.started.process.pid}/task").glob("*/children")
        children = [int(pid) for path in listed for pid in path.read_text().split()]
        self.workers = [c for c in children if b"LokyProcess" in Path(f"/proc/{c}/cmdline").read_bytes()]

    def go_on(self) -> None:
        (self.out.parent / "go on").touch()

    def end(self) -> tuple[int, str]:
        """Exit status and stderr, once the command and all that hold its pipes have ended."""
        status, _, errors = self.started.end()
        return status, errors

    def workers_running(self) -> list[int]:
        return [w for w in self.workers if _state(w) not in ("Z", "")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return ""


def test_the_command_keeps_freed_memory_of_its_own_process(
    film_table: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: called.append(True))
    films = film_table(tmp_path / "films")
    assert run(["data", "import", "table", str(films), "--out", str(tmp_path / "store"), "--resolution", "8"]) == 0
    assert called == [True]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the worker processes")
@pytest.mark.parametrize(("suffix", "processes"), [(".png", 0), (".dcm", 2)], ids=["threads", "processes"])
def test_an_import_killed_in_the_middle_goes_on_without_redoing_a_film(
    suffix: str, processes: int, tmp_path: Path, film_table: Callable[..., Path], start: Callable[..., Any]
) -> None:
    films, whole_films = (film_table(tmp_path / n, films=300, side=512, suffix=suffix) for n in ("films", "whole"))
    out, key = tmp_path / "broken", tmp_path / "key"
    importing = Importing(start, films, out, key)
    assert len(importing.workers) == processes
    importing.started.process.send_signal(signal.SIGKILL)
    status, errors = importing.end()  # which waits for the workers: they hold the pipes
    assert status == -signal.SIGKILL and "Traceback" not in errors
    assert importing.workers_running() == []
    assert not (out / "store.json").exists()

    lines = [json.loads(line) for line in importing.journal.read_text().splitlines(keepends=True) if "\n" in line]
    done = sum(len(line["images"]) for line in lines)
    assert 0 < done < 300
    for number in range(done):  # a film that is read again would be refused
        (films / f"film-{number}{suffix}").write_bytes(b"")
    options = ["--resolution", "256", "--key", str(key), "--workers", "1"]
    assert run(["data", "import", "table", str(films), "--out", str(out), "--name", "broken", *options]) == 0
    unbroken = tmp_path / "unbroken"
    assert run(["data", "import", "table", str(whole_films), "--out", str(unbroken), "--name", "broken", *options]) == 0
    assert content(out) == content(unbroken)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the worker processes")
def test_ctrl_c_is_one_line_exit_130_and_no_worker_is_left(
    slow_films_for_processes: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    importing = Importing(start, slow_films_for_processes, tmp_path / "store", tmp_path / "key")
    assert len(importing.workers) == 2
    importing.started.signal_all(signal.SIGINT)  # as a terminal does: to the workers too
    status, errors = importing.end()
    assert (status, errors.splitlines()[-1:]) == (130, ["radcommons: stopped; run the same command again to continue"])
    assert "Traceback" not in errors and "Warning" not in errors
    assert importing.workers_running() == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the worker processes")
def test_ctrl_c_with_threads_is_one_line_too_and_the_same_command_goes_on(
    slow_films: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    out, key = tmp_path / "store", tmp_path / "key"
    importing = Importing(start, slow_films, out, key)
    assert importing.workers == []
    importing.started.signal_all(signal.SIGINT)
    status, errors = importing.end()
    assert (status, errors.splitlines()[-1:]) == (130, ["radcommons: stopped; run the same command again to continue"])
    assert "Traceback" not in errors and "Warning" not in errors
    options = ["--resolution", "256", "--key", str(key), "--name", "store"]
    for workers, store in ((2, out), (1, tmp_path / "unbroken")):
        command = ["data", "import", "table", str(slow_films), "--out", str(store), *options, "--workers", str(workers)]
        assert run(command) == 0
    assert content(out) == content(tmp_path / "unbroken")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the worker processes")
def test_a_worker_killed_for_memory_is_one_line(
    slow_films_for_processes: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    importing = Importing(start, slow_films_for_processes, tmp_path / "store", tmp_path / "key")
    os.kill(importing.workers[0], signal.SIGKILL)
    importing.go_on()
    status, errors = importing.end()
    assert status == 2 and "Traceback" not in errors
    assert errors.endswith("run the same command again to continue, with a --workers below 2\n")
    assert importing.workers_running() == []


# --- the real films --------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_real_films_import_from_the_command_line(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = [o for p in sorted((shared_data / "nih" / "nih_split_lists").iterdir()) for o in ("--split", p)]
    nih = as_json(
        capsys, "data", "import", "nih", shared_data / "nih", "--out", tmp_path / "nih", "--resolution", 8, *lists
    )
    assert (nih["images"], nih["absent"], sum(nih["split"].values())) == (1634, 110_486, 1634)
    assert as_json(capsys, "data", "info", tmp_path / "nih")["shared_patients"] == 0
