import pytest

from radcommons.errors import FindingUnknown
from radcommons.findings import ALIASES, CHEXPERT, NIH, VOCABULARY, canonical, canonical_list


def test_the_vocabulary_holds_the_papers_lists_in_its_order():
    assert NIH[0] == "Atelectasis" and NIH[12:] == ("Pleural_Thickening", "Hernia") and len(NIH) == 14
    assert CHEXPERT[0] == "No Finding" and CHEXPERT[10] == "Effusion" and len(CHEXPERT) == 14


def test_every_canonical_name_means_itself_and_every_alias_a_canonical_name():
    assert all(canonical(name) == name for name in VOCABULARY)
    assert all(canonical(alias) == name and name in VOCABULARY for alias, name in ALIASES.items())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pleural effusion", "Effusion"),
        ("Pleural_Effusion", "Effusion"),
        (" PLEURAL  thickening", "Pleural_Thickening"),
        ("Pleural-Thickening", "Pleural_Thickening"),
        ("lung_opacity", "Lung Opacity"),
        ("Normal", "No Finding"),
        ("healthy", "No Finding"),
        ("no_finding", "No Finding"),
        ("covid 19", "COVID-19"),
    ],
)
def test_case_spaces_underscores_and_hyphens_do_not_matter(written, meant):
    assert canonical(written) == meant


def test_an_unknown_finding_names_the_nearest_one():
    with pytest.raises(FindingUnknown, match="finding 'Cardiomegalie' is not known; the nearest is 'Cardiomegaly'"):
        canonical("Cardiomegalie")


def test_a_value_that_looks_like_an_identifier_is_not_repeated():
    for value in ("MRN-4711-0815", "1.2.840.113619", "Doe^Jane"):
        with pytest.raises(FindingUnknown) as caught:
            canonical(value)
        assert value not in str(caught.value) and f"{len(value)} characters" in str(caught.value)


def test_all_faults_of_a_list_come_at_once():
    with pytest.raises(FindingUnknown) as caught:
        canonical_list(["Edma", "Masss", "Hernia", "hernia"])
    assert all(word in str(caught.value) for word in ("'Edema'", "'Mass'", "'Hernia' is named twice"))
