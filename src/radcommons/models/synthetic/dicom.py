"""One DICOM file from one synthetic image.

The object is a Secondary Capture with ConversionType ``SYN``, "Synthetic Image" (PS3.3 C.8.6.1), and Modality
``OT``: the one image class that claims no X-ray tube, plate or detector. Computed Radiography would validate
too, but says that a plate was exposed; Digital X-Ray demands a laterality, a pixel spacing and a detector,
which would all be invented.
"""

import hashlib
import uuid
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage


def encode_dicom(
    image: np.ndarray, labels: Mapping[str, str], *, generator: str, digest: str, seed: int, index: int
) -> bytes:
    """A complete DICOM file: 8-bit MONOCHROME2, explicit VR little endian, SyntheticData = YES.

    Every image has a pseudo patient and a study of its own, which follow from the generator, the seed and
    the index. The series and the instance follow from pixels and labels too: the same latent drawn for other
    labels is another image and must not share its identifier. The same arguments give the same bytes.

    Args:
        image: uint8 (R, R), 0 black.
        labels: finding -> number as text; readable again through `labels_from_comment`.
        generator: name of the generator, for people.
        digest: digest of the generator's weights, for identifiers.
        seed: seed of the set.
        index: index of the image in the set.
    """
    drawn = f"{digest}/{seed}/{index}"
    content = hashlib.sha256(image.tobytes() + repr(sorted(labels.items())).encode()).hexdigest()

    file = Dataset()
    file.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    file.SOPClassUID = SecondaryCaptureImageStorage
    file.SOPInstanceUID = _uid("instance", drawn, content)
    file.SyntheticData = "YES"

    # No person, no examination: what the standard wants present (type 2) is empty, never invented. No
    # PatientIdentityRemoved either: there was no identity to remove.
    file.PatientName = f"SYNTHETIC^{index:08d}"
    file.PatientID = f"SYNTHETIC-{_uuid('patient', drawn).hex[:16]}"
    file.PatientBirthDate = ""
    file.PatientSex = ""
    file.PatientComments = "Synthetic image: no such patient exists."
    file.StudyInstanceUID = _uid("study", drawn)
    file.StudyDate = ""
    file.StudyTime = ""
    file.StudyID = ""
    file.AccessionNumber = ""
    file.ReferringPhysicianName = ""
    file.SeriesInstanceUID = _uid("series", drawn, content)
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


def _uuid(*names: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, "/".join(["radcommons", *names]))


def _uid(*names: str) -> UID:
    return UID(f"2.25.{_uuid(*names).int}")  # a UID out of a UUID: PS3.5 B.2
