import json

import pytest

from radcommons.data.sources import list_rsna
from radcommons.errors import FindingUnknown, TableRefused

BOXES = """patientId,x,y,width,height,Target
aa-1,,,,,0
bb-2,264.0,152.0,213.0,379.0,1
bb-2,562.0,152.0,256.0,453.0,1
cc-3,,,,,0
dd-4,,,,,0
"""
CLASSES = """patientId,class
aa-1,Normal
bb-2,Lung Opacity
bb-2,Lung Opacity
cc-3,No Lung Opacity / Not Normal
dd-4,Normal
"""


@pytest.fixture
def rsna(tmp_path, write_dicom, film_like):
    def build(boxes=BOXES, classes=None, mapping=None, images=("aa-1", "bb-2", "cc-3")):
        (tmp_path / "stage_2_train_labels.csv").write_text(boxes)
        if classes:
            (tmp_path / "stage_2_detailed_class_info.csv").write_text(classes)
        if mapping is not None:
            (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(mapping)
        for image in images:
            write_dicom(film_like(), f"stage_2_train_images/{image}.dcm")
        return tmp_path

    return build


def test_several_boxes_are_one_film_and_target_is_pneumonia(rsna):
    listing = list_rsna([rsna()])
    assert listing.findings == ("Pneumonia",) and listing.absent == 1
    assert [(c.row, c.image, c.labels) for c in listing.candidates] == [
        (2, "aa-1", (0,)), (3, "bb-2", (1,)), (5, "cc-3", (0,)),
    ]  # fmt: skip


def test_the_class_table_adds_findings_that_can_be_asked_for(rsna):
    source = rsna(classes=CLASSES)
    listing = list_rsna([source], findings=["No Finding", "Lung Opacity", "Pneumonia"])
    assert [c.labels for c in listing.candidates] == [(1, 0, 0), (0, 1, 1), (0, 0, 0)]
    with pytest.raises(FindingUnknown, match="'Mass' is not labelled by this RSNA folder"):
        list_rsna([source], findings=["Mass"])


def test_contradictions_are_refused(rsna):
    boxes = BOXES.replace("cc-3,,,,,0", "cc-3,,,,,0\ncc-3,1,1,1,1,1")
    classes = CLASSES.replace("aa-1,Normal", "aa-1,Lung Opacity")
    listing = list_rsna([rsna(boxes, classes)])
    assert [c.image for c in listing.candidates] == ["bb-2"]
    assert [(r.row, r.reason) for r in listing.refusals] == [
        (2, "mislabelled: column class contradicts column Target"),
        (5, "mislabelled: the rows of this image disagree in column Target"),
    ]


def test_the_mapping_leads_back_to_nih_patients(rsna):
    rows = [
        {"subset_img_id": "aa-1", "img_id": "00000007_000.png"},
        {"subset_img_id": "bb-2", "img_id": "00000007_003.png"},
    ]
    listing = list_rsna([rsna(mapping=json.dumps(rows))])
    assert [c.patient for c in listing.candidates] == ["7", "7"]
    assert [r.reason for r in listing.refusals] == ["no row in the mapping to NIH's patients"]
    with pytest.raises(TableRefused, match="is not a list of subset_img_id and img_id"):
        list_rsna([rsna(mapping="[1, 2]")])


def test_a_target_that_another_program_has_written_is_read(rsna):
    boxes = BOXES.replace(",0\n", ",0.0\n").replace(",1\n", ",1.0\n")
    assert [c.labels for c in list_rsna([rsna(boxes)]).candidates] == [(0,), (1,), (0,)]
    assert "other than 1 or 0" in list_rsna([rsna(BOXES.replace("cc-3,,,,,0", "cc-3,,,,,"))]).refusals[0].reason
