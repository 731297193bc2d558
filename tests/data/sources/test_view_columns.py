"""The same rule for views, modalities and parts of the body whichever way an image comes: table, header or both."""

from pathlib import Path

import polars as pl
import pytest

from radcommons.data import ingest as module
from radcommons.data.dry_run import plan_import
from radcommons.data.ingest import ingest
from radcommons.data.listing import Listing
from radcommons.data.sources import list_chexpert, list_dicom, list_rsna, list_table
from radcommons.data.sources.tables import read_table
from radcommons.data.sources.view_columns import statements_by_row
from radcommons.data.store import Store
from radcommons.data.summary import refused_by_reason
from radcommons.data.views import Declared, decide
from radcommons.errors import NothingToImport, PathInUse
from radcommons.findings import CHEXPERT


def reasons(listing: Listing) -> list[tuple[int, str]]:
    return [(refusal.row, refusal.reason) for refusal in listing.refusals]


@pytest.fixture
def table(tmp_path, write_film):
    """Writes a table, and a film for each of its rows."""

    def build(header, *rows):
        for n in range(len(rows)):
            write_film(f"{n}.png")
        path = tmp_path / "labels.csv"
        path.write_text(
            "\n".join([f"image,patient,labels,{header}", *(f"{n}.png,p{n},Mass,{r}" for n, r in enumerate(rows))])
        )
        return path

    return build


@pytest.mark.parametrize(("header", "taken", "other"), [
    ("view", "AP Supine", "L"), ("ViewPosition", "PA", "XTABLE LATERAL"), ("Projection", "AP_horizontal", "COSTAL"),
    ("ViewPosition_DICOM", "POSTEROANTERIOR", "LATERAL"), ("Modality_DICOM", "CR", "MG"), ("modality", "X-ray", "CT"),
    ("BodyPartExamined", "CHEST", "HAND"), ("body_part", "thorax", "Becken"), ("AP/PA", "AP", "LL"),
    ("ViewCodeSequence_CodeMeaning", "antero-posterior", "left lateral"), ("Frontal/Lateral", "Frontal", "Lateral"),
    ("SeriesDescription", "Chest PA", "Chest LAT"), ("StudyDescription", "CHEST 2 VIEWS", "Chest lateral"),
])  # fmt: skip
def test_columns_of_public_tables_are_read_by_their_names(table, header, taken, other):
    listing = list_table([table(header, taken, other, "")])
    assert [c.row for c in listing.candidates] == [2, 4] and [row for row, _ in reasons(listing)] == [3]


def test_every_column_counts_and_a_contradiction_is_refused(table):
    listing = list_table(
        [table("view,modality,ViewPosition_DICOM", "PA,X-ray,PA", "PA,CT,", "PA,X-ray,LATERAL", "Axial,CT,")]
    )
    assert reasons(listing) == [
        (3, "modality CT, not CR, DX or RG"),
        (4, "contradiction in the view: PA against lateral view"),
        (5, "modality CT, not CR, DX or RG"),
    ]


def test_a_named_column_is_read_in_place_of_the_usual_ones(table):
    path = table("view,aufnahme", "LL,p.a.", "PA,seitlich")
    rows = statements_by_row(read_table(path), view_column="aufnahme")
    assert [decide(said).view or decide(said).refused for said in rows] == ["PA", "lateral view"]


def test_unknown_words_are_counted_by_their_word_and_taken_where_declared(table, tmp_path):
    """A word of fewer than three rows may be the name of a patient, and is not shown unless the user said it."""
    path = table("view", "Uno", "uno", "UNO", "Brzezicki", "PA", "Perez^Ana")
    plan = plan_import(list_table([path]), tmp_path / "store", resolution=16)
    assert plan.images == 1 and plan.declared == {}
    assert plan.refused == {
        "view 'UNO' is not known; pass --views 'UNO' if it is frontal": 3,
        "view in unknown words; pass --views any if every such view is frontal": 2,
    }
    declared = Declared.of(views=["UNO"])
    plan = plan_import(list_table([path], declared=declared), tmp_path / "store", resolution=16)
    assert plan.images == 4 and plan.declared == {"view UNO": 3}
    record = ingest(list_table([path], declared=declared), tmp_path / "store", name="own", resolution=16)
    assert record.declared == {"view UNO": 3} and Store.open(tmp_path / "store").record == record
    assert sum(refused_by_reason(tmp_path / "store").values()) == record.rejected == 2
    every = plan_import(list_table([path], declared=Declared.of(views=["any"])), tmp_path / "other", resolution=16)
    assert every.declared == {"view UNO": 3, "view other words": 2}
    own = plan_import(list_table([path], declared=Declared.of(views=["brzezicki"])), tmp_path / "o", resolution=16)
    assert own.declared == {"view BRZEZICKI": 1}


@pytest.mark.parametrize("column", ["view", "modality", "body part"])
def test_a_name_that_slipped_into_the_column_is_not_shown(table, tmp_path, column):
    plan = plan_import(list_table([table(column, "Okonkwoe Ada", "", "Brzezicki")]), tmp_path / "s", resolution=16)
    assert sum(plan.refused.values()) == 2 and not any("OKON" in r or "BRZE" in r for r in plan.refused)


def test_declared_words_are_counted_over_a_kill(table, tmp_path, monkeypatch):
    listing = list_table([table("view", "Uno", "Uno", "PA", "Uno")], declared=Declared.of(views=["UNO"]))
    read, films = module.read, []

    def dies_at_the_third(path, **how):
        films.append(path)
        if len(films) == 3:
            raise KeyboardInterrupt
        return read(path, **how)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "read", dies_at_the_third)
        ingest(listing, tmp_path / "store", name="own", resolution=16)
    assert (tmp_path / "store" / ".import" / "journal.jsonl").read_text().count("UNO") == 2
    assert ingest(listing, tmp_path / "store", name="own", resolution=16).declared == {"view UNO": 3}


def test_a_column_of_names_taken_for_views_is_not_shown(table, tmp_path):
    names = [f"{letter}mustermann" for letter in "abcdefghijklmnopqrstuvwxyz"]
    plan = plan_import(list_table([table("view", *names, "PA")]), tmp_path / "store", resolution=16)
    assert list(plan.refused.values()) == [26] and "muster" not in plan.model_dump_json().casefold()


def test_an_import_with_other_words_or_another_share_of_colour_is_another_import(table, tmp_path):
    path = table("view", "Uno", "PA")
    ingest(list_table([path]), tmp_path / "store", name="own", resolution=16)
    ingest(list_table([path]), tmp_path / "store", name="own", resolution=16)
    for declared in (Declared.of(views=["x"]), Declared(synthetic=True)):
        with pytest.raises(PathInUse, match="other data or settings"):
            ingest(list_table([path], declared=declared), tmp_path / "store", name="own", resolution=16)
    with pytest.raises(PathInUse, match="other data or settings"):
        ingest(list_table([path]), tmp_path / "store", name="own", resolution=16, most_coloured_percent=2)


HEADERS = {
    "pa": {"ViewPosition": "PA"},
    "lateral": {"ViewPosition": "L LAT"},
    "described": {"SeriesDescription": "Thorax seitlich"},
    "odd": {"ViewPosition": "SPEZIAL"},
    "hip": {"BodyPartExamined": "HIP"},
    "ct": {"Modality": "CT"},
    "capture": {"Modality": "OT"},
    "silent": {},
}
REASON_OF = {
    "lateral": "lateral view",
    "described": "lateral view",
    "odd": "view 'SPEZIAL' is not known; pass --views 'SPEZIAL' if it is frontal",
    "hip": "body part hip, not the chest",
    "ct": "modality CT, not CR, DX or RG",
    "capture": "modality 'OT' is not known; pass --modalities 'OT' if it is a radiograph",
}


@pytest.fixture
def dicom_files(tmp_path, write_dicom, film_like):
    """A DICOM file for each of HEADERS, and a table of them; more columns where asked."""

    def build(view=""):
        for name, header in HEADERS.items():
            write_dicom(film_like(), f"films/{name}.dcm", PatientID=name, **header)
        rows = "".join(f"{name}.dcm,{name},Mass,{view}\n" for name in HEADERS)
        (tmp_path / "films" / "labels.csv").write_text(f"image,patient,labels,view\n{rows}")
        return tmp_path / "films"

    return build


def by_name(folder: Path, listing: Listing, out: Path) -> dict[str, str]:
    """The reason for each file that an import refuses, whether its listing or its reading does."""
    try:
        ingest(listing, out, name="own", resolution=16)
    except NothingToImport:
        return dict.fromkeys(HEADERS, "nothing")
    names = list(HEADERS)
    rejected = pl.read_csv(out / "rejected.csv")
    return {names[row - 2]: reason for row, reason in rejected.select("row", "reason").iter_rows()}


@pytest.mark.parametrize("declared", [Declared(), Declared.of(views=["spezial"], modalities=["OT"])])
def test_dicom_and_table_imports_judge_headers_alike(dicom_files, tmp_path, declared):
    folder = dicom_files()
    by_table = by_name(folder, list_table([folder], declared=declared), tmp_path / "one")
    by_header = by_name(folder, list_dicom([folder], folder / "labels.csv", declared=declared), tmp_path / "two")
    assert by_table == by_header
    left = {"odd", "capture"} if declared.views else set()
    assert by_table == {name: reason for name, reason in REASON_OF.items() if name not in left}
    for out in ("one", "two"):
        counted = Store.open(tmp_path / out).record.declared
        assert counted == ({"view SPEZIAL": 1, "modality OT": 1} if declared.views else {})


def test_rsna_headers_are_judged_alike(tmp_path, write_dicom, film_like):
    for name, header in HEADERS.items():
        write_dicom(film_like(), f"stage_2_train_images/{name}.dcm", **header)
    rows = "".join(f"{name},,,,,0\n" for name in HEADERS)
    (tmp_path / "stage_2_train_labels.csv").write_text(f"patientId,x,y,width,height,Target\n{rows}")
    assert by_name(tmp_path, list_rsna([tmp_path]), tmp_path / "one") == REASON_OF
    declared = Declared.of(views=["spezial"], modalities=["any"])
    refused = by_name(tmp_path, list_rsna([tmp_path], declared=declared), tmp_path / "two")
    assert set(refused) == {"lateral", "described", "hip", "ct"}


def test_a_tables_view_settles_an_unknown_header_and_contradicts_a_lateral_one(dicom_files, tmp_path):
    folder = dicom_files(view="AP")
    expected = dict(REASON_OF) | {"lateral": "contradiction in the view: the table against lateral view"}
    del expected["odd"], expected["described"]
    assert by_name(folder, list_table([folder]), tmp_path / "one") == expected
    assert by_name(folder, list_dicom([folder], folder / "labels.csv"), tmp_path / "two") == expected
    assert set(Store.open(tmp_path / "one").manifest["view"]) == {"AP"}


def test_chexperts_laterals_are_told_by_either_column(tmp_path, write_film):
    head = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT])
    rows = []
    for n, (frontal, position) in enumerate(
        [("Frontal", "AP"), ("Frontal", "LL"), ("", "RL"), ("Lateral", ""), ("", "PA")]
    ):
        write_film(f"set/train/patient0000{n}/study1/view1_frontal.jpg")
        rows.append(
            f"set/train/patient0000{n}/study1/view1_frontal.jpg,F,50,{frontal},{position}" + "," * len(CHEXPERT)
        )
    (tmp_path / "set" / "train.csv").write_text("\n".join([head, *rows]))
    listing = list_chexpert([tmp_path / "set"])
    assert [c.view for c in listing.candidates] == ["AP", "PA"]
    assert [row for row, _ in reasons(listing)] == [3, 4, 5]
    assert {reason.replace("contradiction in the view: frontal against ", "") for _, reason in reasons(listing)} == {
        "lateral view"
    }
