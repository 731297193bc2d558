import pytest

from radcommons.explain.statements import statement
from radcommons.records import Estimate, MapResult, RegionScore

SCORE = RegionScore(
    source="truth", cases=None, points_inside=True, auroc=0.95, auroc_moved=0.5, moves=30, moves_as_high=0.0,
    auroc_others=0.6, gain=0.97, moves_as_far=0.0, change_inside=Estimate(value=30), change_outside=Estimate(value=3),
)  # fmt: skip
RESULT = MapResult(
    findings=("Effusion",), images=1000, seed=0, smoothing=0.02, strongest=40.0, strongest_error=1.0,
    change=Estimate(value=9), overall=1.0, clear_share=0.5, collapsed=False, outside_body=None, outside_body_area=0,
    identity=Estimate(value=0.3), extractor="x", score=SCORE, unscored=None, statement="", picture="p", numbers="n",
)  # fmt: skip


def said(score: dict[str, object] | None = None, **changes: object) -> str:
    return statement(RESULT.model_copy(update={"score": SCORE.model_copy(update=score or {}), **changes}))


def test_a_map_in_the_right_place_is_stated_as_such() -> None:
    assert said() == (
        "The strongest mean change is 40 grey levels brighter. The change sits where Effusion sits (AUROC 0.95; "
        "0.5 = anywhere), with its strongest point. "
        "The person stays much the same (0.30 of the distance to another person)."
    )


@pytest.mark.parametrize(
    "worse",
    [{"moves_as_high": 0.2}, {"auroc_others": 0.96}, {"auroc": 0.5}, {"auroc": 0.3}],
    ids=["moved as high", "others as high", "chance", "below chance"],
)
def test_a_map_that_a_control_matches_is_never_said_to_sit_in_its_place(worse: dict[str, object]) -> None:
    text = said(worse)
    assert "The change sits where" not in text
    assert "not" in text.split("grey levels brighter.")[1].split("The person")[0]


def test_a_strongest_point_elsewhere_is_said() -> None:
    assert "but its strongest point is elsewhere" in said({"points_inside": False})


def test_a_gain_told_from_chance_is_said_with_its_direction() -> None:
    assert "that region becomes brighter (AUROC 0.97)" in said({"auroc": 0.4})
    assert "that region becomes darker (AUROC 0.10)" in said({"auroc": 0.4, "gain": 0.1})
    assert "becomes" not in said({"auroc": 0.4, "moves_as_far": 0.3})


def test_an_exposure_is_said() -> None:
    assert "The whole body becomes darker, by 20 on average: part of this is exposure." in said(overall=-20.0)


def test_a_person_who_becomes_another_one_is_a_warning() -> None:
    assert "becomes another one (0.95" in said(identity=Estimate(value=0.95))
    assert "changes too" in said(identity=Estimate(value=0.7))


def test_findings_together_are_plural() -> None:
    assert "where Effusion + Pleural Thickening sit (" in said(findings=("Effusion", "Pleural_Thickening"))


def test_a_collapsed_label_is_said_and_no_number_is_made_of_it() -> None:
    nothing = said(collapsed=True, change=Estimate(value=0.0), strongest=0.0)
    assert nothing == "The label changes nothing: the images with and without Effusion are the same. No map is drawn."
    assert "below the rounding of an image" in said(collapsed=True, strongest=0.4)


def test_one_pair_claims_nothing_of_others() -> None:
    assert "for this one latent vector; others may differ" in said(images=1)
