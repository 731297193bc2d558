import gzip
from collections import Counter
from dataclasses import replace

import pytest

from radcommons.data.sources import list_table
from radcommons.data.sources.file_names import DISAGREE, DUPLICATE
from radcommons.data.sources.tables import Columns
from radcommons.errors import FindingUnknown, PathMissing, TableRefused
from radcommons.findings import NIH


@pytest.fixture
def table(tmp_path, write_film):
    """Writes labels.csv, and films images/1.png to images/9.png."""

    def build(text, *, name="labels.csv", encoding="utf-8"):
        for n in range(1, 10):
            if not (tmp_path / f"images/{n}.png").exists():
                write_film(f"images/{n}.png")
        path = tmp_path / name
        content = text.encode(encoding)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return build


def test_a_column_of_lists_gives_the_findings_that_occur_in_the_vocabularys_order(table):
    listing = list_table([table("image,patient_id,view,labels,age,sex\n"
                                "images/1.png,p1,PA,Pneumonia|Effusion,060Y,F\n"
                                "images/2.png,p1,,Normal,,\n"
                                "images/3.png,p2,AP,,,\n")])  # fmt: skip
    assert listing.findings == ("Effusion", "Pneumonia") and listing.label_policy == "as-given"
    assert [c.labels for c in listing.candidates] == [(1, 1), (0, 0), (None, None)]  # blank stays unknown
    first = listing.candidates[0]
    assert (first.row, first.patient, first.view, first.age_years, first.sex) == (2, "p1", "PA", 60, "F")


def test_one_column_a_finding_with_blanks_unknown(table):
    path = table("File;Patient;Pleural Effusion;edema;Note\n"
                 "images/1.png;a;1;0;x\nimages/2.png;b;-1;;y\nimages/3.png;b;True;FALSE;z\n")  # fmt: skip
    listing = list_table([path])
    assert listing.findings == ("Effusion", "Edema") and listing.label_policy == "u-ignore"
    assert [c.labels for c in listing.candidates] == [(1, 0), (None, None), (1, 0)]
    policies = {
        p: [c.labels for c in list_table([path], uncertain=p).candidates][1] for p in ("u-ones", "u-zeros", "paper")
    }
    assert policies == {"u-ones": (1, None), "u-zeros": (0, None), "paper": (1, 0)}


def test_findings_restrict_and_order_and_must_be_labelled(table):
    path = table("image,patient,labels\nimages/1.png,a,Mass|Edema\nimages/2.png,a,Hernia\n")
    assert list_table([path], findings=["Hernia", "Mass"]).candidates[0].labels == (0, 1)
    with pytest.raises(FindingUnknown, match=r"'Nodule' is not labelled by labels\.csv"):
        list_table([path], findings=["Nodule"])


@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz", "site.csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_folder_gzip_and_other_encodings_are_read(table, name, encoding):
    path = table("image,patient,labels\nimages/1.png,Müller,Mass\n", name=name, encoding=encoding)
    assert list_table([path.parent]).candidates[0].patient == "Müller"


def test_columns_and_image_folder_can_be_given(table, tmp_path):
    path = table("scan,who,what\n1.png,a,Mass\n", name="x.csv")
    images, columns = tmp_path / "images", Columns(image="scan", patient="who", labels="what")
    assert len(list_table([path], images=images, columns=columns).candidates) == 1
    with pytest.raises(TableRefused, match="no column 'whom' for the patient; the nearest name is that of column 2"):
        list_table([path], images=images, columns=replace(columns, patient="whom"))
    with pytest.raises(TableRefused, match="cannot be both the labels and an identifier"):
        list_table([path], images=images, columns=replace(columns, labels="who"))


def test_a_missing_patient_column_is_refused_never_guessed_and_all_faults_come_at_once(table):
    with pytest.raises(TableRefused) as caught:
        list_table([table("picture,labels\nimages/1.png,Mass\n")])
    assert str(caught.value) == (
        "labels.csv: no column for the image: call it 'image', or pass --image-column NAME; no column for the patient: "
        "call it 'patient', or pass --patient-column NAME; columns found: labels, and 1 with unknown names, not shown"
    )


def test_a_table_without_a_header_does_not_spill_its_first_patient(table):
    with pytest.raises(TableRefused) as caught:
        list_table([table("images/4711-Doe.png,4711,Mass\nimages/1.png,4712,Mass\n")])
    assert "4711" not in str(caught.value)
    assert str(caught.value).endswith(
        "columns found: Mass, and 2 with unknown names, not shown; the first line must name the columns"
    )


def test_unusable_rows_are_refused_with_line_and_reason(table):
    listing = list_table([table(
        "image,patient,view,labels\n"
        "images/1.png,a,PA,Mass\n"
        "images/none.png,a,PA,Mass\n"
        "./images/1.png,a,PA,Mass\n"
        ",a,PA,Mass\n"
        "images/2.png,,PA,Mass\n"
        "images/3.png,a,LL,Mass\n"
        "\n"
        "images/4.png,a,PA,Mass|No Finding\n"
    )])  # fmt: skip
    assert [c.row for c in listing.candidates] == [2]
    assert [(r.row, r.reason) for r in listing.refusals] == [
        (3, "image file is missing"),
        (4, "duplicate: another row has the same image"),
        (5, "the image cell is blank"),
        (6, "the patient cell is blank"),
        (7, "lateral view"),
        (9, "mislabelled: 'No Finding' together with a finding"),
    ]


def test_an_odd_label_value_refuses_its_row_and_is_not_repeated(table):
    listing = list_table([table("image,patient,Edema,Mass\nimages/1.png,a,1,0\nimages/2.png,a,Doe47,3\n")])
    assert [r.reason for r in listing.refusals] == [
        "mislabelled: a value other than 1, 0, -1 or blank in column Edema, Mass"
    ]


def test_unknown_findings_name_line_and_nearest_in_cells_and_columns(table):
    rows = "".join(f"images/{n}.png,a,Mass\n" for n in range(1, 9))
    path = table("image,patient,labels\n" + rows + "images/9.png,a,Cardiomegalie\n")
    with pytest.raises(FindingUnknown) as caught:
        list_table([path])
    assert str(caught.value) == (
        "labels.csv line 10: finding 'Cardiomegalie' is not known; the nearest is 'Cardiomegaly'"
    )
    path = table("image,patient,Cardiomegalie,Mass\nimages/1.png,a,1,0\n")
    with pytest.raises(
        FindingUnknown, match="the name of column 3 is not a known finding; the nearest is 'Cardiomegaly'"
    ):
        list_table([path])


def test_no_labels_or_two_kinds_of_labels_are_refused_with_the_next_step(table):
    with pytest.raises(TableRefused, match="--label-column NAME"):
        list_table([table("image,patient\nimages/1.png,a\n")])
    with pytest.raises(TableRefused, match="pass --label-column labels"):
        list_table([table("image,patient,labels,Mass\nimages/1.png,a,Mass,1\n")])
    with pytest.raises(TableRefused, match="no row names a finding"):
        list_table([table("image,patient,labels\nimages/1.png,a,Normal\n")])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "labels.csv is empty"),
        (b"image,patient,labels\n", "labels.csv has a header but no rows"),
        (b"PK\x03\x04\x00\x00", "labels.csv is not a text table; export it as CSV"),
        (b"image,patient,labels\na,b,c\n1,Doe,3,4\n", "labels.csv line 3 has 4 fields and the header has 3"),
        (b'image,patient,labels\na,b,c\n"1,Doe,3\n', "labels.csv line 3: a quotation mark is not closed"),
        (b"image,labels,labels\n1,2,3\n", "labels.csv: 1 columns have the same name as another: 'labels'"),
        (b"\x1f\x8bbroken", "labels.csv cannot be read, or is a damaged gzip file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_says_why_without_its_cells(table, content, reason):
    path = table("x")
    path.write_bytes(content)
    with pytest.raises(TableRefused) as caught:
        list_table([path])
    assert str(caught.value).startswith(reason) and "Doe" not in str(caught.value)


def test_missing_files_and_several_tables_are_named(table, tmp_path):
    with pytest.raises(PathMissing, match=r"no labels.csv"):
        list_table([tmp_path])
    table("a", name="one.csv")
    table("a", name="two.csv")
    with pytest.raises(TableRefused, match=r"2 CSV files and none is labels\.csv"):
        list_table([tmp_path])
    with pytest.raises(PathMissing, match="one CSV file or folder at a time"):
        list_table([tmp_path, tmp_path])


def test_no_refusal_or_error_holds_an_identifier(table):
    secret = "Mustermann4711"
    listing = list_table([table(
        f"image,patient,view,labels\nimages/{secret}.png,{secret},PA,Mass\nimages/1.png,{secret},LL,Mass\n"
        f"images/1.png,{secret},PA,Mass|Normal\n"
    )])  # fmt: skip
    assert len(listing.refusals) == 3 and secret not in "".join(r.reason for r in listing.refusals)
    path = table(f"image,patient,remark\nimages/1.png,{secret},{secret}\n")
    with pytest.raises(FindingUnknown) as caught:
        list_table([path], columns=Columns(labels="remark"))
    assert secret not in str(caught.value) and "labels.csv line 2" in str(caught.value)


def test_a_column_that_holds_no_findings_is_refused_without_its_values(table):
    names = ("Schmidt", "Meier", "Huber", "Massimo")
    path = table("image,patient,doctor\n" + "".join(f"images/{n}.png,a,{who}\n" for n, who in enumerate(names, 1)))
    with pytest.raises(TableRefused, match="column 'doctor' has no findings: 4 different values") as caught:
        list_table([path], columns=Columns(labels="doctor"))
    assert not any(who in str(caught.value) for who in names)


@pytest.mark.real
def test_both_real_tables_are_read(shared_data):
    nih = list_table([shared_data / "nih"])
    assert nih.findings == NIH and len(nih.candidates) == 1634 and not nih.refusals
    children = list_table([shared_data / "guangzhou" / "labels.csv"])
    assert children.findings == ("Pneumonia", "Bacterial", "Viral") and not children.refusals
    assert Counter(c.labels for c in children.candidates) == {(0, 0, 0): 750, (1, 1, 0): 430, (1, 0, 1): 320}
    assert len({c.patient for c in children.candidates}) == 1290


# --- columns and files as people have them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "patient", "view"),
    [
        ("ImageID", "PatientID", "ViewPosition"),
        ("ImageId", "patientId", "viewPosition"),
        ("imagename", "patientid", "view"),
        ("Image.Index", "Patient.ID", "View.Position"),
        ("image_file", "SubjectID", "AP/PA"),
        ("FileName", "subject-id", "Projection"),
        ("dicom_id", "subject_id", "View Position"),
    ],
)
def test_columns_are_known_however_their_words_are_joined(table, image, patient, view):
    path = table(f"{image},{patient},{view},PleuralEffusion\nimages/1.png,p1,AP,1\n")
    (film,) = list_table([path]).candidates
    assert (film.patient, film.view, film.labels) == ("p1", "AP", (1,))


def test_one_column_may_be_image_and_patient_where_it_is_named_for_both(table):
    path = table("image_id,labels\nimages/1.png,Mass\nimages/2.png,Normal\n")
    listing = list_table([path], columns=Columns(image="image_id", patient="image_id"))
    assert [c.patient for c in listing.candidates] == ["images/1.png", "images/2.png"]
    with pytest.raises(TableRefused, match="no column for the patient"):
        list_table([path])


def test_columns_of_view_age_and_sex_can_be_given_and_have_to_be_there(table):
    path = table("image,patient,pos,how old,m_f,Mass\nimages/1.png,a,PA,050Y,F,1\nimages/2.png,a,LL,51,M,1\n")
    columns = Columns(view="pos", age="how old", sex="m_f")
    listing = list_table([path], columns=columns)
    (film,) = listing.candidates
    assert (film.view, film.age_years, film.sex) == ("PA", 50, "F")
    assert [r.reason for r in listing.refusals] == ["lateral view"]
    for wrong in ("view", "age", "sex"):
        with pytest.raises(TableRefused, match=f"no column 'none' for the {wrong}"):
            list_table([path], columns=replace(columns, **{wrong: "none"}))


def test_a_column_given_in_other_letters_is_found_and_one_that_stands_twice_refused(table):
    path = table("scan,Who,note,note,Mass\n1.png,a,x,y,1\n")
    assert len(list_table([path], columns=Columns(image="SCAN", patient="who")).candidates) == 1
    with pytest.raises(TableRefused, match="2 columns have the name of the patient; rename all but one"):
        list_table([path], columns=Columns(image="scan", patient="note"))


@pytest.mark.parametrize(
    "cells",
    [
        ("1", "2", "3"),
        ("1.jpg", "2.dcm", "3.PNG"),
        ("./images/1.png", ".\\images\\2.png", "images/./3"),
        ("/mnt/pacs/images/1.png", "D:\\images\\2.png", "/images/3.dcm"),
    ],
)
def test_films_are_found_by_their_names_without_suffix_case_and_leading_folders(table, cells):
    listing = list_table([table("image,patient,Mass\n" + "".join(f"{cell},a,1\n" for cell in cells))])
    assert [c.path.name for c in listing.candidates] == ["1.png", "2.png", "3.png"] and not listing.refusals


def test_names_repeated_in_each_folder_are_told_apart_and_never_guessed(table, write_film, tmp_path):
    for patient in ("PA0", "PA1"):
        write_film(f"src/{patient}/IM0.png")
    rows = ["./PA0/IM0", "./PA1/IM0", "./PA2/IM0", "IM0"]
    path = table("file,patient,Mass\n" + "".join(f"{row},p{n},1\n" for n, row in enumerate(rows)))
    listing = list_table([path], images=tmp_path / "src")
    assert [c.path for c in listing.candidates] == [tmp_path / "src" / p / "IM0.png" for p in ("PA0", "PA1")]
    assert [(r.row, r.reason) for r in listing.refusals] == [
        (4, "image file is missing"), (5, "ambiguous: 2 files have the name in this row"),
    ]  # fmt: skip


@pytest.mark.parametrize("cell", ["NA", "n/a", "nan", "NULL", "None", "unknown", "-"])
def test_a_patient_cell_that_names_nobody_is_blank(table, cell):
    listing = list_table([table(f"image,patient,Mass\nimages/1.png,{cell},1\nimages/2.png,{cell}7,1\n")])
    assert [r.reason for r in listing.refusals] == ["the patient cell is blank"] and len(listing.candidates) == 1


@pytest.mark.parametrize("letter", ["\ufffd", "?"])
def test_a_patient_who_has_lost_a_letter_may_be_another_one(table, letter):
    listing = list_table([table(f"image,patient,Mass\nimages/1.png,M{letter}ller,1\nimages/2.png,Maier,1\n")])
    assert len(listing.candidates) == 1
    assert "lost a letter to a wrong character set" in listing.refusals[0].reason


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        (("1", "1.0", "1.00", "1,0", '"1"', "+1", "yes", "Y", "TRUE", "t", "positive", "Present"), 1),
        (("0", "0.0", "0,00", "-0", "no", "N", "False", "f", "negative", "absent"), 0),
        (("", "NA", "nan", "N/A", "null", "None", "unknown", "-1", "-1.0", "\u22121", "uncertain"), None),
    ],
)
def test_labels_are_read_as_people_and_programs_write_them(table, cells, label):
    rows = "".join(f"images/{n % 9 + 1}.png;p;{cell}\n" for n, cell in enumerate(cells))
    table_of_all = table("image;patient;Mass\n" + rows)
    listing = list_table([table_of_all])
    assert {c.labels for c in listing.candidates} == {(label,)}
    assert {r.reason for r in listing.refusals} <= {"duplicate: another row has the same image"}


@pytest.mark.parametrize("cell", ["2", "0.5", "x", "1 or 0", "10", "1.5", "maybe", "--1"])
def test_any_other_label_refuses_its_row(table, cell):
    listing = list_table([table(f"image,patient,Mass,Edema\nimages/1.png,a,{cell},1\nimages/2.png,a,1,1\n")])
    assert [r.reason for r in listing.refusals] == ["mislabelled: a value other than 1, 0, -1 or blank in column Mass"]


def test_a_column_that_is_not_asked_for_may_hold_anything(table):
    path = table("image,patient,Mass,Edema,Fraktur,No Finding\nimages/1.png,a,1,see report,1,?\n")
    assert [c.labels for c in list_table([path], findings=["Mass"]).candidates] == [(1,)]
    assert not list_table([path], findings=["Edema"]).candidates


def test_findings_left_out_of_a_list_are_said(table):
    path = table("image,patient,labels\nimages/1.png,a,Mass|Bronchitis\nimages/2.png,a,Edema\n")
    listing = list_table([path], findings=["Mass"])
    assert [c.labels for c in listing.candidates] == [(1,), (0,)]
    assert listing.notes == ("left out of column 'labels', not in --findings: Edema (1 row), 'Bronchitis' (1 row)",)


def test_an_image_whose_rows_disagree_is_refused_whole_and_one_whose_rows_agree_counts_once(table):
    rows = ("1.png,a,Mass", "1.png,a,Mass", "2.png,a,Mass", "./2.png,a,Edema", "3.png,a,Mass", "3.png,b,Mass")
    text = "image_id,patient,class\n" + "".join(f"images/{row}\n" for row in rows)
    listing = list_table([table(text)], columns=Columns(labels="class"))
    assert [c.row for c in listing.candidates] == [2]
    assert [(r.row, r.reason) for r in listing.refusals] == [
        (3, DUPLICATE), (4, DISAGREE), (5, DISAGREE), (6, DISAGREE), (7, DISAGREE),
    ]  # fmt: skip


def test_a_table_with_a_row_a_box_never_calls_a_finding_of_a_later_row_absent(table):
    path = table("image_id,patient,class_name\nimages/1.png,a,Cardiomegaly\nimages/1.png,a,Pleural effusion\n"
                 "images/2.png,b,Cardiomegaly\n")  # fmt: skip
    listing = list_table([path], columns=Columns(labels="class_name"), findings=["Cardiomegaly", "Effusion"])
    assert [(c.row, c.labels) for c in listing.candidates] == [(4, (1, 0))]


def test_cohens_table_is_read(table):
    path = table(
        "patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,date,folder,filename,clinical_notes,\n"
        '1,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,"Jan 22, 2020",images,1.png,"On 5"" film, said ""mild"".",\n'
        "2,0,F,48,todo,,AP,X-ray,2020,images,2.jpg,,\n"
        "3,5,F,,No Finding,,PA,X-ray,,images,3.png,text,\n"
    )
    listing = list_table([path])
    assert listing.findings == ("Pneumonia", "Viral", "COVID-19") and not listing.refusals
    assert [c.labels for c in listing.candidates] == [(1, 1, 1), (None, None, None), (0, 0, 0)]
