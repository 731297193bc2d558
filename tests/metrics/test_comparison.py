from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, norm, rankdata
from statsmodels.stats.multitest import multipletests

from radcommons.metrics.bootstrap import bootstrap_auc, percentile_interval
from radcommons.metrics.classification import area_under_roc, split_classes
from radcommons.metrics.comparison import delong_test, holm, permutation_test
from radcommons.metrics.power import paired_auc_error, power_of_difference

NAN = np.nan


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    return area_under_roc(*split_classes(scores, labels))


def two_classifiers(
    seed: int, *, better: float = 0.0, patients: int = 60, images: int = 3, findings: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two classifiers of skill 1 and 1 + better that share half of their noise, labels and patients."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), images)
    labels = (rng.random((patients, findings)) < 0.4)[owners].astype(float)
    change = rng.random(labels.shape) < 0.1  # a patient may get well
    labels = np.where(change, 1 - labels, labels)

    def noise() -> np.ndarray:
        return rng.standard_normal((patients, findings))[owners] + rng.standard_normal(labels.shape)

    shared = noise()
    return labels + (shared + noise()) / 2, (1 + better) * labels + (shared + noise()) / 2, labels, owners


def test_the_difference_is_that_of_the_two_aucs_with_ties_and_unknowns() -> None:
    first, second, labels, patients = two_classifiers(0, findings=3)
    first = np.round(first, 1)
    labels[::5, 1] = NAN
    expected = [auc(first[:, f], labels[:, f]) - auc(second[:, f], labels[:, f]) for f in range(3)]
    found = permutation_test(first, second, labels, patients, permutations=10, rng=np.random.default_rng(1))
    assert found.difference == pytest.approx(expected, abs=1e-12)
    assert delong_test(first, second, labels, patients).difference == pytest.approx(expected, abs=1e-12)


def test_the_p_value_is_the_share_of_all_exchanges_computed_one_by_one() -> None:
    """Seven patients have 128 exchanges; each is carried out on the ranks and its two AUCs are computed anew."""
    rng = np.random.default_rng(2)
    patients = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6])
    labels = np.array([1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0.0])
    first, second = np.round(rng.normal(labels, 0.7), 1), np.round(rng.normal(labels), 1)
    ranks = np.stack([rankdata(first), rankdata(second)])
    observed = abs(auc(first, labels) - auc(second, labels))
    as_far = 0
    for exchange in product([False, True], repeat=7):
        swapped = np.array(exchange)[patients]
        one, other = np.where(swapped, ranks[::-1], ranks)
        as_far += abs(auc(one, labels) - auc(other, labels)) >= observed - 1e-12
    found = permutation_test(
        first[:, None], second[:, None], labels[:, None], patients, permutations=40_000, rng=np.random.default_rng(3)
    )
    assert 5 < as_far < 123
    assert found.p_value[0] == pytest.approx(as_far / 128, abs=0.01)


def test_an_exchange_that_gives_the_same_difference_but_for_rounding_counts_as_far() -> None:
    """Nine images, 512 exchanges, differences in steps of 1/80: many equal the observed one exactly."""
    exchanges = np.array(list(product([False, True], repeat=9)))
    labels = np.repeat([1.0, 0.0], [4, 5])
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scores = rng.integers(0, 4, (2, 9)).astype(float)
        ranks = np.stack([rankdata(row) for row in scores])
        differences = [
            auc(one, labels) - auc(other, labels)
            for one, other in (np.where(swapped, ranks[::-1], ranks) for swapped in exchanges)
        ]
        as_far = np.abs(differences) >= abs(auc(scores[0], labels) - auc(scores[1], labels)) - 1e-9
        found = permutation_test(
            *(row[:, None] for row in (*scores, labels)),
            np.arange(9),
            permutations=20_000,
            rng=np.random.default_rng(seed),
        )
        assert found.p_value[0] == pytest.approx(as_far.mean(), abs=0.015)


def test_a_change_of_scale_changes_neither_test() -> None:
    first, second, labels, patients = two_classifiers(4)
    for scaled in (100 * second - 7, 1 / (1 + np.exp(-second))):
        p_values = [
            permutation_test(first, other, labels, patients, permutations=500, rng=np.random.default_rng(5)).p_value[0]
            for other in (second, scaled)
        ]
        assert p_values[0] == p_values[1]
        errors = [delong_test(first, other, labels, patients).standard_error[0] for other in (second, scaled)]
        assert errors[0] == pytest.approx(errors[1], abs=1e-12)


def test_the_same_classifier_twice_has_p_one() -> None:
    first, _, labels, patients = two_classifiers(6)
    found = permutation_test(first, first, labels, patients, permutations=50, rng=np.random.default_rng(7))
    assert (found.difference[0], found.p_value[0]) == (0, 1)
    assert delong_test(first, first, labels, patients).p_value[0] == 1


def test_a_much_better_classifier_has_the_smallest_p_there_is() -> None:
    first, second, labels, patients = two_classifiers(8, better=1.5)
    found = permutation_test(first, second, labels, patients, permutations=999, rng=np.random.default_rng(9))
    assert found.difference[0] < -0.05
    assert found.p_value[0] == 1 / 1000
    assert delong_test(first, second, labels, patients).p_value[0] < 0.001


def test_a_finding_of_one_class_is_nan() -> None:
    first, second, labels, patients = two_classifiers(12, findings=2)
    labels[:, 1] = 0
    found = permutation_test(first, second, labels, patients, permutations=50, rng=np.random.default_rng(13))
    assert np.isnan(
        [found.difference[1], found.p_value[1], *np.ravel(delong_test(first, second, labels, patients).p_value[1])]
    ).all()


def test_the_p_value_does_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    films = two_classifiers(14)
    in_one = permutation_test(*films, permutations=300, rng=np.random.default_rng(15))
    monkeypatch.setattr("radcommons.metrics.comparison.BLOCK_CELLS", 700)
    assert np.array_equal(
        in_one.p_value, permutation_test(*films, permutations=300, rng=np.random.default_rng(15)).p_value
    )


def test_delongs_error_equals_the_formula_over_all_pairs() -> None:
    first, second, labels, _ = two_classifiers(16, patients=40, images=1)
    positive, negative = labels[:, 0] == 1, labels[:, 0] == 0
    psi = [
        (s[positive] > s[negative].T) + 0.5 * (s[positive] == s[negative].T)
        for s in (np.round(first, 1), np.round(second, 1))
    ]
    by_positive, by_negative = np.cov([p.mean(axis=1) for p in psi]), np.cov([p.mean(axis=0) for p in psi])
    covariance = by_positive / positive.sum() + by_negative / negative.sum()
    expected = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = delong_test(np.round(first, 1), np.round(second, 1), labels, np.arange(40))
    assert found.standard_error[0] == pytest.approx(expected, abs=1e-12)
    p_value = 2 * norm.sf(abs(found.difference[0]) / expected)
    assert found.p_value[0] == pytest.approx(p_value, abs=1e-12)


def test_copies_of_every_film_leave_the_error_by_patients_as_it_was() -> None:
    """Four equal films a patient say no more than one; taken for independent they would halve the error."""
    first, second, labels, patients = two_classifiers(17, patients=50, images=1)
    once = delong_test(first, second, labels, patients).standard_error[0]
    copies = [np.repeat(array, 4, axis=0) for array in (first, second, labels, patients)]
    assert delong_test(*copies).standard_error[0] == pytest.approx(once, rel=1e-12)
    copies[3] = np.arange(200)
    assert delong_test(*copies).standard_error[0] == pytest.approx(once / 2, rel=0.02)


def test_delong_needs_two_patients_of_either_class() -> None:
    labels = np.array([[1.0], [1], [0], [0]])
    first, second = np.array([[1.0], [3], [2], [0]]), np.array([[3.0], [1], [0], [2]])
    assert np.isnan(delong_test(first, second, labels, np.array([0, 0, 1, 2])).standard_error[0])
    assert not np.isnan(delong_test(first, second, labels, np.arange(4)).standard_error[0])


def test_bootstrap_delong_and_permutation_agree_on_one_comparison() -> None:
    first, second, labels, patients = two_classifiers(18, better=0.3, patients=200)
    both, twice = np.hstack([first, second]), np.hstack([labels, labels])
    aucs = bootstrap_auc(both, twice, patients, bootstrap_samples=2000, rng=np.random.default_rng(19))
    values = aucs[:, 0] - aucs[:, 1]
    delong = delong_test(first, second, labels, patients)
    assert values.std() == pytest.approx(delong.standard_error[0], rel=0.06)
    low, high = percentile_interval(values)
    assert low < delong.difference[0] < high
    exchanged = permutation_test(first, second, labels, patients, permutations=5000, rng=np.random.default_rng(20))
    assert exchanged.p_value[0] == pytest.approx(delong.p_value[0], abs=0.02)


def test_under_the_null_p_values_are_uniform_and_images_taken_for_independent_alarm_too_often() -> None:
    """500 comparisons of two classifiers of equal skill, 60 patients with three alike films each."""
    by_patient, delong, by_image = [], [], []
    for seed in range(500):
        films = two_classifiers(1000 + seed)
        exchanged = permutation_test(*films, permutations=400, rng=np.random.default_rng(seed))
        by_patient.append(exchanged.p_value[0])
        delong.append(delong_test(*films).p_value[0])
        as_images = permutation_test(*films[:3], np.arange(180), permutations=400, rng=np.random.default_rng(seed))
        by_image.append(as_images.p_value[0])
    assert kstest(by_patient, "uniform").pvalue > 0.01
    assert kstest(delong, "uniform").pvalue > 0.01
    assert np.mean(np.array(by_patient) < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(np.array(by_image) < 0.05) > 0.1
    assert kstest(by_image, "uniform").pvalue < 0.001


def test_a_planned_comparison_finds_the_difference_as_often_as_planned() -> None:
    """Skills 1 and 1.4, noise of half shared variance: 300 experiments against the power of their true error."""
    rng = np.random.default_rng(21)
    labels = np.repeat([1.0, 0.0], [60, 90])[:, None]
    found, differences = [], []
    for _ in range(300):
        shared = rng.standard_normal((150, 1))
        first, second = (
            skill * labels + np.sqrt(0.5) * (shared + rng.standard_normal((150, 1))) for skill in (1.0, 1.4)
        )
        result = delong_test(first, second, labels, np.arange(150))
        found.append(result.p_value[0] < 0.05)
        differences.append(result.difference[0])
    truth = norm.cdf(1 / np.sqrt(2)) - norm.cdf(1.4 / np.sqrt(2))
    assert np.mean(differences) == pytest.approx(truth, abs=0.006)
    power = power_of_difference(truth, float(np.std(differences)))
    assert np.mean(found) == pytest.approx(power, abs=0.07)
    planned = paired_auc_error(*norm.cdf(np.array([1, 1.4]) / np.sqrt(2)), 60, 90, correlation=0.5)
    assert planned == pytest.approx(np.std(differences), rel=0.15)


def test_holm_by_hand_and_against_statsmodels() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    p_values = np.random.default_rng(22).random(14) ** 3
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_passes_nan_through_and_does_not_count_it() -> None:
    found = holm(np.array([NAN, 0.01, NAN, 0.5]))
    assert np.isnan(found).tolist() == [True, False, True, False]
    assert found[[1, 3]] == pytest.approx([0.02, 0.5])
    assert np.isnan(holm(np.array([NAN]))).all()
