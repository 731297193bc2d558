import numpy as np
import pytest

from radcommons.explain.identity import identity_change, mean_with_interval


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_by_hand_two_persons() -> None:
    without = np.array([[0.0, 0.0], [4.0, 0.0]])
    raised = np.array([[0.0, 1.0], [4.0, 3.0]])  # move by 1 and 3, stand 4 apart
    assert identity_change(without, raised, rng=rng()).value == pytest.approx(0.5)


def test_the_same_image_is_0_and_another_person_is_1() -> None:
    people = np.random.default_rng(1).normal(size=(200, 8))
    assert identity_change(people, people, rng=rng()).value == 0
    other = identity_change(people, np.random.default_rng(2).normal(size=(200, 8)), rng=rng())
    assert other.low < 1 < other.high and other.high - other.low < 0.15


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    far = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        people = far.normal(size=(40, 3))
        found = identity_change(people, people + far.normal(0, 0.5, size=(40, 3)), rng=far)
        covered += found.low < 0.5 / np.sqrt(2) < found.high  # both distances are Rayleigh-like in 3 dimensions
    assert 0.88 <= covered / 200 <= 0.99


def test_persons_who_are_all_alike_have_no_ratio() -> None:
    assert np.isnan(identity_change(np.ones((5, 3)), np.zeros((5, 3)), rng=rng()).value)


def test_a_mean_and_its_interval_agree_with_the_normal_law() -> None:
    values = np.random.default_rng(4).normal(10, 2, 400)
    found = mean_with_interval(values, rng=rng())
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std(ddof=1) / 20, rel=0.15)
