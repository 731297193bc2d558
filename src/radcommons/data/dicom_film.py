"""Read DICOM radiographs with pydicom: header facts, and the film as a monitor would show it.

Warnings and log lines of pydicom and its decoders contain header values, which may identify a patient. So this module
silences them and raises every fault as an ImageRefused with its own message.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radcommons.data.dicom_pixels import stored_values
from radcommons.data.display import shown
from radcommons.data.film import Film, age_years, sex
from radcommons.data.header_words import KIND_TAGS, statements_in
from radcommons.data.views import (
    NO_STATEMENTS,
    NOTHING_DECIDED,
    NOTHING_DECLARED,
    Decision,
    Declared,
    Statements,
    decide,
)
from radcommons.errors import ImageRefused

HEADER_TAGS: Final = ["SOPInstanceUID", "PatientID", "PatientAge", "PatientSex", *KIND_TAGS]
NOT_DICOM: Final = "not a DICOM file"
HEAD_BYTES: Final = 132  # preamble and "DICM"


@dataclass(frozen=True, slots=True)
class Header:
    """The header facts of one DICOM file that a listing needs.

    Attributes:
        statements: about view, modality and part of the body, for `views.decide`.
        refused: the reason, if the file cannot be read.
    """

    uid: str = ""
    patient: str = ""
    age_years: float | None = None
    sex: str | None = None
    statements: Statements = NO_STATEMENTS
    refused: str | None = None
    patient_bytes: bytes = b""  # the PatientID as the file has it


def is_dicom(start: bytes) -> bool:
    """Whether a file with these first 132 bytes is DICOM: with a preamble, or starting with an element."""
    if start[128:132] == b"DICM":
        return True
    # Without a preamble, the first element is of group 0002 or 0008, little endian.
    group, element = int.from_bytes(start[:2], "little"), int.from_bytes(start[2:4], "little")
    named = re.fullmatch(rb"[A-Z]{2}", start[4:6]) is not None
    return len(start) == HEAD_BYTES and group in (2, 8) and element < 0x100 and (named or start[6:8] == b"\0\0")


def _open(file: BinaryIO, **how: Any) -> Any:
    """The data set of a DICOM file; without a transfer syntax, the form of its elements decides."""
    dataset: Any = pydicom.dcmread(file, force=True, **how)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def read_header(path: Path) -> Header:
    """The header facts of one DICOM file, without its pixels; a fault is returned, not raised."""
    try:
        with path.open("rb") as file:
            if not is_dicom(file.read(HEAD_BYTES)):
                return Header(refused=NOT_DICOM)
            file.seek(0)
            with _silent():
                dataset = _open(file, stop_before_pixels=True, specific_tags=list(HEADER_TAGS))
                if not len(dataset):
                    return Header(refused=NOT_DICOM)
                as_stored = _patient_bytes(dataset)
                uid, patient = _text(dataset, "SOPInstanceUID"), _text(dataset, "PatientID")
                return Header(uid, patient, *_facts(dataset), patient_bytes=as_stored)
    except OSError:
        return Header(refused="image file cannot be opened")
    except Exception:  # a parser's message may contain header values
        return Header(refused="DICOM header is damaged")


def read_dicom(file: BinaryIO, *, declared: Declared = NOTHING_DECLARED, before: Decision = NOTHING_DECIDED) -> Film:
    """Read the film in an open DICOM file; raises ImageRefused with a reason without identifiers.

    `declared` are the user's words and `before` is the decision from a label table; see `views.decide`.
    """
    with _silent():
        with _refused_as("DICOM file is damaged: its header cannot be read"):
            dataset = _open(file)
            age, gender, statements = _facts(dataset)
        decision = decide(statements, declared, before)
        if decision.refused:
            raise ImageRefused(decision.refused)
        with _refused_as(f"DICOM pixels cannot be decoded ({_syntax(dataset)})"):
            stored = stored_values(dataset)
        with _refused_as("DICOM rescale, window or lookup table cannot be applied"):
            pixels = shown(stored, dataset)
    return Film(pixels, decision.view, age, gender, decision.declared)


@contextmanager
def _refused_as(reason: str) -> Iterator[None]:
    """Replace a parser's error with `reason`, because its message may contain header values."""
    try:
        yield
    except ImageRefused:
        raise
    except Exception:
        raise ImageRefused(reason) from None


def _facts(dataset: Any) -> tuple[float | None, str | None, Statements]:
    """Age, sex, and statements about view, modality and part of the body."""
    return age_years(_text(dataset, "PatientAge")), sex(_text(dataset, "PatientSex")), statements_in(dataset)


def _text(dataset: Any, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip().strip("\0")


def _patient_bytes(dataset: Any) -> bytes:
    """The PatientID before it is decoded, without padding."""
    value = getattr(dataset.get_item("PatientID"), "value", None)
    return value.strip(b" \0") if isinstance(value, bytes) else b""


def _syntax(dataset: Any) -> str:
    uid = dataset.file_meta.get("TransferSyntaxUID")
    known = uid is not None and not uid.is_private and uid.name != str(uid)
    return str(uid.name) if known else "unknown transfer syntax"


@contextmanager
def _silent() -> Iterator[None]:
    """Silence warnings and log lines of pydicom and the decoders, whatever the caller has configured."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pydicom's; not RuntimeWarning, which would be our own fault
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.disable(before)
