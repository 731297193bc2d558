"""A drawn set in an image archive, Orthanc with dcmtk's programs as its clients, and on a disc with a DICOMDIR."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.generator_files import save_generator
from radcommons.records import FindingsRecord
from radcommons.synthetic.dicom import StudyDate, labels_from_comment
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.sampling import write_set

COUNT = 5
DAY = date(2026, 11, 28)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """A generator of 16 x 16 pixels that nobody trained."""
    folder = tmp_path_factory.mktemp("generators") / "package"
    torch.manual_seed(0)
    config = ProganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, latent_size=5, findings=2)
    record = FindingsRecord(findings=("Effusion", "Mass"), combinations=(((1, 0), 30), ((1, 1), 10)), smallest_cell=5)
    save_generator(
        folder, GeneratorNetwork(config), record, name="Zürich", family="progan", config=config, images_seen=1
    )
    return Generator.load(folder, device="cpu")


def draw(generator: Generator, out: Path, day: StudyDate = DAY, **given: float) -> SyntheticSet:
    """A set drawn into `out`, always of the same latents."""
    write_set([generator], out, COUNT, choice=LabelChoice(given or None), seed=3, format="dicom", study_date=day)
    return SyntheticSet.open(out)


def files(drawn: SyntheticSet) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted((drawn.path / "images").iterdir())]


def studies(found: list[pydicom.Dataset]) -> set[str]:
    return {file.StudyInstanceUID for file in found}


def test_an_archive_finds_a_set_by_the_dates_that_hold_it(orthanc: Any, generator: Generator, tmp_path: Path) -> None:
    drawn = draw(generator, tmp_path / "set")
    orthanc.store(drawn.path / "images")

    for days in ("20261128", "20261101-20261130", "20261128-", "-20261128"):
        assert studies(orthanc.find(StudyDate=days)) == studies(files(drawn))
        assert len(orthanc.rest("/tools/find", {"Level": "Study", "Query": {"StudyDate": days}})) == COUNT
    for days in ("20261127", "20261129-", "-20261127"):
        assert orthanc.find(StudyDate=days) == []
        assert orthanc.rest("/tools/find", {"Level": "Study", "Query": {"StudyDate": days}}) == []


def test_what_an_archive_gives_back_is_what_was_drawn(orthanc: Any, generator: Generator, tmp_path: Path) -> None:
    drawn = draw(generator, tmp_path / "set")
    orthanc.store(drawn.path / "images")

    for index, sent in enumerate(files(drawn)):
        (back,) = orthanc.fetch(sent.StudyInstanceUID)
        assert np.array_equal(back.pixel_array, drawn.image(index))
        labels = labels_from_comment(back.ImageComments)
        assert tuple(labels) == drawn.findings
        assert np.array_equal(np.array(list(labels.values()), np.float32), drawn.labels[index])
        assert back.SyntheticData == "YES"
        assert back == sent, "every other attribute too"


def test_a_worklist_query_names_what_a_reader_looks_for(orthanc: Any, generator: Generator, tmp_path: Path) -> None:
    drawn = draw(generator, tmp_path / "set")
    orthanc.store(drawn.path / "images")

    asked = ("StudyDate", "StudyTime", "StudyDescription", "PatientName", "PatientID", "ModalitiesInStudy")
    (found,) = orthanc.find(StudyID="00000002", **dict.fromkeys(asked, ""))

    sent = files(drawn)[2]
    assert (found.StudyDate, found.StudyTime) == ("20261128", "000000")
    assert found.StudyDescription == "Synthetic chest radiograph" and found.ModalitiesInStudy == "OT"
    assert (found.PatientName, found.PatientID) == (sent.PatientName, sent.PatientID)


def test_an_archive_keeps_every_drawing_once(orthanc: Any, generator: Generator, tmp_path: Path) -> None:
    first = draw(generator, tmp_path / "first")
    later = draw(generator, tmp_path / "later", date(2027, 1, 15))
    others = draw(generator, tmp_path / "others", Effusion=0.5)
    for drawn in (first, later, others, first):
        orthanc.store(drawn.path / "images")

    counted = orthanc.rest("/statistics")
    assert counted["CountInstances"] == 3 * COUNT, "another date or label is another image, the same again is not"
    assert counted["CountPatients"] == COUNT, "the latents are the same pseudo-patients"
    assert counted["CountStudies"] == 2 * COUNT, "a date is a study"
    assert studies(orthanc.find(StudyDate="20270101-")) == studies(files(later))
    assert studies(orthanc.find(StudyDate="-20261231")) == studies(files(first)) == studies(files(others))


@pytest.mark.parametrize("profile", ["--general-purpose", "--usb-and-flash-jpeg", "--general-mime"])
def test_a_set_becomes_a_disc_with_a_dicomdir(
    generator: Generator, tmp_path: Path, tool: Callable[[str, str], str], profile: str
) -> None:
    drawn = draw(generator, tmp_path / "set")
    disc = tmp_path / "disc"
    (disc / "IMAGES").mkdir(parents=True)
    for path in (drawn.path / "images").iterdir():
        shutil.copy(path, disc / "IMAGES" / path.stem)  # a DICOMDIR knows no suffix: PS3.10, 8.2

    command = [tool("dcmmkdir", "dcmtk"), "--strict", profile, "--recurse", "IMAGES"]
    ended = subprocess.run(command, cwd=disc, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    records = pydicom.dcmread(disc / "DICOMDIR").DirectoryRecordSequence
    listed = {tuple(record.ReferencedFileID): record for record in records if "ReferencedFileID" in record}
    assert set(listed) == {("IMAGES", f"{index:08d}") for index in range(COUNT)}
    for index, file in enumerate(files(drawn)):
        assert listed["IMAGES", f"{index:08d}"].ReferencedSOPInstanceUIDInFile == file.SOPInstanceUID
    dates = {record.StudyDate for record in records if record.DirectoryRecordType == "STUDY"}
    assert dates == {"20261128"}
