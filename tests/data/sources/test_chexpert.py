import pytest

from radcommons.data.sources import list_chexpert
from radcommons.errors import PathMissing, TableRefused
from radcommons.findings import CHEXPERT

FINDINGS = [name if name != "Effusion" else "Pleural Effusion" for name in CHEXPERT]
HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS])
STUDY = "CheXpert-v1.0-small/train/patient0000{}/study1/view1_{}.jpg"


def row(patient=1, view="frontal", *, path=None, **labels):
    cells = [labels.get(name.replace(" ", "_"), "") for name in FINDINGS]
    position = ["Frontal", "AP"] if view == "frontal" else ["Lateral", ""]
    return ",".join([path or STUDY.format(patient, view), "Female", "68", *position, *cells])


@pytest.fixture
def chexpert(tmp_path, write_film):
    def build(rows, images, *, table="train.csv", root="CheXpert-v1.0-small"):
        (tmp_path / root).mkdir(parents=True, exist_ok=True)
        (tmp_path / root / table).write_text("\n".join([HEADER, *rows]) + "\n")
        for image in images:
            write_film(f"{root}/{image}")
        return tmp_path / root

    return build


def test_paths_are_found_under_the_source_whatever_leads_them(chexpert, tmp_path):
    rows = [row(1), row(2)]
    source = chexpert(rows, ["train/patient00001/study1/view1_frontal.jpg"])
    listing = list_chexpert([source])
    (film,) = listing.candidates
    assert listing.absent == 1 and listing.findings == CHEXPERT
    assert (film.patient, film.image) == ("patient00001", "train/patient00001/study1/view1_frontal.jpg")
    assert (film.view, film.age_years, film.sex) == ("AP", 68, "F")
    renamed = source.rename(tmp_path / "elsewhere")
    assert [c.image for c in list_chexpert([renamed]).candidates] == [film.image]


def test_train_and_valid_are_joined(chexpert):
    source = chexpert([row(1)], ["train/patient00001/study1/view1_frontal.jpg"])
    valid = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg"
    chexpert([row(path=valid)], ["valid/patient64541/study1/view1_frontal.jpg"], table="valid.csv")
    assert [c.patient for c in list_chexpert([source]).candidates] == ["patient00001", "patient64541"]


def test_lateral_films_are_refused(chexpert):
    source = chexpert([row(1, "lateral")], ["train/patient00001/study1/view1_lateral.jpg"])
    listing = list_chexpert([source])
    assert not listing.candidates and [(r.row, r.reason) for r in listing.refusals] == [(2, "lateral view")]


@pytest.mark.parametrize(
    ("policy", "edema", "consolidation", "fracture"),
    [("u-ones", 1, 1, 1), ("u-zeros", 0, 0, 0), ("u-ignore", None, None, None), ("paper", 1, 0, 0)],
)
def test_uncertain_labels_follow_the_policy_and_blank_is_zero(chexpert, policy, edema, consolidation, fracture):
    source = chexpert(
        [row(1, Edema="-1.0", Consolidation="-1.0", Fracture="-1", Pneumonia="1.0", Pleural_Effusion="0.0")],
        ["train/patient00001/study1/view1_frontal.jpg"],
    )
    listing = list_chexpert([source], uncertain=policy)
    labels = dict(zip(listing.findings, listing.candidates[0].labels, strict=True))
    assert (labels["Edema"], labels["Consolidation"], labels["Fracture"]) == (edema, consolidation, fracture)
    assert (labels["Pneumonia"], labels["Effusion"], labels["Lung Lesion"]) == (1, 0, 0)
    assert listing.label_policy == policy


def test_the_paper_policy_is_the_default_and_names_its_five_findings(chexpert):
    uncertain = {name.replace(" ", "_"): "-1.0" for name in FINDINGS}
    source = chexpert([row(1, **uncertain)], ["train/patient00001/study1/view1_frontal.jpg"])
    listing = list_chexpert([source])
    present = {n for n, label in zip(listing.findings, listing.candidates[0].labels, strict=True) if label}
    assert present == {"Cardiomegaly", "Edema", "Atelectasis", "Effusion", "Pneumonia"}


def test_labels_that_contradict_or_cannot_be_read_are_refused(chexpert):
    films = [f"train/patient0000{n}/study1/view1_frontal.jpg" for n in (1, 2, 3)]
    source = chexpert(
        [row(1, No_Finding="1.0", Edema="1.0"), row(2, Edema="2"), row(3, No_Finding="1.0", Support_Devices="1.0")],
        films,
    )
    listing = list_chexpert([source])
    assert [r.reason for r in listing.refusals] == [
        "mislabelled: 'No Finding' together with a finding",
        "mislabelled: a value other than 1, 0, -1 or blank in column Edema",
    ]
    assert len(listing.candidates) == 1 and listing.candidates[0].labels[0] == 1


def test_a_path_without_a_patient_is_refused(chexpert):
    source = chexpert([row(path="train/someone/view1_frontal.jpg")], ["train/someone/view1_frontal.jpg"])
    assert "no patient folder" in list_chexpert([source]).refusals[0].reason


def test_missing_tables_and_columns_are_named(chexpert, tmp_path):
    with pytest.raises(PathMissing, match=r"no train.csv or valid.csv"):
        list_chexpert([tmp_path])
    source = chexpert([row(1)], [])
    table = source / "train.csv"
    table.write_text(table.read_text().replace("Fracture", "Frakture").replace("Lung Lesion", "Lesion"))
    with pytest.raises(TableRefused, match=r"no column for the finding 'Lung Lesion'.*finding 'Fracture'"):
        list_chexpert([source])


# --- the full-size download: several folders -------------------------------------------------------------------------


@pytest.fixture
def batches(chexpert):
    """The tables in the first of three folders, two patients in each other one, and one in the first."""
    rows = [row(path=f"CheXpert-v1.0/train/patient0000{n}/study1/view1_frontal.jpg") for n in range(1, 6)]
    film = "patient0000{}/study1/view1_frontal.jpg"
    names = {2: (1, 2), 3: (3, 4)}
    folders = [chexpert(rows, [], root="all/CheXpert-v1.0 batch 1 (validate & csv)")]
    valid = "valid/patient64541/study1/view1_frontal.jpg"
    chexpert([row(path=f"CheXpert-v1.0/{valid}")], [valid], table="valid.csv", root=f"all/{folders[0].name}")
    for batch, patients in names.items():
        root = f"all/CheXpert-v1.0 batch {batch} (train {batch - 1})"
        folders.append(chexpert([], map(film.format, patients), root=root))
        (folders[-1] / "train.csv").unlink()
    return folders


def test_each_folder_of_the_download_gives_its_patients(batches):
    whole = list_chexpert(batches)
    assert [c.patient for c in whole.candidates] == [f"patient0000{n}" for n in range(1, 5)] + ["patient64541"]
    assert whole.absent == 1 and not whole.refusals
    assert list_chexpert(list(reversed(batches))).candidates == whole.candidates
    assert list_chexpert([batches[0].parent]) == whole  # the folder that holds them
    assert len(list_chexpert(batches[:2]).candidates) == 3


def test_a_film_is_never_found_in_another_patients_folder(batches):
    inside = batches[1] / "patient00001"
    assert [c.patient for c in list_chexpert([batches[0], inside]).candidates] == ["patient64541"]


def test_only_the_findings_asked_for_need_a_column_and_are_checked(chexpert):
    source = chexpert([row(1, Edema="1.0", Fracture="see report")], ["train/patient00001/study1/view1_frontal.jpg"])
    assert not list_chexpert([source]).candidates
    assert [c.labels for c in list_chexpert([source], findings=["Edema"]).candidates] == [(1,)]
    table = source / "train.csv"
    table.write_text(table.read_text().replace("Fracture", "Frakture"))
    assert len(list_chexpert([source], findings=["Edema"]).candidates) == 1
