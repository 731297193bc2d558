"""Bad tables and files full of names and identifiers, through every import: none of them is ever printed."""

import itertools
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from radcommons.cli import run
from radcommons.data.image_set import open_image_set
from radcommons.data.truth import read_boxes
from radcommons.errors import RadCommonsError
from radcommons.findings import CHEXPERT

# Names that look like words, like findings, like files and like numbers.
PLANTED = ("Mueller", "Anna", "Masso", "Edemann", "Effusius", "Vidal", "Kowalczyk", "4711", "0815",
           "MRN99", "19620314", "Bahnhofstr", "filmof", "1.2.840.99")  # fmt: skip

HEADERLESS = [
    "filmofMueller.png,Mueller Anna,f,,Pneumonia",
    "Mueller,Anna,Pneumonia",
    "Mueller,Pneumonia,Effusion,Mass",
    "Pneumonia,Effusion,Mueller",
    "Anna,Mueller,female,Vidal",
    "Mueller;Anna;Pneumonia",
    "Mueller\tAnna\tPneumonia",
    '"Mueller, Anna",Pneumonia',
    "Mueller,Mueller,Pneumonia",
    "Masso,Edemann,1,0",
    "4711,0815,Pneumonia",
    "MRN99,19620314,1",
    "Mueller",
    "filmofMueller.png|Anna|Pneumonia",
]
HEADERS = [  # with a header, and a name where none belongs
    "image,Mueller,labels",
    "picture,Anna Mueller,Pneumonia",
    "image,image,Mueller",
    "image,patient,Mueller,Mueller",
    "image,patient,Anna^Mueller",
    "image,patient,Masso,Edemann",
    "image,patient,labels,Pneumonia,Mueller",
    "Path,Mueller,Edema",
    "Image Index,Finding Labels,Mueller",
    "patientId,Mueller",
    "SOPInstanceUID,Mueller",
    "image,split,Mueller",
]
CELLS = [
    "filmofMueller.png,Mueller Anna,Mueller,Anna,4711,0815",
    "filmofMueller.png,MRN99,Vidal,Masso,Edemann,1",
    "Mueller/Anna.png,Mueller,Pneumonia|Mueller,Effusius,1,Anna",
    "Mueller.png,Anna,Vidal,Vidal,Vidal,Vidal",
    'filmofMueller.png,"Mueller, Anna",1,1,1,1',
    'filmofMueller.png,"Mueller,1,1,1,1',
    "filmofMueller.png,Anna,1,1,1,1,Mueller,Kowalczyk",
    'filmofMueller.png,"Mueller" Anna,1,1,1,1',
    "1.2.840.99.1,Kowalczyk,Bahnhofstr,1,1,1",
]
LABEL_CELLS = [  # in a column of lists
    ["Mueller", "Vidal", "Masso"],
    ["Pneumonia", "Pneumonia", "Pneumonia", "Mueller", "Masso", "Effusius", "Edemann"],
    ["Pneumonia|Vidal"] * 4 + ["Pneumonia; Anna Mueller", "['Pneumonia', 'Kowalczyk']", "Pneumonia/Masso"],
    ["Pneumonia", "Effusion", "report of Mueller: no pneumonia", "4711", "Pneumonia, MRN99, Mueller Anna"],
    ["Pneumonia", *["Kowalczyk"] * 9],
    ["Pneumonia", "Effusion", *["Pneumonia|Mueller"] * 9],
]
OPTIONS: list[list[str]] = [
    [],
    ["--findings", "Cardiomegalie"],
    ["--findings", "Pneumonia"],
    ["--image-column", "Muller", "--patient-column", "Annna"],
    ["--label-column", "Mass"],
    ["--label-column", "patient", "--image-column", "image"],
    ["--view-column", "Edemam", "--sex-column", "Vidall", "--age-column", "x"],
]


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints, wherever it prints it, without the words that the user has typed."""

    def running(*arguments: object) -> str:
        run([str(a) for a in arguments])
        captured = capfd.readouterr()
        return captured.out + captured.err

    return running


def assert_none(text: str, what: object) -> None:
    found = [word for word in PLANTED if word.casefold() in text.casefold()]
    assert not found, (what, text)
    assert "Traceback" not in text, (what, text)


def tables() -> list[str]:
    rows = [*HEADERLESS, *CELLS]
    with_header = [f"{header},,,,\n" + "\n".join(cells) for header in HEADERS for cells in (CELLS, CELLS[:4])]
    lists = [
        "image,patient,labels,name\n"
        + "\n".join(f'{n}.png,{patient}{n},"{cell}",Mueller' for n, cell in enumerate(cells))
        for cells in LABEL_CELLS
        for patient in ("MRN99", "Mueller Anna ")
    ]
    return [
        *lists,
        *("\n".join([first, *rows]) for first in rows),
        *(f"{row}\n{row}" for row in HEADERLESS),
        *with_header,
    ]


@pytest.mark.slow
def test_no_cell_of_a_table_is_printed_by_data_import_table(tmp_path: Path, printed: Callable[..., str]) -> None:
    (tmp_path / "films").mkdir()
    for name in ("filmofMueller.png", "Mueller.png"):
        cv2.imwrite(str(tmp_path / "films" / name), np.zeros((4, 4), np.uint8))
    table = tmp_path / "films" / "labels.csv"
    for text, options in itertools.product(tables(), OPTIONS):
        table.write_text(text)
        said = printed("data", "import", "table", table, "--out", tmp_path / "store", "--dry-run", *options)
        assert_none(said, (text, options))


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS[:2], ids=str)
def test_no_cell_of_a_table_is_printed_by_the_other_imports(
    options: list[str], tmp_path: Path, printed: Callable[..., str]
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    write_dicom(folder / "filmofMueller.dcm", "1.2.840.99.1")
    findings = ",".join(CHEXPERT)
    nih, chexpert = "Image Index,Finding Labels,Patient ID", f"Path,{findings}"
    rsna = "patientId,x,y,width,height,Target"
    commands = {
        "Data_Entry_2017.csv": ("nih", folder),
        "train.csv": ("chexpert", folder),
        "stage_2_train_labels.csv": ("rsna", folder),
        "any.csv": ("dicom", folder, "--labels", folder / "any.csv"),
    }
    for (name, command), text in itertools.product(
        commands.items(), [*tables(), *(f"{h}\n" + "\n".join(CELLS) for h in (nih, chexpert, rsna))]
    ):
        (folder / name).write_text(text)
        said = printed("data", "import", *command, "--out", tmp_path / "store", "--dry-run", *options)
        (folder / name).unlink()
        assert_none(said, (name, text))


def test_no_cell_of_a_split_list_a_box_list_or_a_folder_of_images_is_printed(
    tmp_path: Path, printed: Callable[..., str], film_table: Callable[..., Path]
) -> None:
    films = film_table(tmp_path / "films")
    table = tmp_path / "list.csv"
    images = tmp_path / "set"
    images.mkdir()
    for text in tables():
        table.write_text(text)
        (images / "labels.csv").write_text(text)
        said = printed("data", "import", "table", films, "--out", tmp_path / "store", "--dry-run", "--split", table)
        assert_none(said, text)
        for header in ("image,Pneumonia\nfilmofMueller.png,1\n", "Finding Label,Bbox [x,y,w,h]\n", "image,Mueller\n"):
            for name in (table, images / "labels.csv"):
                name.write_text(header if text == tables()[0] else header + text)
            for read in (read_boxes, open_image_set):
                try:
                    read(table if read is read_boxes else images)
                except RadCommonsError as error:
                    assert_none(str(error), (header, text))


def test_a_header_value_of_a_dicom_file_is_not_printed(tmp_path: Path, printed: Callable[..., str]) -> None:
    folder = tmp_path / "tree"
    for number, changes in enumerate(
        ({"PatientID": ""}, {"ViewPosition": "Mueller^Anna"}, {"PatientAge": "4711"}, {"PatientSex": "Anna"},
         {"SpecificCharacterSet": "Mueller"}, {"PatientOrientation": "Mueller"}, {"ViewPosition": "LATERAL Mueller"},
         {"BodyPartExamined": "Mueller=Anna"}, {"ViewPosition": "MUELLER"}, {"Modality": "Anna"})
    ):  # fmt: skip
        write_dicom(folder / "Mueller" / f"filmof{number}", f"1.2.840.99.{number}", **changes)
    (tmp_path / "labels.csv").write_text("image,Pneumonia\n" + "".join(f"Mueller/filmof{n},1\n" for n in range(11)))
    for extra in ([], ["--dry-run"]):
        said = printed("data", "import", "dicom", folder, "--labels", tmp_path / "labels.csv", "--out",
                       tmp_path / "store", "--resolution", 8, "--workers", 1, *extra)  # fmt: skip
        assert_none(said, extra)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_not_named(tmp_path: Path, printed: Callable[..., str]) -> None:
    (tmp_path / "tree" / "Mueller").mkdir(parents=True)
    (tmp_path / "tree" / "Mueller").chmod(0)
    (tmp_path / "labels.csv").write_text("image,Pneumonia\na,1\n")
    said = printed("data", "import", "dicom", tmp_path / "tree", "--labels", tmp_path / "labels.csv", "--out",
                   tmp_path / "store")  # fmt: skip
    (tmp_path / "tree" / "Mueller").chmod(0o700)
    assert_none(said, "folder")
    assert "Permission denied" in said


def write_dicom(path: Path, uid: str, **changes: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = uid
    film.PatientID, film.PatientName, film.Modality = "MRN99", "Mueller^Anna", "DX"
    film.SamplesPerPixel, film.PhotometricInterpretation, film.PixelRepresentation = 1, "MONOCHROME2", 0
    film.BitsAllocated, film.BitsStored, film.HighBit, film.Rows, film.Columns = 8, 8, 7, 40, 40
    film.PixelData = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8).tobytes()
    film["PixelData"].VR = "OB"
    with warnings.catch_warnings(action="ignore"):  # of values that the standard does not allow
        for keyword, value in changes.items():
            setattr(film, keyword, value)
        film.save_as(path, enforce_file_format=True)
