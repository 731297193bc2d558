"""Collect a DICOM header's statements about view, modality and part of the body, for `views.decide`.

Source: DICOM PS3.3 C.8.11.5 (DX positioning), C.8.1.2 (CR image), C.7.6.1.1.1 (patient orientation).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydicom.sequence import Sequence

from radcommons.data.view_phrases import About
from radcommons.data.view_words import BODY_PART_CODES, IMAGE_STORAGE, SOP_CLASSES, VIEW_CODES
from radcommons.data.views import Statements

# Fujifilm writes the view into AcquisitionDeviceProcessingDescription.
SERIES_TEXT: Final[tuple[str, ...]] = ("SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName")
STUDY_TEXT: Final = ("PerformedProcedureStepDescription", "RequestedProcedureDescription", "StudyDescription")
NAMES: Final = ("PatientName", "PatientID", "OtherPatientNames", "ReferringPhysicianName", "PerformingPhysicianName",
                "OperatorsName", "RequestingPhysician")  # fmt: skip
KIND_TAGS: Final = ("SOPClassUID", "Modality", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition",
                    "ViewCodeSequence", "PatientOrientation", "SyntheticData", "ImageType", *SERIES_TEXT, *STUDY_TEXT,
                    *NAMES)  # fmt: skip

CROSS_TABLE: Final = "111069"  # DICOM PS3.16 CID 4011
_AXES: Final = {"L": "side", "R": "side", "A": "depth", "P": "depth", "H": "height", "F": "height"}


def statements_in(dataset: Any) -> Statements:
    """The statements of a header; `views.decide` decides."""
    fields: list[tuple[About, str]] = [
        ("modality", _text(dataset, "Modality")),
        ("body part", _text(dataset, "BodyPartExamined")),
        ("view", _text(dataset, "ViewPosition")),
    ]
    hints: list[tuple[About, str]] = [
        ("view", _by_orientation(dataset)),
        ("modality", _MODALITY_BY_CLASS.get(_text(dataset, "SOPClassUID"), "")),
        *(("view", str(value)) for value in list(dataset.get("ImageType") or ())[2:]),
    ]
    for keyword, about, codes in _CODED:
        for item in _items(dataset, keyword):
            known = codes.get(_text(item, "CodeValue"))
            fields.append((about, known or _text(item, "CodeMeaning") or _text(item, "CodeValue")))
            if known:
                hints.append((about, _text(item, "CodeMeaning")))
            hints += [(about, meaning) for meaning in _modifiers(item)]
    return Statements(
        fields=tuple((about, value) for about, value in fields if value),
        hints=tuple((about, value) for about, value in hints if value),
        series_text=_texts(dataset, SERIES_TEXT),
        study_text=_texts(dataset, STUDY_TEXT),
        synthetic=_text(dataset, "SyntheticData").upper() == "YES",
        names=frozenset(
            word for keyword in NAMES for word in re.findall(r"\w{2,}", str(dataset.get(keyword, "")).casefold())
        ),
    )


def _items(dataset: Any, keyword: str) -> list[Any]:
    """The items of a sequence; none if the value is not a sequence."""
    value = dataset.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def _modifiers(item: Any) -> Iterator[str]:
    for modifier in _items(item, "ViewModifierCodeSequence"):
        # Codes of an angled tube are also those of cranio-caudal views, and a tilted AP film is frontal.
        yield "cross table" if _text(modifier, "CodeValue") == CROSS_TABLE else _text(modifier, "CodeMeaning")


def _by_orientation(dataset: Any) -> str:
    """The view if the image's axes include front to back; a frontal orientation is ignored: many detectors always
    write it."""
    value = dataset.get("PatientOrientation") or ()
    directions = [value] if isinstance(value, str) else list(value)
    axes = {_AXES.get(str(direction).strip()[:1].upper()) for direction in directions[:2]}
    if "depth" not in axes:
        return ""
    return "orientation axial" if "side" in axes else "orientation lateral"


def _by_code(table: Mapping[str, str]) -> dict[str, str]:
    return {code: meaning for codes, meaning in table.items() for code in codes.split()}


_MODALITY_BY_CLASS: Final = {IMAGE_STORAGE + end: modality for end, modality in _by_code(SOP_CLASSES).items()}
_CODED: Final[tuple[tuple[str, About, dict[str, str]], ...]] = (
    ("ViewCodeSequence", "view", _by_code(VIEW_CODES)),
    ("AnatomicRegionSequence", "body part", _by_code(BODY_PART_CODES)),
)


def _texts(dataset: Any, keywords: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text for keyword in keywords if (text := _text(dataset, keyword)))


def _text(dataset: Any, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    if isinstance(value, bytes):  # the value representation is unknown
        value = value.decode("ascii", "ignore")
    parts = [value] if isinstance(value, str) else list(value) if hasattr(value, "__iter__") else [value]
    return " ".join(str(part).strip().strip("\0") for part in parts).strip()
