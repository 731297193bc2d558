"""What DICOM headers say of the view, the modality and the part of the body."""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from radcommons.data.header_words import statements_in
from radcommons.data.views import Declared, decide


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in {"Modality": "DX", "BodyPartExamined": "CHEST", **values}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def coded(value: str, meaning: str, scheme: str = "SCT", modifier: Dataset | None = None) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    if modifier is not None:
        item.ViewModifierCodeSequence = Sequence([modifier])
    return Sequence([item])


def refused(**values: Any) -> str | None:
    return decide(statements_in(header(**values))).refused


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("R-10206", "AP"),
        ("399348003", "AP"),
        ("R-10214", "PA"),
        ("272479007", "PA"),
        ("R-40888", "PA"),
        ("R-10236", "lateral view"),
        ("399173006", "lateral view"),
        ("R-10232", "lateral view"),
        ("399067008", "lateral view"),
        ("R-102CD", "lateral view"),
        ("R-10220", "oblique view"),
        ("399356000", "oblique view"),
        ("R-10230", "oblique view"),
        ("R-10208", "oblique view"),
        ("399061009", "section image"),
        ("119376003", "not a frontal view"),
    ],
)
def test_a_view_code_decides_whatever_its_meaning_is_called(code: str, expected: str) -> None:
    for meaning in ("", "ansicht", "vue"):
        decision = decide(statements_in(header(ViewCodeSequence=coded(code, meaning))))
        assert (decision.refused or decision.view) == expected


def test_an_unknown_code_is_read_by_its_meaning() -> None:
    assert refused(ViewCodeSequence=coded("V123", "Left lateral", "99ACME")) == "lateral view"
    assert decide(statements_in(header(ViewCodeSequence=coded("V1", "postero-anterior", "99ACME")))).view == "PA"
    assert refused(ViewCodeSequence=coded("V1", "Spezial", "99ACME")) == (
        "view 'SPEZIAL' is not known; pass --views 'SPEZIAL' if it is frontal"
    )
    assert "view in unknown words" in str(refused(ViewCodeSequence=coded("V123456", "", "99ACME")))


def test_a_code_against_its_own_meaning_or_the_view_position_is_a_contradiction() -> None:
    assert "contradiction" in str(refused(ViewCodeSequence=coded("R-10206", "left lateral")))
    assert refused(ViewPosition="PA", ViewCodeSequence=coded("R-10236", "")) == (
        "contradiction in the view: PA against lateral view"
    )
    assert (
        refused(ViewPosition="PA", PatientOrientation=["A", "F"])
        == "contradiction in the view: PA against lateral view"
    )


def test_a_view_modifier_counts_where_it_is_known() -> None:
    modifier = coded("111069", "Crosstable", "DCM")[0]
    assert refused(ViewCodeSequence=coded("R-10206", "antero-posterior", modifier=modifier)) is not None
    for code, meaning in (("X", "Erect"), ("R-10242", "caudad"), ("399196006", "cephalad")):
        other = coded(code, meaning)[0]
        assert refused(ViewCodeSequence=coded("R-10206", "antero-posterior", modifier=other)) is None


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["A", "F"], "lateral view"),
        (["P", "F"], "lateral view"),
        (["AL", "F"], "lateral view"),
        (["F", "A"], "lateral view"),
        ("A", "lateral view"),
        (["L", "F"], None),
        (["R", "F"], None),
        (["F", "L"], None),
        ("", None),
        (["", ""], None),
        (["L", "P"], "section image"),
    ],
)
def test_the_run_of_rows_and_columns_tells_laterals(orientation: Any, expected: str | None) -> None:
    assert refused(PatientOrientation=orientation) == expected
    assert decide(statements_in(header(PatientOrientation=orientation))).view is None


def test_a_wrong_orientation_can_be_declared() -> None:
    said = statements_in(header(ViewPosition="PA", PatientOrientation=["A", "F"]))
    assert decide(said, Declared.of(views=["orientation lateral"])).view == "PA"
    lateral = statements_in(header(ViewPosition="LATERAL", PatientOrientation=["A", "F"]))
    assert decide(lateral, Declared.of(views=["orientation lateral"])).refused


def test_a_frontal_run_does_not_outweigh_a_description() -> None:
    assert refused(PatientOrientation=["L", "F"], SeriesDescription="Chest lateral") == "lateral view"


@pytest.mark.parametrize(
    "keyword",
    [
        "SeriesDescription",
        "AcquisitionDeviceProcessingDescription",
        "ProtocolName",
        "StudyDescription",
        "PerformedProcedureStepDescription",
    ],
)
def test_each_description_is_read(keyword: str) -> None:
    assert refused(**{keyword: "CHEST LAT"}) == "lateral view"
    assert refused(ViewPosition="PA", **{keyword: "CHEST PA AND LATERAL"}) is None


def test_the_anatomic_region_counts_like_the_body_part() -> None:
    for code in ("T-D3000", "816094009", "51185008", "T-28000"):
        assert refused(BodyPartExamined=None, AnatomicRegionSequence=coded(code, "")) is None
    assert (
        refused(BodyPartExamined=None, AnatomicRegionSequence=coded("24136001", "")) == "body part hip, not the chest"
    )
    assert refused(BodyPartExamined=None, AnatomicRegionSequence=coded("9", "Knee")) == "body part leg, not the chest"
    assert refused(AnatomicRegionSequence=coded("T-D8700", "")) == "contradiction in the body part: chest against hand"


def test_without_a_modality_the_kind_of_object_tells() -> None:
    for uid, modality in (("1.2.840.10008.5.1.4.1.1.2", "CT"), ("1.2.840.10008.5.1.4.1.1.1.2", "MG")):
        assert str(refused(Modality=None, SOPClassUID=uid)).startswith(f"modality {modality}, not CR")
    for uid in ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1", None):
        assert refused(Modality=None, SOPClassUID=uid) is None
        assert refused(Modality="CR", SOPClassUID=uid) is None


def test_a_synthetic_image_says_so() -> None:
    said = statements_in(header(Modality="OT", SyntheticData="YES"))
    assert "--synthetic" in str(decide(said).refused)
    assert decide(said, Declared(synthetic=True)).refused is None
    assert refused(SyntheticData="NO") is None


def test_what_stands_in_the_place_of_a_sequence_is_left_out_and_bytes_are_read() -> None:
    assert decide(statements_in({"ViewCodeSequence": "odd", "AnatomicRegionSequence": b"odd"})).refused is None
    assert decide(statements_in({"ViewPosition": b"LL\0"})).refused == "lateral view"
    assert refused(ViewCodeSequence=Sequence([Dataset()]), ViewPosition="PA") is None


def test_a_header_without_any_of_it_is_taken() -> None:
    assert decide(statements_in(Dataset())) == decide(
        statements_in(header(Modality="", BodyPartExamined="", ViewPosition=""))
    )
