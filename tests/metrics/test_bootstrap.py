from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm

from radcommons.metrics.bootstrap import auc_interval, grouped_counts, percentile_interval, true_positive_rate_interval
from radcommons.metrics.classification import area_under_roc, true_positive_rate_at


def test_rows_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = grouped_counts(groups, rng=rng)
        drawn = {name: set(counts[groups == name].tolist()) for name in "abc"}
        assert all(len(values) == 1 for values in drawn.values())
        assert sum(values.pop() for values in drawn.values()) == 3


def test_a_patient_is_left_out_as_often_as_chance_says() -> None:
    rng = np.random.default_rng(1)
    left_out = np.mean([grouped_counts(np.arange(10), rng=rng) == 0 for _ in range(2000)])
    assert left_out == pytest.approx(0.9**10, abs=0.01)


def test_the_middle_of_a_hundred_and_one_values_by_hand() -> None:
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


def scores_of_patients(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tied scores of 40 and 60 patients with one to four films each."""
    rng = np.random.default_rng(seed)
    ours, theirs = np.repeat(np.arange(40), rng.integers(1, 5, 40)), np.repeat(np.arange(60), rng.integers(1, 5, 60))
    return rng.integers(1, 9, len(ours)) / 2, rng.integers(0, 8, len(theirs)) / 2, ours, theirs + 100


@pytest.mark.parametrize("redraws", [7, 60])
def test_both_intervals_equal_the_loop_that_repeats_rows(redraws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radcommons.metrics.bootstrap.BLOCK_CELLS", 1000)  # so that several blocks have to fit together
    positive, negative, ours, theirs = scores_of_patients(2)
    again = np.random.default_rng(3)
    aucs, rates = [], []
    for _ in range(redraws):
        one = np.repeat(positive, grouped_counts(ours, rng=again))
        other = np.repeat(negative, grouped_counts(theirs, rng=again))
        aucs.append(area_under_roc(one, other))
        rates.append(true_positive_rate_at(one, other, false_positive_rate=0.1))
    found = auc_interval(positive, negative, ours, theirs, redraws=redraws, rng=np.random.default_rng(3), level=0.8)
    assert found == pytest.approx(percentile_interval(np.array(aucs), 0.8), abs=1e-12)
    found = true_positive_rate_interval(
        positive, negative, ours, theirs, false_positive_rate=0.1, redraws=redraws, rng=np.random.default_rng(3),
    )  # fmt: skip
    assert found == pytest.approx(percentile_interval(np.array(rates)), abs=1e-12)


def test_a_patient_in_both_classes_brings_all_rows_along() -> None:
    """Each of three patients has a positive just above the own negative: the AUC is 1 only if they stay together."""
    positive, negative = np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0])
    patients = np.arange(3)
    wins = Counter()
    again = np.random.default_rng(4)
    for _ in range(200):
        counts = grouped_counts(patients, rng=again)
        wins[area_under_roc(np.repeat(positive, counts), np.repeat(negative, counts))] += 1
    low, high = auc_interval(positive, negative, patients, patients, redraws=200, rng=np.random.default_rng(4), level=1)
    assert (low, high) == pytest.approx((min(wins), max(wins)))
    assert low >= 5 / 9 - 1e-12  # apart, positives of the first and negatives of the last patient alone would give 0
    apart = auc_interval(positive, negative, patients, patients + 9, redraws=200, rng=np.random.default_rng(4), level=1)
    assert apart[0] < 5 / 9


def test_scores_all_alike_give_one_half_and_no_width() -> None:
    rng = np.random.default_rng(5)
    groups = np.arange(20)
    assert auc_interval(np.ones(20), np.ones(20), groups, groups + 20, redraws=50, rng=rng) == (0.5, 0.5)
    rate = true_positive_rate_interval(
        np.ones(20), np.ones(20), groups, groups + 20, false_positive_rate=0.1, redraws=50, rng=rng
    )
    assert rate == (0, 0)


def test_an_interval_of_95_percent_covers_the_true_auc_so_often() -> None:
    """Binormal scores, 60 patients a class with three films each that share half of their variance."""
    truth = norm.cdf(0.8 / np.sqrt(2))
    rng = np.random.default_rng(6)
    patients = np.repeat(np.arange(60), 3)
    covered = {"patients": 0, "films": 0}
    for _ in range(300):
        positive, negative = np.sqrt(0.5) * (rng.standard_normal((2, 60))[:, patients] + rng.standard_normal((2, 180)))
        for name, groups in (("patients", patients), ("films", np.arange(180))):
            low, high = auc_interval(positive + 0.8, negative, groups, groups + 500, redraws=100, rng=rng)
            covered[name] += low <= truth <= high
    assert covered["patients"] / 300 == pytest.approx(0.94, abs=0.035)
    assert covered["films"] / 300 < 0.88
