"""Membership inference: how scores become a test, and the attacks with weights and critic."""

from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.audit import planted
from radcommons.audit.inputs.subject import load_critic
from radcommons.audit.planted import overfitted_generator
from radcommons.audit.settings import AuditSettings
from radcommons.audit.tests.membership import membership_test
from radcommons.audit.tests.membership_critic import critic_scores
from radcommons.audit.tests.membership_white_box import detail, inversion_errors
from radcommons.data.store import Store
from radcommons.metrics.classification import area_under_roc

SIZES = AuditSettings(bootstrap_samples=200, permutations=2000)


def judged(members: np.ndarray, others: np.ndarray, **how: object):  # type: ignore[no-untyped-def]
    a, b = np.arange(len(members)), np.arange(len(others))
    settings: dict[str, object] = {
        "kind": "membership inference: black-box",
        "access": "samples",
        "question": "?",
        "settings": SIZES,
    }
    settings["significance"] = how.pop("significance", 0.001)
    rng = np.random.default_rng(0)
    return membership_test(members, others, how.pop("a", a), how.pop("b", b), rng=rng, **settings, **how)  # type: ignore[arg-type]


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


def test_inversion_rebuilds_films_learned_by_heart_better_than_others(phantom_store: Store) -> None:
    films = np.asarray(phantom_store.images(16)[:40])
    fitted = overfitted_generator(films[:20], seed=0)
    nothing = np.zeros((40, 0), np.float32)
    blocks = list(inversion_errors(fitted.generator, films, nothing, steps=80, seed=1))
    errors = np.concatenate(blocks)
    assert [len(b) for b in blocks] == [16, 16, 8]
    assert area_under_roc(-errors[:20], -errors[20:]) > 0.9
    before = np.concatenate(list(inversion_errors(fitted.generator, films, nothing, steps=1, seed=1)))
    assert (errors <= before + 1e-9).all(), "more steps never lose what was found"


def test_a_film_s_error_does_not_depend_on_where_a_stopped_inversion_went_on(
    phantom_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planted, "OVERFITTED_STEPS", 5)
    films = np.asarray(phantom_store.images(16)[:32])
    fitted = overfitted_generator(films[:4], seed=0)
    nothing = np.zeros((32, 0), np.float32)
    whole = np.concatenate(list(inversion_errors(fitted.generator, films, nothing, steps=2, seed=1)))
    rest = np.concatenate(list(inversion_errors(fitted.generator, films[16:], nothing[16:], steps=2, seed=1)))
    assert np.allclose(whole[16:], rest)


def test_the_critic_of_a_run_scores_each_film_alone(hospital: Store, short_run: Path) -> None:
    loaded = load_critic(short_run, len(hospital.findings))
    assert loaded is not None and loaded[1] == hospital.record.manifest_sha256
    images = hospital.images(16)
    some, one = (
        critic_scores(loaded[0], images, np.arange(6), 1.0),
        critic_scores(loaded[0], images, np.array([4]), 1.0),
    )
    assert some[4] == one[0] and len(set(some)) == 6
    assert load_critic(short_run / "generator", 1) is None
    assert not any(p.requires_grad for p in loaded[0].parameters()) and torch.is_grad_enabled()


def test_fine_detail_is_what_a_blur_takes_away() -> None:
    flat, fine = np.full((1, 16, 16), 90, np.uint8), np.zeros((1, 16, 16), np.uint8)
    fine[0, ::2] = 255
    assert detail(flat)[0] == 0 and detail(fine)[0] == pytest.approx(1.0, rel=0.02)
