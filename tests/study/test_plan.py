import pytest
from scipy.stats import binom

from radcommons.study.plan import Plan, plan_study


def planned(**changes: object) -> Plan:
    values = {
        "accuracy": 0.6, "power": 0.8, "significance": 0.05, "readers": [10, 6], "images": [100, 50],
        "reader_spread": 0.05, "image_spread": 0.1, "simulations": 400, "seed": 0,
    }  # fmt: skip
    return plan_study(**values | changes)  # type: ignore[arg-type]


def test_every_design_has_its_power_in_order() -> None:
    found = planned()
    assert list(found.powers) == [6, 10] and list(found.powers[6]) == [50, 100]
    assert found.powers[6][50] < found.powers[10][100]
    assert planned() == found and planned(seed=1) != found
    assert planned(readers=[6], images=[50]).powers[6][50] == found.powers[6][50]  # whatever else is asked for


def test_the_images_of_one_reader_reach_the_power_by_the_exact_binomial_test() -> None:
    images = planned().one_reader_images

    def power(n: int) -> float:
        limit = binom.isf(0.025, n, 0.5) + 1  # rejects from this many right answers on
        return float(binom.sf(limit - 1, n, 0.6))

    assert images == 194
    assert sum(power(n) for n in range(images - 5, images + 6)) / 11 == pytest.approx(0.8, abs=0.02)


def test_the_sentence_names_the_design_with_the_fewest_answers_or_says_that_none_is_enough() -> None:
    assert planned(accuracy=0.8).sentence == (
        "6 readers with 50 images each tell an accuracy of 80% apart from 50% with a power of 80% "
        "(the design of these with the fewest answers)."
    )
    assert planned(accuracy=0.51).sentence == (
        "None of these designs tells an accuracy of 51% apart from 50% with a power of 80%; "
        "add readers first, then images."
    )
