"""Lists of findings in one column: how they are written, what is left out, and which words a message repeats."""

from pathlib import Path

import pytest

from radcommons.data.sources.label_lists import LabelLists, listed_names
from radcommons.data.sources.radiology_words import is_radiology
from radcommons.data.sources.tables import Table
from radcommons.errors import FindingUnknown, TableRefused

DOUBTFUL = "mislabelled: the label cell names Pneumonia within a longer text"


def column(*cells: str) -> Table:
    patients = [f"p{n}" for n in range(len(cells))]
    lines = list(range(2, len(cells) + 2))
    return Table("labels.csv", ["patient", "labels"], lines, {"patient": patients, "labels": list(cells)})


@pytest.mark.parametrize(
    "cell",
    [
        "Effusion|Mass",
        " effusion | MASS ",
        "Effusion;Mass",
        "Effusion, Mass",
        "Effusion/Mass",
        "Effusion\nMass",
        "Effusion|Mass|",
        "['effusion', 'mass']",
        "['pleural effusion' 'mass']",
        '["Effusion", "Mass"]',
        "[Effusion, Mass]",
        "{'Mass', 'Effusion'}",
        "('Mass', ' Effusion ')",
        "Mass|Effusion, Mass",
        "nan|Mass|Effusion|unchanged",
    ],
)
def test_a_list_is_read_however_it_is_joined(cell: str) -> None:
    assert listed_names(cell) == (frozenset({"Effusion", "Mass"}), ())


@pytest.mark.parametrize(
    "cell", ["", "NA", "n/a", "NaN", "null", "None", "unknown", "[]", "['']", "['unchanged']", "todo", "|", "?"]
)
def test_a_cell_that_says_nothing_is_unknown(cell: str) -> None:
    assert LabelLists(column("Mass", cell), "labels", None).labels(("Mass",)) == [(1,), (None,)]


@pytest.mark.parametrize("cell", ["COVID-19", "covid 19", "Covid19", "Pneumonia/Viral/COVID-19"])
def test_a_name_with_a_hyphen_is_one_name_and_a_path_of_names_several(cell: str) -> None:
    assert LabelLists(column(cell), "labels", None).labels(("COVID-19", "Mass")) == [(1, 0)]


def test_what_findings_does_not_ask_for_is_left_out_counted_and_said() -> None:
    cells = ("Pneumonia|Bronchitis", "Mass|bronchitis", "Schmidt", "Bronchitis", "Pneumonia, Schmidt", "Normal", "")
    lists = LabelLists(column(*cells), "labels", ("Pneumonia",))
    assert lists.labels(("Pneumonia",)) == [(1,), (0,), (0,), (0,), (1,), (0,), (None,)]
    assert lists.notes(("Pneumonia",)) == (
        "left out of column 'labels', not in --findings: Mass (1 row), 'Bronchitis' (2 rows), 'bronchitis' "
        "(1 row), 1 unknown words, not shown (2 rows)",
    )
    assert LabelLists(column("Mass", "Pneumonia"), "labels", None).notes(("Mass",)) == ()


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("no pneumonia", DOUBTFUL),
        ("atypical pneumonia", DOUBTFUL),
        ("Pneumonia?", DOUBTFUL),
        ("Pneumonia (viral)", DOUBTFUL),
        ("no pneumonia, Mass", DOUBTFUL),
        ("pneumonitis", "mislabelled: the label cell has a word similar to Pneumonia"),
        ("Mass|Normal", "mislabelled: 'No Finding' together with a finding"),
    ],
)
def test_what_may_mean_a_finding_asked_for_is_never_taken_for_its_absence(cell: str, reason: str) -> None:
    lists = LabelLists(column("Pneumonia", cell), "labels", ("Pneumonia",))
    assert lists.labels(("Pneumonia",)) == [(1,), reason]


def test_a_misspelt_finding_stops_the_import_where_it_is_asked_for() -> None:
    table = column("Mass", "Mass", "Pneumonai")
    with pytest.raises(FindingUnknown, match="line 4: finding 'Pneumonai' is not known; the nearest is 'Pneumonia'$"):
        LabelLists(table, "labels", ("Pneumonia",))
    assert LabelLists(table, "labels", ("Mass",)).labels(("Mass",)) == [(1,), (1,), (0,)]


def test_unknown_words_are_named_beside_the_known_ones_where_they_are_radiologys() -> None:
    cells = ("Mass", "Effusion", "Edema", "Hernia", "Bronchitis", "rib lesion", "Schmidt")
    with pytest.raises(FindingUnknown) as caught:
        LabelLists(column(*cells), "labels", None)
    assert str(caught.value) == (
        "labels.csv line 6: finding 'Bronchitis' is not known; labels.csv line 7: finding 'rib lesion' is not known; "
        "labels.csv line 8: a finding of 7 characters is not known; known in this column are Edema, Effusion, "
        "Hernia, Mass: with --findings the others are left out"
    )


@pytest.mark.parametrize("word", ["Bronchitis", "calcified granuloma", "SARS pneumonia", "no effusion"])
def test_radiologys_words_may_be_shown(word: str) -> None:
    assert is_radiology(word)


@pytest.mark.parametrize("word", ["Schmidt", "Small", "Glass", "Bronchitis Meier", "4711", "", "fracture of 1962"])
def test_what_may_be_a_person_may_not(word: str) -> None:
    assert not is_radiology(word)


def test_a_column_of_something_else_is_refused_without_a_word_of_it() -> None:
    cells = ("Schmidt", "Meier", "Huber", "Massimo", "Mass")
    with pytest.raises(TableRefused, match="column 'labels' has no findings: 4 different values") as caught:
        LabelLists(column(*cells), "labels", None)
    assert not any(name in str(caught.value) for name in cells[:-1])


def test_padchest_is_read_with_the_findings_that_it_shares(tmp_path: Path) -> None:
    lists = LabelLists(
        column("['normal']", "['pleural effusion', 'costophrenic angle blunting']", "['unchanged']",
               "['loculated pleural effusion']", "['cardiomegaly', 'calcified granuloma', 'aortic elongation']"),
        "labels", ("Effusion", "Cardiomegaly"),
    )  # fmt: skip
    rows = lists.labels(("Effusion", "Cardiomegaly"))
    assert rows[:3] == [(0, 0), (1, 0), (None, None)] and "Effusion within" in str(rows[3]) and rows[4] == (0, 1)
