"""One DICOM file from one synthetic image.

The object is a Secondary Capture with ConversionType ``SYN``, "Synthetic Image" (PS3.3 C.8.6.1), and Modality
``OT``: the one image class that claims no X-ray tube, plate or detector. Computed Radiography would validate
too, but says that a plate was exposed; Digital X-Ray demands a laterality, a pixel spacing and a detector,
which would all be invented.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import date
from io import BytesIO
from typing import Any, Literal

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from radcommons.errors import SettingRefused

StudyDate = date | Literal["today", "none"]
"""The study date of a set, as asked for; today is the day on which the set is begun."""


def encode_dicom(
    image: np.ndarray,
    labels: Mapping[str, str],
    *,
    generator: str,
    digest: str,
    seed: int,
    index: int,
    study_date: date | None,
) -> bytes:
    """A complete DICOM file: 8-bit MONOCHROME2, explicit VR little endian, SyntheticData = YES.

    The same arguments give the same bytes. Which identifiers two files share:

    - PatientID: generator, seed and index. The same latent vector, drawn for other labels or with another date,
      is the same simulated patient.
    - StudyInstanceUID: the patient and the date. A study has one date, so another date is another study.
    - SeriesInstanceUID and SOPInstanceUID: everything else in the file. A UID stands for one object, and an archive
      that holds it takes no second one: a file with another date under the same UID would be dropped on arrival,
      and no query would find the date. So two files share these UIDs only where they are the same throughout.

    Args:
        image: uint8 (R, R), 0 black.
        labels: finding -> number as text; readable again through `labels_from_comment`.
        generator: name of the generator, for people.
        digest: digest of the generator's weights, for identifiers.
        seed: seed of the set.
        index: index of the image in the set.
        study_date: date of the study and its series; None leaves it empty.
    """
    drawn = f"{digest}/{seed}/{index}"
    day = "" if study_date is None else study_date.isoformat().replace("-", "")

    file = Dataset()
    file.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    file.SOPClassUID = SecondaryCaptureImageStorage
    file.SyntheticData = "YES"

    # No person, no examination: what the standard wants present (type 2) is empty, never invented. No
    # PatientIdentityRemoved either: there was no identity to remove.
    file.PatientName = f"SYNTHETIC^{index:08d}"
    file.PatientID = f"SYNTHETIC-{_uuid('patient', drawn).hex[:16]}"
    file.PatientBirthDate = ""
    file.PatientSex = ""
    file.PatientComments = "Synthetic image: no such patient exists."
    file.StudyInstanceUID = _uid("study", drawn, day)
    file.StudyDate = file.SeriesDate = day
    file.StudyTime = "000000" if day else ""  # a DICOMDIR wants one beside the date (PS3.3 F.5.2); no hour is meant
    file.StudyID = f"{index:08d}"
    file.StudyDescription = "Synthetic chest radiograph"
    file.AccessionNumber = ""  # nobody ordered it, and an invented number may be that of a real order
    file.ReferringPhysicianName = ""
    file.SeriesNumber = 1
    file.SeriesDescription = "Synthetic chest radiograph"
    file.Modality = "OT"
    file.BodyPartExamined = "CHEST"
    file.ConversionType = "SYN"
    file.SecondaryCaptureDeviceManufacturer = "RadCommons"

    file.ImageType = ["DERIVED", "SECONDARY"]  # not ORIGINAL: a filter on originals leaves it out
    file.DerivationDescription = f"Drawn by generator {generator} ({digest}), seed {seed}, image {index}."[:1024]
    file.ImageComments = "; ".join(f"{finding}={value}" for finding, value in labels.items())
    file.InstanceNumber = 1
    file.PatientOrientation = ""
    file.BurnedInAnnotation = "NO"  # the attribute means text that identifies a patient; there is none
    file.LossyImageCompression = "00"

    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.Rows, file.Columns = image.shape
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit = 7
    file.PixelRepresentation = 0
    file.WindowCenter, file.WindowWidth = 128, 256  # the identity on 0..255 (PS3.3 C.11.2.1.2)
    content = hashlib.sha256(file.to_json().encode() + image.tobytes()).hexdigest()
    file.SeriesInstanceUID = _uid("series", content)
    file.SOPInstanceUID = _uid("instance", content)
    file.add_new("PixelData", "OB", image.tobytes() + b"\0" * (image.size % 2))

    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def labels_from_comment(comment: str) -> dict[str, float]:
    """The labels of ImageComments, e.g. ``Effusion=1; Cardiomegaly=0.5``."""
    pairs = (item.rpartition("=") for item in comment.split("; ") if item)
    return {finding: float(value) for finding, _, value in pairs}


def read_study_date(text: str | None, format: str) -> StudyDate:
    """`text` as typed; raises SettingRefused where it is no date, or where the files of `format` have none."""
    if text is None:
        return "today"
    if format != "dicom":
        raise SettingRefused(
            f"--study-date {text}: {format} files have no study date; add --format dicom or drop --study-date"
        )
    if text == "today":
        return "today"
    if text == "none":
        return "none"
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingRefused(f"--study-date {text} is not a date; write it as YYYY-MM-DD, or today or none") from None


def study_date_in_request(asked: StudyDate, begun: Mapping[str, Any] | None) -> str | None:
    """The date as the request of a set keeps it, YYYY-MM-DD or None; `begun` is the set's request if there is one.

    A set begun yesterday keeps its date when the same command continues it today, so all files have one date.
    """
    if asked == "today":
        return date.today().isoformat() if begun is None else begun.get("study_date")
    return None if asked == "none" else asked.isoformat()


def _uuid(*names: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, "/".join(["radcommons", *names]))


def _uid(*names: str) -> UID:
    return UID(f"2.25.{_uuid(*names).int}")  # a UID out of a UUID: PS3.5 B.2
