import gzip
import shutil
from collections import Counter

import pytest

from radcommons.data.sources import list_nih
from radcommons.errors import FindingUnknown, PathMissing, TableRefused
from radcommons.findings import NIH

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position"
OLD_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


@pytest.fixture
def nih(tmp_path, write_film):
    """Writes a small NIH folder: table rows, and films for the named images."""

    def build(rows, images=(), *, header=HEADER, name="Data_Entry_2017_v2020.csv"):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        for image in images:
            write_film(image)
        return tmp_path

    return build


def test_rows_become_labels_with_view_age_and_sex(nih):
    source = nih(
        ["00000001_000.png,Effusion|Mass,0,1,058Y,M,PA", "00000002_000.png,No Finding,0,2,411,F,AP"],
        ["images/00000001_000.png", "images/00000002_000.png"],
    )
    listing = list_nih([source])
    first, second = listing.candidates
    assert listing.findings == NIH and listing.source == "nih" and listing.absent == 0
    assert [name for name, label in zip(NIH, first.labels, strict=True) if label] == ["Effusion", "Mass"]
    assert (first.row, first.patient, first.image, first.view, first.age_years, first.sex) == (
        2, "1", "00000001_000.png", "PA", 58, "M",
    )  # fmt: skip
    assert set(second.labels) == {0} and second.age_years is None
    assert first.part is None


def test_reencoded_images_in_nested_folders_match_by_stem_and_the_rest_is_absent(nih):
    source = nih(
        [f"0000000{n}_000.png,No Finding,0,{n},50,M,PA" for n in range(1, 5)],
        ["images_001/images/00000001_000.jpg", "images_002/00000003_000.jpeg", "other/00000002_000.png"],
    )
    listing = list_nih([source])
    assert [c.image for c in listing.candidates] == ["00000001_000.png", "00000003_000.png"]
    assert listing.absent == 2 and not listing.refusals


def test_the_table_and_image_folders_may_be_separate_sources(nih, tmp_path):
    source = nih(["00000001_000.png,Hernia,0,1,50,M,PA"], ["images_001/00000001_000.png"])
    table = shutil.move(source / "Data_Entry_2017_v2020.csv", tmp_path / "images_001" / "Data_Entry_2017.csv")
    assert len(list_nih([table, tmp_path / "images_001"]).candidates) == 1


def test_the_old_header_and_a_gzipped_table_are_read(nih):
    source = nih(
        ["00000001_000.png,Hernia,0,1,058Y,F,AP,2682,2749,0.143,0.143,"],
        ["images/00000001_000.png"],
        header=OLD_HEADER, name="Data_Entry_2017.csv",
    )  # fmt: skip
    plain = list_nih([source])
    (source / "Data_Entry_2017.csv.gz").write_bytes(gzip.compress((source / "Data_Entry_2017.csv").read_bytes()))
    (source / "Data_Entry_2017.csv").unlink()
    assert list_nih([source]) == plain
    assert plain.candidates[0].sex == "F" and plain.candidates[0].age_years == 58


def test_rows_that_cannot_be_used_are_refused_with_line_and_reason(nih):
    source = nih(
        [
            "a1.png,No Finding|Mass,0,1,50,M,PA",
            "a2.png,Mass,0,1,50,M,LL",
            "a3.png,Mass,0,,50,M,PA",
            "a4.png,Mass,0,2,50,M,PA",
            "a4.png,Edema,0,2,50,M,PA",
            "a5.png,Mass,0,2,50,M,PA",
        ],
        ["images/a1.png", "images/a2.png", "images/a3.png", "images/a4.png", "images/a5.png", "images/a5.jpg"],
    )
    listing = list_nih([source])
    assert [c.row for c in listing.candidates] == [5]
    assert [(r.row, r.reason) for r in listing.refusals] == [
        (2, "mislabelled: 'No Finding' together with a finding"),
        (3, "lateral view"),
        (4, "the patient cell is blank"),
        (6, "duplicate: another row has the same image"),
        (7, "ambiguous: 2 files have the name in this row"),
    ]


def test_an_unknown_finding_names_file_line_and_nearest(nih):
    source = nih(["a.png,Mass,0,1,50,M,PA", "b.png,Mass|Cardiomegalie,0,1,50,M,PA"])
    with pytest.raises(FindingUnknown) as caught:
        list_nih([source])
    assert str(caught.value) == (
        "Data_Entry_2017_v2020.csv line 3: finding 'Cardiomegalie' is not known; the nearest is 'Cardiomegaly'"
    )


def test_findings_restrict_and_order_the_labels(nih):
    source = nih(["a.png,Mass|Edema,0,1,50,M,PA"], ["images/a.png"])
    listing = list_nih([source], findings=["edema", "Pleural Effusion", "No Finding"])
    assert listing.findings == ("Edema", "Effusion", "No Finding") and listing.candidates[0].labels == (1, 0, 0)
    with pytest.raises(FindingUnknown, match="'Viral' is not labelled by NIH ChestX-ray14"):
        list_nih([source], findings=["Viral"])


def test_all_missing_columns_are_named_at_once(nih):
    source = nih(["a.png,50"], header="Image Index,Patient Age")
    with pytest.raises(TableRefused) as caught:
        list_nih([source])
    assert "for the labels" in str(caught.value) and "for the patient" in str(caught.value)
    assert "columns found: Image Index, Patient Age" in str(caught.value)


def test_no_table_or_no_source_says_so(tmp_path):
    with pytest.raises(PathMissing, match=r"no table Data_Entry_2017\*.csv"):
        list_nih([tmp_path])
    with pytest.raises(PathMissing, match="nowhere does not exist"):
        list_nih([tmp_path / "nowhere"])
    for name in ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"):
        (tmp_path / name).write_text(HEADER)
    with pytest.raises(TableRefused, match="2 files could be the table"):
        list_nih([tmp_path])


@pytest.mark.real
def test_the_real_partial_download_lists_its_films(shared_data):
    listing = list_nih([shared_data / "nih"])
    assert len(listing.candidates) == 1634 and listing.absent == 112_120 - 1634 and not listing.refusals
    assert len({c.patient for c in listing.candidates}) == 1294
    counts = Counter(name for c in listing.candidates for name, label in zip(NIH, c.labels, strict=True) if label)
    assert 500 <= counts["Pneumonia"] <= 530 and all(counts[name] for name in NIH)
    assert {c.view for c in listing.candidates} == {"PA", "AP"}
