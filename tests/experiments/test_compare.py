"""Arms on the same films: scikit-learn's AUC, the same bootstrap samples for all, and no gain where there is none."""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from radcommons.experiments.compare import ArmAucs, share_above_chance
from radcommons.experiments.conclusions import enrich_sentence
from radcommons.experiments.enrich import ALL_REAL, CONTROLS, ENRICHED, REAL_ONLY
from radcommons.metrics.bootstrap import bootstrap_auc
from radcommons.metrics.comparison import delong_test, holm
from radcommons.records import Estimate
from radcommons.seeds import numpy_stream

FINDINGS = ("Effusion", "Nodule")


def films(
    n: int = 120, *, findings: int = 2, seed: int = 0, unknown: bool = True
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Labels with some unknown, two films a patient, and what draws scores."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, findings)) < 0.4).astype(np.float32)
    if unknown:
        labels[rng.random(labels.shape) < 0.1] = np.nan
    return labels, np.array([f"p{i // 2}" for i in range(n)]), rng


def scores_of(labels: np.ndarray, rng: np.random.Generator, *, gap: float, repeats: int) -> list[np.ndarray]:
    """Scores whose positives lie `gap` standard deviations above the negatives."""
    shift = gap * np.nan_to_num(labels)
    return [(shift + rng.normal(size=labels.shape)).astype(np.float32) for _ in range(repeats)]


def test_auc_of_every_arm_repeat_and_finding_is_scikit_learns() -> None:
    labels, patients, rng = films()
    arms = {name: scores_of(labels, rng, gap=gap, repeats=3) for name, gap in (("weak", 0.3), ("strong", 1.5))}
    aucs = ArmAucs(arms, labels, patients, FINDINGS, bootstrap_samples=100, seed=1)
    for arm, repeats in arms.items():
        for f, finding in enumerate(FINDINGS):
            known = ~np.isnan(labels[:, f])
            expected = [roc_auc_score(labels[known, f], s[known, f]) for s in repeats]
            assert aucs.aucs(arm, finding) == pytest.approx(expected, abs=1e-12)
            assert aucs.auc(arm, finding).value == pytest.approx(np.mean(expected))


def test_all_arms_are_compared_in_the_same_bootstrap_samples_so_that_what_they_share_cancels() -> None:
    labels, patients, rng = films(unknown=False)
    first = scores_of(labels, rng, gap=1.0, repeats=1)
    close = [first[0] + rng.normal(0, 0.05, labels.shape).astype(np.float32)]
    apart = scores_of(labels, rng, gap=1.0, repeats=1)
    aucs = ArmAucs(
        {"a": first, "close": close, "apart": apart}, labels, patients, FINDINGS, bootstrap_samples=400, seed=1
    )
    near, far = (c.difference for c in aucs.comparisons([("close", "a"), ("apart", "a")]) if c.finding == "Effusion")
    assert near.high - near.low < 0.3 * (far.high - far.low)  # type: ignore[operator]


def test_the_interval_of_one_repeat_is_that_of_the_difference_in_each_bootstrap_sample() -> None:
    labels, patients, rng = films(findings=1)
    a, b = (scores_of(labels, rng, gap=gap, repeats=1) for gap in (1.0, 0.5))
    aucs = ArmAucs({"a": a, "b": b}, labels, patients, ["Effusion"], bootstrap_samples=500, seed=3)
    (found,) = aucs.comparisons([("a", "b")])
    both = np.hstack([a[0], b[0]])
    resampled = bootstrap_auc(
        both, np.hstack([labels] * 2), patients, bootstrap_samples=500, rng=numpy_stream(3, "patients")
    )
    error = np.std(resampled[:, 0] - resampled[:, 1], ddof=1)
    assert found.difference.high - found.difference.value == pytest.approx(1.959964 * error, rel=1e-6)  # type: ignore[operator]
    assert found.p_delong == pytest.approx(delong_test(a[0], b[0], labels, patients).p_value[0])


def test_identical_arms_differ_by_exactly_nothing() -> None:
    labels, patients, rng = films()
    same = scores_of(labels, rng, gap=0.5, repeats=3)
    aucs = ArmAucs(
        {"a": same, "b": [s.copy() for s in same]}, labels, patients, FINDINGS, bootstrap_samples=200, seed=1
    )
    for found in aucs.comparisons([("a", "b")]):
        assert (found.difference.low, found.difference.value, found.difference.high) == (0, 0, 0)
        assert found.p_value == found.p_corrected == found.p_permutation == found.p_delong == 1
        assert found.verdict == "no relevant difference"


def test_an_auc_and_its_interval_stay_within_0_and_1() -> None:
    labels, patients, rng = films(30, findings=1, unknown=False)
    aucs = ArmAucs(
        {"a": scores_of(labels, rng, gap=3.0, repeats=1)}, labels, patients, ["Effusion"], bootstrap_samples=200, seed=1
    )
    found = aucs.auc("a", "Effusion")
    assert found.low is not None and found.low < found.value < 1 and found.high == 1


def test_all_comparisons_of_all_findings_are_corrected_together_and_a_real_gain_survives() -> None:
    labels, patients, rng = films(300)
    arms = {name: scores_of(labels, rng, gap=gap, repeats=5) for name, gap in (("a", 0.2), ("b", 0.2), ("c", 2.0))}
    aucs = ArmAucs(arms, labels, patients, FINDINGS, bootstrap_samples=300, seed=1)
    found = aucs.comparisons([("b", "a"), ("c", "a"), ("a", "c")])
    assert len(found) == 6
    assert [c.p_corrected for c in found] == pytest.approx(holm(np.array([c.p_value for c in found])))
    assert [c.verdict for c in found[2:]] == ["better", "better", "worse", "worse"]
    assert not {c.verdict for c in found[:2]} & {"better", "worse"}
    alone = aucs.comparisons([("b", "a")])
    assert all(a.detectable < c.detectable for a, c in zip(alone, found[:2], strict=True)), "more tests find less"


def test_a_difference_as_large_as_the_detectable_one_is_found_in_four_of_five_studies() -> None:
    studies, made = 100, []
    for study in range(studies):
        labels, patients, rng = films(400, findings=1, seed=study, unknown=False)
        a, b = (scores_of(labels, rng, gap=gap, repeats=1) for gap in (1.0, 0.575))
        made += ArmAucs({"a": a, "b": b}, labels, patients, ["x"], bootstrap_samples=100, seed=study).comparisons(
            [("a", "b")]
        )
    true_difference = float(ndtr(1.0 / np.sqrt(2)) - ndtr(0.575 / np.sqrt(2)))  # AUC of two normals
    assert np.mean([c.detectable for c in made]) == pytest.approx(true_difference, rel=0.05), "the study is so large"
    assert np.mean([c.verdict == "better" for c in made]) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / studies))


@pytest.mark.slow
def test_where_all_arms_are_equal_hardly_any_study_claims_a_difference() -> None:
    pairs = [(ENRICHED, REAL_ONLY), *((ENRICHED, c) for c in CONTROLS), (ALL_REAL, REAL_ONLY)]
    names = (REAL_ONLY, ENRICHED, *CONTROLS, ALL_REAL)
    claims, differences, studies = 0, 0, 60
    for study in range(studies):
        labels, patients, rng = films(80, findings=1, seed=study)
        arms = {name: scores_of(labels, rng, gap=0.7, repeats=3) for name in names}
        aucs = ArmAucs(arms, labels, patients, ["Effusion"], bootstrap_samples=100, seed=study)
        found = aucs.comparisons(pairs)
        differences += any(c.verdict in ("better", "worse") for c in found)
        claims += "raised" in enrich_sentence(found[0], found[1:-1], found[-1])
    assert claims <= differences <= 0.05 * studies


def test_the_share_above_chance_is_of_what_the_reference_is_sure_to_have() -> None:
    reference = Estimate(value=0.9, low=0.8, high=1.0)
    assert share_above_chance(Estimate(value=0.8), reference) == pytest.approx(0.75)
    assert share_above_chance(reference, reference) == 1
    assert share_above_chance(Estimate(value=0.46), reference) == pytest.approx(-0.1), "worse than chance"
    assert share_above_chance(Estimate(value=0.8), Estimate(value=0.6, low=0.5, high=0.7)) is None


def test_of_fewer_than_ten_patients_no_difference_is_claimed() -> None:
    rng = np.random.default_rng(4)
    labels = np.zeros((200, 2), np.float32)
    labels[:20, 0], labels[:18, 1] = 1, 1  # two films a patient: ten patients, and nine
    patients = np.array([f"p{i // 2}" for i in range(200)])
    arms = {name: scores_of(labels, rng, gap=gap, repeats=3) for name, gap in (("poor", 0.0), ("good", 3.0))}
    aucs = ArmAucs(arms, labels, patients, FINDINGS, bootstrap_samples=400, seed=1)
    verdicts = {c.finding: c.verdict for c in aucs.comparisons([("good", "poor")])}
    assert verdicts == {"Effusion": "better", "Nodule": "undecided"}
    (note,) = aucs.notes()
    assert note == "fewer than 10 test patients of the rarer class, so no difference is claimed: Nodule (9)"


def test_two_arms_that_never_err_are_not_said_to_be_alike() -> None:
    labels, patients, _ = films(unknown=False)
    perfect = [labels.copy()]
    aucs = ArmAucs({"a": perfect, "b": [2 * labels]}, labels, patients, FINDINGS, bootstrap_samples=100, seed=1)
    assert {(c.verdict, c.detectable) for c in aucs.comparisons([("a", "b")])} == {("undecided", 1.0)}
