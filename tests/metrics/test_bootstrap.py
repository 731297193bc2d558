from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from radcommons.metrics.bootstrap import (
    auc_interval,
    bootstrap_auc,
    bootstrap_average_precision,
    bootstrap_confusion,
    percentile_interval,
    true_positive_rate_interval,
)
from radcommons.metrics.classification import area_under_roc, true_positive_rate_at
from radcommons.metrics.thresholds import confusion

NAN = np.nan


def counts_of(groups: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """How often each row stands in one bootstrap sample of its groups, drawn as `metrics.bootstrap` draws."""
    names, rows = np.unique(groups, return_inverse=True)
    return np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[rows]


def test_the_middle_of_a_hundred_and_one_values_by_hand() -> None:
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


def scores_of_patients(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tied scores of 40 and 60 patients with one to four films each."""
    rng = np.random.default_rng(seed)
    ours, theirs = np.repeat(np.arange(40), rng.integers(1, 5, 40)), np.repeat(np.arange(60), rng.integers(1, 5, 60))
    return rng.integers(1, 9, len(ours)) / 2, rng.integers(0, 8, len(theirs)) / 2, ours, theirs + 100


@pytest.mark.parametrize("bootstrap_samples", [7, 60])
def test_both_intervals_equal_the_loop_that_repeats_rows(
    bootstrap_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "radcommons.metrics.bootstrap.SAMPLES_AT_ONCE", 5
    )  # so that several blocks have to fit together
    positive, negative, ours, theirs = scores_of_patients(2)
    again = np.random.default_rng(3)
    aucs, rates = [], []
    for _ in range(bootstrap_samples):
        one = np.repeat(positive, counts_of(ours, rng=again))
        other = np.repeat(negative, counts_of(theirs, rng=again))
        aucs.append(area_under_roc(one, other))
        rates.append(true_positive_rate_at(one, other, false_positive_rate=0.1))
    found = auc_interval(
        positive, negative, ours, theirs, bootstrap_samples=bootstrap_samples, rng=np.random.default_rng(3), level=0.8
    )
    assert found == pytest.approx(percentile_interval(np.array(aucs), 0.8), abs=1e-12)
    found = true_positive_rate_interval(
        positive, negative, ours, theirs, false_positive_rate=0.1, bootstrap_samples=bootstrap_samples,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    assert found == pytest.approx(percentile_interval(np.array(rates)), abs=1e-12)


def test_a_patient_in_both_classes_brings_all_rows_along() -> None:
    """Each of three patients has a positive just above the own negative: the AUC is 1 only if they stay together."""
    positive, negative = np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0])
    patients = np.arange(3)
    wins = Counter()
    again = np.random.default_rng(4)
    for _ in range(200):
        counts = counts_of(patients, rng=again)
        wins[area_under_roc(np.repeat(positive, counts), np.repeat(negative, counts))] += 1
    low, high = auc_interval(
        positive, negative, patients, patients, bootstrap_samples=200, rng=np.random.default_rng(4), level=1
    )
    assert (low, high) == pytest.approx((min(wins), max(wins)))
    assert low >= 5 / 9 - 1e-12  # apart, positives of the first and negatives of the last patient alone would give 0
    apart = auc_interval(
        positive, negative, patients, patients + 9, bootstrap_samples=200, rng=np.random.default_rng(4), level=1
    )
    assert apart[0] < 5 / 9


def test_scores_all_alike_give_one_half_and_no_width() -> None:
    rng = np.random.default_rng(5)
    groups = np.arange(20)
    assert auc_interval(np.ones(20), np.ones(20), groups, groups + 20, bootstrap_samples=50, rng=rng) == (0.5, 0.5)
    rate = true_positive_rate_interval(
        np.ones(20), np.ones(20), groups, groups + 20, false_positive_rate=0.1, bootstrap_samples=50, rng=rng
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
            low, high = auc_interval(positive + 0.8, negative, groups, groups + 500, bootstrap_samples=100, rng=rng)
            covered[name] += low <= truth <= high
    assert covered["patients"] / 300 == pytest.approx(0.94, abs=0.035)
    assert covered["films"] / 300 < 0.88


def films(seed: int, patients: int = 80, findings: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tied scores and labels, a fifth unknown, of patients with one to five films each, in no order."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.repeat([f"P{i}" for i in range(patients)], rng.integers(1, 6, patients)))
    labels = (rng.random((len(owners), findings)) < [0.1, 0.3, 0.6][:findings]).astype(float)
    scores = np.round(rng.normal(labels), 1)
    labels[rng.random(labels.shape) < 0.2] = NAN
    return scores, labels, owners


def test_every_bootstrap_sample_of_every_finding_equals_scikit_learn_on_the_same_images() -> None:
    scores, labels, patients = films(0)
    aucs = bootstrap_auc(scores, labels, patients, bootstrap_samples=70, rng=np.random.default_rng(1))
    precisions = bootstrap_average_precision(
        scores, labels, patients, bootstrap_samples=70, rng=np.random.default_rng(1)
    )
    again = np.random.default_rng(1)
    for sample in range(70):
        counts = counts_of(patients, rng=again)
        drawn = np.repeat(np.arange(len(patients)), counts)
        for f in range(3):
            rows = drawn[~np.isnan(labels[drawn, f])]
            truth, values = labels[rows, f], scores[rows, f]
            assert aucs[sample, f] == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
            assert precisions[sample, f] == pytest.approx(average_precision_score(truth, values), abs=1e-12)


def test_the_outcomes_of_a_bootstrap_sample_are_those_of_the_repeated_rows() -> None:
    scores, labels, patients = films(2)
    thresholds = np.array([0.3, 0.5, 0.7])
    found = bootstrap_confusion(
        scores, labels, thresholds, patients, bootstrap_samples=20, rng=np.random.default_rng(3)
    )
    again = np.random.default_rng(3)
    for sample in range(20):
        rows = np.repeat(np.arange(len(patients)), counts_of(patients, rng=again))
        expected = confusion(scores[rows], labels[rows], thresholds)
        assert found.true_positive[sample].tolist() == expected.true_positive.tolist()
        assert found.false_positive[sample].tolist() == expected.false_positive.tolist()
        assert found.npv[sample] == pytest.approx(expected.npv, abs=1e-12)
        assert found.f1[sample] == pytest.approx(expected.f1, abs=1e-12)


def test_the_values_do_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> np.ndarray:
        return bootstrap_auc(*films(4), bootstrap_samples=50, rng=np.random.default_rng(5))

    in_one = drawn()
    monkeypatch.setattr("radcommons.metrics.bootstrap.SAMPLES_AT_ONCE", 7)
    assert np.array_equal(in_one, drawn())


def test_a_bootstrap_sample_of_one_class_only_is_nan_as_often_as_chance_says() -> None:
    """One positive among ten patients is left out of 0.9^10 of the samples."""
    labels = np.zeros((10, 2))
    labels[0, 0] = 1
    values = bootstrap_auc(np.random.default_rng(6).random((10, 2)), labels, np.arange(10), bootstrap_samples=2000,
                         rng=np.random.default_rng(7))  # fmt: skip
    assert np.isnan(values[:, 0]).mean() == pytest.approx(0.9**10, abs=0.03)
    assert np.isnan(values[:, 1]).all()
    low, high = percentile_interval(values[:, 0])
    assert 0 <= low <= high <= 1
    assert np.isnan(percentile_interval(values[:, 1])).all()


def test_all_findings_are_scored_on_the_same_patients() -> None:
    scores, labels, patients = films(8, findings=1)
    twice = bootstrap_auc(
        np.hstack([scores, 2 * scores]),
        np.hstack([labels] * 2),
        patients,
        bootstrap_samples=40,
        rng=np.random.default_rng(9),
    )
    assert np.array_equal(twice[:, 0], twice[:, 1])
    assert twice[:, 0].std() > 0.01


def test_many_films_of_few_patients_have_wider_intervals_than_films_taken_for_independent() -> None:
    rng = np.random.default_rng(10)
    patients = np.repeat(np.arange(50), 8)
    labels = np.repeat(rng.integers(0, 2, 50), 8).astype(float)[:, None]
    scores = labels + rng.standard_normal(50)[patients, None] + 0.3 * rng.standard_normal((400, 1))
    by_patient, by_film = (
        bootstrap_auc(scores, labels, groups, bootstrap_samples=300, rng=rng).std()
        for groups in (patients, np.arange(400))
    )
    assert by_patient > 2 * by_film
