import io
import itertools
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage

from radcommons.errors import SettingRefused
from radcommons.synthetic.dicom import encode_dicom, labels_from_comment, read_study_date

LABELS = {"Effusion": "1", "Pleural Thickening": "0", "Cardiomegaly": "0.5"}
ORIGIN = {
    "generator": "Zürich",
    "digest": "sha256:" + "ab" * 32,
    "seed": 7,
    "index": 12,
    "study_date": date(2026, 11, 28),
}


def ramp(side: int = 16) -> np.ndarray:
    """Every grey value from 0 to 255, so that a window that is not the identity shows."""
    return np.arange(side * side, dtype=np.uint32).reshape(side, side).astype(np.uint8)


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)


@pytest.fixture
def dicom_file(tmp_path) -> Path:
    path = tmp_path / "image.dcm"
    path.write_bytes(encode_dicom(ramp(), LABELS, **ORIGIN))
    return path


@pytest.mark.parametrize("side", [4, 5, 16, 128])
def test_strict_pydicom_reads_the_exact_pixels(strict, side):
    found = read(encode_dicom(ramp(side), LABELS, **ORIGIN))

    for element in found.iterall():
        assert element.value is not None  # reading a value validates it
    assert found.PhotometricInterpretation == "MONOCHROME2"
    assert np.array_equal(found.pixel_array, ramp(side))


def test_the_window_shows_every_grey_value_as_it_is():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    shown = pydicom.pixels.apply_voi_lut(found.pixel_array, found)
    assert np.allclose(shown, ramp(), atol=1e-6)


def test_the_file_says_that_it_is_synthetic_in_every_place_that_has_a_word_for_it():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))

    assert found["SyntheticData"].tag == 0x0008001C
    assert found.SyntheticData == "YES"
    assert found.SOPClassUID == SecondaryCaptureImageStorage
    assert found.ConversionType == "SYN"
    assert str(found.PatientName).startswith("SYNTHETIC")
    assert found.PatientID.startswith("SYNTHETIC")
    assert "ORIGINAL" not in found.ImageType


def test_nothing_about_a_person_or_an_examination_is_invented():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))

    for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"):
        assert keyword in found and not found[keyword].value
    for keyword in ("PatientIdentityRemoved", "PatientAge", "PixelSpacing", "KVP", "AcquisitionDate"):
        assert keyword not in found


def test_the_study_date_is_that_of_study_and_series_at_midnight():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    assert (found.StudyDate, found.StudyTime, found.SeriesDate) == ("20261128", "000000", "20261128")


def test_without_a_study_date_date_and_time_are_empty():
    found = read(encode_dicom(ramp(), LABELS, **{**ORIGIN, "study_date": None}))
    for keyword in ("StudyDate", "StudyTime", "SeriesDate"):
        assert keyword in found and found[keyword].value == ""


def test_a_worklist_shows_what_the_study_is_and_its_number_in_the_set():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    assert found.StudyDescription == "Synthetic chest radiograph"
    assert found.StudyID == "00000012"


def test_the_labels_are_read_back_from_the_comment():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))

    assert found.ImageComments == "Effusion=1; Pleural Thickening=0; Cardiomegaly=0.5"
    assert labels_from_comment(found.ImageComments) == {
        "Effusion": 1.0,
        "Pleural Thickening": 0.0,
        "Cardiomegaly": 0.5,
    }


def test_the_generator_the_seed_and_the_index_stand_in_the_file():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    assert f"Zürich ({ORIGIN['digest']}), seed 7, image 12" in found.DerivationDescription


def test_the_same_image_drawn_again_is_the_same_file():
    assert encode_dicom(ramp(), LABELS, **ORIGIN) == encode_dicom(ramp(), LABELS, **ORIGIN)


@pytest.mark.parametrize("change", [{"digest": "sha256:cd"}, {"seed": 8}, {"index": 13}])
def test_another_generator_seed_or_index_is_another_patient_study_and_instance(change):
    one = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    other = read(encode_dicom(ramp(), LABELS, **{**ORIGIN, **change}))

    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != other[keyword].value


def test_the_same_latent_with_other_labels_is_another_instance_of_the_same_pseudo_patient():
    one = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    other = read(encode_dicom(255 - ramp(), {**LABELS, "Effusion": "0"}, **ORIGIN))

    assert one.PatientID == other.PatientID
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID


@pytest.mark.parametrize("day", [None, date(2026, 11, 29)])
def test_another_date_is_another_study_of_the_same_pseudo_patient(day):
    one = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    other = read(encode_dicom(ramp(), LABELS, **{**ORIGIN, "study_date": day}))

    assert one.PatientID == other.PatientID
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != other[keyword].value


def test_two_files_that_differ_in_anything_are_two_instances_of_two_series():
    files = [
        encode_dicom(ramp(), LABELS, **ORIGIN),
        encode_dicom(255 - ramp(), LABELS, **ORIGIN),
        encode_dicom(ramp().reshape(8, 32), LABELS, **ORIGIN),
        encode_dicom(ramp(), {**LABELS, "Effusion": "0"}, **ORIGIN),
        encode_dicom(ramp(), dict(reversed(LABELS.items())), **ORIGIN),
        *(
            encode_dicom(ramp(), LABELS, **{**ORIGIN, **change})
            for change in (
                {"generator": "Bern"},
                {"digest": "sha256:cd"},
                {"seed": 8},
                {"index": 13},
                {"study_date": None},
                {"study_date": date(2026, 11, 27)},
            )
        ),
    ]
    for one, other in itertools.combinations(files, 2):
        assert one != other
        assert read(one).SOPInstanceUID != read(other).SOPInstanceUID
        assert read(one).SeriesInstanceUID != read(other).SeriesInstanceUID


def test_the_identifiers_are_valid_and_stand_for_different_things():
    found = read(encode_dicom(ramp(), LABELS, **ORIGIN))
    uids = [found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID]
    assert len(set(uids)) == 3
    assert all(uid.is_valid and len(uid) <= 64 for uid in uids)


def test_dcmtk_reads_the_header(dicom_file, tool: Callable[[str, str], str]):
    dump = subprocess.run([tool("dcmdump", "dcmtk"), dicom_file], capture_output=True, text=True, check=True).stdout

    assert "(0008,001c) CS [YES]" in dump
    assert "=SecondaryCaptureImageStorage" in dump
    assert "[Effusion=1; Pleural Thickening=0; Cardiomegaly=0.5]" in dump


@pytest.mark.parametrize("options", [[], ["--use-window", "1"]])
def test_dcmtk_shows_the_exact_pixels(dicom_file, tmp_path, options, tool: Callable[[str, str], str]):
    picture = tmp_path / "image.pgm"
    command = [tool("dcm2pnm", "dcmtk"), "--write-raw-pnm", *options, dicom_file, picture]
    subprocess.run(command, check=True)

    with Image.open(picture) as found:
        assert np.array_equal(np.asarray(found), ramp())


@pytest.mark.parametrize("day", [None, date(2026, 11, 28)])
def test_dciodvfy_finds_no_error(dicom_file, day, tool: Callable[[str, str], str]):
    dicom_file.write_bytes(encode_dicom(ramp(), LABELS, **{**ORIGIN, "study_date": day}))
    command = [tool("dciodvfy", "dicom3tools"), "-new", dicom_file]
    report = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (report.stdout + report.stderr).splitlines()

    assert "SCImage" in lines  # it knows the class
    # Debian's dciodvfy of 2022 is older than the attribute SyntheticData, and says so; nothing else may be wrong.
    too_new = "Error - </(0008,001c)> - Attribute with an even group number is not a recognized standard attribute"
    assert [line for line in lines if line.startswith("Error") and line.strip() != too_new] == []


@pytest.mark.parametrize("text", ["2026-11-28", "20261128"])
def test_a_study_date_is_read_as_people_and_as_dicom_write_it(text):
    assert read_study_date(text, "dicom") == date(2026, 11, 28)


def test_today_is_the_default_and_none_leaves_the_date_out():
    assert read_study_date(None, "dicom") == read_study_date("today", "dicom") == "today"
    assert read_study_date("none", "dicom") == "none"
    assert read_study_date(None, "png") == "today"  # not asked for: nothing to refuse


@pytest.mark.parametrize("text", ["28.11.2026", "2026-02-30", "Today", "", "0000-01-01", "now"])
def test_what_is_no_date_is_refused_with_the_form_to_write(text):
    with pytest.raises(SettingRefused, match="is not a date; write it as YYYY-MM-DD, or today or none"):
        read_study_date(text, "dicom")


@pytest.mark.parametrize("text", ["2026-11-28", "today", "none", "28.11.2026"])
@pytest.mark.parametrize("format", ["png", "npz"])
def test_a_study_date_of_files_that_have_none_is_refused(text, format):
    with pytest.raises(SettingRefused, match=f"{format} files have no study date; add --format dicom or drop"):
        read_study_date(text, format)
