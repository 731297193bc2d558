"""One word for each finding, by intervals: what the judge cannot see is not held against the generator."""

import pytest

from radcommons.metrics.label_fidelity import RULE, label_verdict
from radcommons.records import Estimate, Fidelity

Interval = tuple[float, float, float]


def found(films: Interval, images: Interval, patients: int | None = 50) -> Fidelity:
    real, synthetic = (Estimate(value=v, low=low, high=high) for v, low, high in (films, images))
    return Fidelity(finding="Mass", positives=90, patients=patients, auc_real=real, auc_synthetic=synthetic)


@pytest.mark.parametrize(
    ("images", "outcome"),
    [
        ((0.95, 0.92, 0.98), "learned"),  # more easily seen than in films
        ((0.78, 0.74, 0.82), "learned"),  # four fifths of the way from 0.5 to 0.80 is 0.74
        ((0.78, 0.73, 0.83), "partly learned"),
        ((0.55, 0.51, 0.59), "partly learned"),
        ((0.52, 0.48, 0.56), "not learned"),
        ((0.30, 0.26, 0.34), "not learned"),  # the opposite of the label
        ((0.62, 0.49, 0.75), "cannot tell"),  # anything from nothing to learned
    ],
)
def test_the_whole_interval_on_synthetic_images_decides(images: Interval, outcome: str) -> None:
    assert label_verdict(found((0.80, 0.70, 0.90), images)).outcome == outcome


def test_a_judge_who_cannot_see_the_finding_in_films_says_nothing_of_the_generator() -> None:
    for images in ((0.99, 0.98, 1.0), (0.5, 0.46, 0.54)):
        verdict = label_verdict(found((0.47, 0.36, 0.58), images))
        assert verdict.outcome == "cannot tell"
        assert "its AUC on films is 0.47 (0.36 to 0.58), so it cannot tell what the generator learned" in verdict.reason


def test_fewer_than_ten_held_out_patients_are_too_few_and_an_unknown_number_is_not() -> None:
    films, images = (0.90, 0.80, 1.0), (0.95, 0.92, 0.98)
    assert label_verdict(found(films, images, patients=9)).reason == "only 9 held-out patients have it"
    assert label_verdict(found(films, images, patients=10)).outcome == "learned"
    assert label_verdict(found(films, images, patients=None)).outcome == "learned", "reports of earlier versions"


def test_without_an_interval_nothing_is_said() -> None:
    bare = found((0.9, 0.8, 1.0), (0.9, 0.8, 1.0)).model_copy(update={"auc_synthetic": Estimate(value=0.9)})
    assert label_verdict(bare).outcome == "cannot tell"


def test_the_rule_names_its_numbers() -> None:
    assert "80%" in RULE and "fewer than 10 held-out patients" in RULE
