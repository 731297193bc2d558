import pydicom
import pytest

from radcommons.data.sources import list_dicom
from radcommons.data.sources.file_names import DISAGREE, DUPLICATE
from radcommons.data.sources.image_files import stem
from radcommons.errors import PathMissing, TableRefused


@pytest.fixture
def tree(tmp_path, write_dicom, film_like):
    """Three films of two patients in a tree with odd neighbours."""
    write_dicom(
        film_like(), "tree/a/1.dcm", SOPInstanceUID="1.2.1", PatientID="A", ViewPosition="PA", PatientAge="050Y"
    )
    write_dicom(film_like(), "tree/a/2.dcm", SOPInstanceUID="1.2.2", PatientID="A", PatientSex="F")
    write_dicom(film_like(), "tree/b/3", SOPInstanceUID="1.2.3", PatientID="B")
    (tmp_path / "tree" / "DICOMDIR").write_bytes(b"x")
    (tmp_path / "tree" / ".hidden").write_bytes(b"x")
    return tmp_path / "tree"


@pytest.fixture
def labels(tmp_path):
    def write(text):
        path = tmp_path / "tree" / "labels.csv"
        path.write_text(text)
        return path

    return write


def test_a_table_of_uids_joins_and_the_header_gives_patient_and_facts(tree, labels):
    listing = list_dicom(
        [tree], labels("SOPInstanceUID,labels\n1.2.3,Mass\n1.2.1,Normal\n1.2.2,Mass|Edema\n"), workers=2
    )
    assert listing.findings == ("Mass", "Edema") and listing.source == "dicom" and not listing.refusals
    assert [(c.row, c.patient, c.image, c.labels) for c in listing.candidates] == [
        (2, "B", "1.2.3", (1, 0)), (3, "A", "1.2.1", (0, 0)), (4, "A", "1.2.2", (1, 1)),
    ]  # fmt: skip
    assert (listing.candidates[1].view, listing.candidates[1].age_years, listing.candidates[2].sex) == ("PA", 50, "F")


@pytest.mark.parametrize("keys", [("a/1.dcm", "a/2.dcm", "b/3"), ("1.dcm", "2.dcm", "3"), ("1", "2.png", "3")])
def test_paths_file_names_and_stems_join_too(tree, labels, keys):
    rows = "".join(f"{key},Q{n},{n}\n" for n, key in enumerate(keys))
    listing = list_dicom([tree], labels("image,patient,Mass\n" + rows.replace(",2\n", ",\n")))
    assert [(c.image, c.patient, c.labels) for c in listing.candidates] == [
        ("1.2.1", "Q0", (0,)), ("1.2.2", "Q1", (1,)), ("1.2.3", "Q2", (None,)),
    ]  # fmt: skip


def test_an_ambiguous_stem_is_refused_with_the_count(tree, labels, write_dicom, film_like):
    write_dicom(film_like(), "tree/b/1.dcm", SOPInstanceUID="1.2.9")
    listing = list_dicom([tree], labels("image,patient,Mass\n1.dcm,A,1\n2.dcm,A,1\n"))
    assert [c.image for c in listing.candidates] == ["1.2.2"]
    assert (2, "ambiguous: 2 files have the name in this row") in [(r.row, r.reason) for r in listing.refusals]


def test_unusable_files_and_rows_are_refused_with_their_reason(tree, labels, write_dicom, film_like):
    write_dicom(film_like(), "tree/c/4.dcm", SOPInstanceUID="1.2.4", PatientID="")
    write_dicom(film_like(), "tree/c/5.dcm", SOPInstanceUID="1.2.1")  # a copy of a/1.dcm
    write_dicom(film_like(), "tree/c/6.dcm", SOPInstanceUID="1.2.6", ViewPosition="LL")
    (tree / "c" / "7.dcm").write_bytes(b"thumbnail")
    listing = list_dicom(
        [tree], labels("SOPInstanceUID,Mass\n1.2.1,1\n1.2.2,5\n1.2.4,1\n1.2.6,1\n1.2.77,1\n1.2.1,1\n,1\n")
    )
    assert [c.image for c in listing.candidates] == ["1.2.1"]
    assert sorted(r.reason for r in listing.refusals) == [
        "duplicate: another file has the same SOPInstanceUID",
        "duplicate: another row has the same image",
        "lateral view",
        "mislabelled: a value other than 1, 0, -1 or blank in column Mass",
        "no DICOM file for this row",
        "no patient identifier",
        "no row in the label table",
        "not a DICOM file",
        "the image cell is blank",
    ]


@pytest.mark.parametrize("key", ["SOPInstanceUID", "image"])
def test_a_film_whose_rows_disagree_is_refused_and_one_whose_rows_agree_is_not(tree, labels, key):
    names = {"SOPInstanceUID": ("1.2.1", "1.2.2", "1.2.3"), "image": ("a/1.dcm", "a/2.dcm", "b/3")}[key]
    cells = zip((*names, *names[:2]), ("Mass", "Mass", "Edema", "Edema", "Mass"), strict=True)
    listing = list_dicom([tree], labels(f"{key},labels\n" + "".join(f"{name},{label}\n" for name, label in cells)))
    assert [(c.image, c.labels) for c in listing.candidates] == [("1.2.2", (1, 0)), ("1.2.3", (0, 1))]
    assert [(r.row, r.reason) for r in listing.refusals] == [(2, DISAGREE), (5, DISAGREE), (6, DUPLICATE)]


def test_a_table_without_a_key_and_a_file_as_source_are_refused(tree, labels):
    with pytest.raises(TableRefused, match="no column for the image"):
        list_dicom([tree], labels("who,Mass\na,1\n"))
    with pytest.raises(PathMissing, match="'dicom' reads folders"):
        list_dicom([tree / "b" / "3"], labels("image,Mass\n3,1\n"))
    with pytest.raises(PathMissing, match="does not exist"):
        list_dicom([tree / "none"], labels("image,Mass\n3,1\n"))


def test_no_refusal_holds_an_identifier(tree, labels, write_dicom, film_like):
    secret = "Mustermann4711"
    write_dicom(film_like(), f"tree/{secret}.dcm", PatientID=secret, PatientName=secret, ViewPosition="LL")
    write_dicom(film_like(), f"tree/{secret}2.dcm", PatientID=secret)
    (tree / f"{secret}.bin").write_text(secret)
    listing = list_dicom([tree], labels(f"image,Mass\n{secret}.dcm,1\n{secret}9.dcm,1\n"))
    assert len(listing.refusals) == 7 and secret not in "".join(r.reason for r in listing.refusals)


def test_a_stem_keeps_the_last_number_of_a_uid():
    assert [stem(n) for n in ("a/1.2.840.7.dcm", "1.2.840.7", "x\\y.JPG", ".png")] == [
        "1.2.840.7",
        "1.2.840.7",
        "y",
        ".png",
    ]


def test_a_lateral_film_with_a_row_is_refused_once_at_its_row(tree, labels, write_dicom, film_like):
    write_dicom(film_like(), "tree/c/6.dcm", SOPInstanceUID="1.2.6", ViewPosition="LL")
    listing = list_dicom([tree], labels("SOPInstanceUID,Mass\n1.2.1,1\n1.2.2,1\n1.2.3,0\n1.2.6,1\n"))
    assert [(r.row, r.image, r.reason) for r in listing.refusals] == [(5, "1.2.6", "lateral view")]


@pytest.mark.parametrize(
    "keys",
    [
        ("./a/1.dcm", "./a/2.dcm", "./b/3"),
        ("a\\1.DCM", "a\\2", ".\\b\\3"),
        ("/mnt/export/tree/a/1.dcm", "D:\\export\\tree\\a\\2.dcm", "tree/b/3"),
        ("A/1.png", "a/2.tif", "b/3.dcm"),
    ],
)
def test_paths_join_however_they_are_written(tree, labels, keys):
    rows = "".join(f"{key},Q{n},1\n" for n, key in enumerate(keys))
    listing = list_dicom([tree], labels("image,patient,Mass\n" + rows))
    assert [(c.image, c.patient) for c in listing.candidates] == [("1.2.1", "Q0"), ("1.2.2", "Q1"), ("1.2.3", "Q2")]


def test_names_repeated_in_each_folder_join_by_their_folder(tmp_path, write_dicom, film_like):
    for n in range(3):
        write_dicom(film_like(), f"tree/PA{n}/IM0", SOPInstanceUID=f"1.2.{n}", PatientID=f"P{n}")
    (tmp_path / "labels.csv").write_text("file,Effusion\n./PA0/IM0,0\n./PA1/IM0,1\n./PA9/IM0,1\n")
    listing = list_dicom([tmp_path / "tree"], tmp_path / "labels.csv")
    assert [(c.patient, c.labels) for c in listing.candidates] == [("P0", (0,)), ("P1", (1,))]
    assert sorted(r.reason for r in listing.refusals) == ["no DICOM file for this row", "no row in the label table"]


def written(path, name: bytes, charset: str) -> None:
    """A PatientID of these bytes in a file that names this character set."""
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet, dataset.PatientID = charset, "A" * len(name)
    dataset.save_as(path)
    content = path.read_bytes()
    assert content.count(b"A" * len(name)) == 1
    path.write_bytes(content.replace(b"A" * len(name), name))


def test_a_patient_id_that_its_character_set_cannot_hold_is_refused_unless_the_table_has_one(tree, labels):
    written(tree / "a" / "1.dcm", b"M\xfcller-A", "ISO_IR 192")  # Latin-1 that calls itself UTF-8
    written(tree / "a" / "2.dcm", b"M\xf6ller-A", "ISO_IR 192")
    listing = list_dicom([tree], labels("image,Mass\na/1.dcm,1\na/2.dcm,1\nb/3,1\n"))
    assert [c.patient for c in listing.candidates] == ["B"]
    assert {r.reason for r in listing.refusals} == {
        "PatientID cannot be read in the header's SpecificCharacterSet; add a patient column to the table"
    }
    listing = list_dicom([tree], labels("image,patient,Mass\na/1.dcm,P1,1\na/2.dcm,P2,1\nb/3,P3,1\n"))
    assert [c.patient for c in listing.candidates] == ["P1", "P2", "P3"] and not listing.notes


def test_patient_ids_that_read_alike_and_differ_in_their_bytes_are_said(tree, labels):
    written(tree / "a" / "1.dcm", b"M\xfcller-A ", "ISO_IR 100")
    written(tree / "a" / "2.dcm", b"M\xc3\xbcller-A", "ISO_IR 192")
    text = "image,Mass\na/1.dcm,1\na/2.dcm,1\nb/3,1\n"
    (note,) = list_dicom([tree], labels(text)).notes
    assert note.startswith("1 PatientIDs have the same text but different bytes") and "ller" not in note
    written(tree / "a" / "2.dcm", b"M\xfcller-A ", "ISO_IR 100")
    assert not list_dicom([tree], labels(text)).notes
