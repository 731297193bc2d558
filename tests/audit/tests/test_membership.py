"""Membership inference: how the scores of an attack become a test."""

from types import SimpleNamespace

import numpy as np
import pytest

from radcommons.audit.settings import AuditSettings
from radcommons.audit.tests.membership import membership_test
from radcommons.audit.tests.membership_black_box import TEST

SIZES = AuditSettings(bootstrap_samples=200, permutations=2000)


def judged(members: np.ndarray, others: np.ndarray, **how: object):  # type: ignore[no-untyped-def]
    a, b = np.arange(len(members)), np.arange(len(others))
    inputs = SimpleNamespace(settings=SIZES, significance=how.pop("significance", 0.001))
    rng = np.random.default_rng(0)
    return membership_test(TEST, members, others, how.pop("a", a), how.pop("b", b), inputs, rng=rng, **how)  # type: ignore[arg-type]


def test_an_attack_that_knows_nothing_is_near_a_half_and_says_what_it_would_have_found() -> None:
    rng = np.random.default_rng(1)
    test = judged(rng.normal(size=300), rng.normal(size=100))
    assert test.result.low < 0.5 < test.result.high and test.p_value > 0.01
    assert 0.6 < test.detection_limit < 0.7 and f"an AUC of {test.detection_limit:.2f}" in test.detection


def test_what_would_have_been_found_follows_the_level_that_is_asked_for() -> None:
    scores = np.random.default_rng(1).normal(size=(2, 200))
    strict, lax = (judged(*scores, significance=level) for level in (1e-6, 0.05))
    assert "(p < 1e-06)" in strict.detection and "(p < 0.05)" in lax.detection
    assert strict.detection_limit > lax.detection_limit + 0.08


def test_a_strong_attack_is_significant_with_its_tpr_at_few_false_alarms_and_their_intervals() -> None:
    rng = np.random.default_rng(2)
    test = judged(rng.normal(2, 1, 300), rng.normal(size=200))
    assert test.result.value == pytest.approx(0.92, abs=0.03) and test.p_value < 0.001
    rate = test.details["TPR at 1.0% FPR"]
    assert test.details["TPR at 1.0% FPR, from"] <= rate <= test.details["TPR at 1.0% FPR, to"]
    assert test.curve[0][0] == 0 and test.curve[-1] == (1.0, 1.0)
    assert not any("0.1%" in name for name in test.details), "one false alarm in 1,000 cannot be seen in 200 patients"
    assert not any("TPR" in name for name in judged(rng.normal(2, 1, 300), rng.normal(size=78)).details)


def test_patients_count_once_however_many_films_they_have() -> None:
    members, patients = np.array([1.0] * 50 + [0.0]), np.array([0] * 50 + [1])
    test = judged(members, np.full(20, 0.5), a=patients)
    assert test.result.value == 0.5, "one patient above, one below"
    assert test.details["AUC by image"] == pytest.approx(50 / 51)
    assert test.detection == "the patients are too few to detect even a perfect attack"
    assert test.detection_limit is None


def test_a_two_sided_question_is_answered_both_ways() -> None:
    rng = np.random.default_rng(3)
    low, high = rng.normal(-1, 1, 80), rng.normal(size=80)
    assert judged(low, high).p_value > 0.99
    assert judged(low, high, two_sided=True).p_value < 0.01
