import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn import metrics as sklearn_metrics

from radcommons.metrics.classification import (
    area_under_roc,
    auc_by_finding,
    average_precision,
    binary_labels,
    precision_recall_curve,
    roc_curve,
    split_classes,
    true_positive_rate_at,
)


def tied_scores(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9, 200) + 1.0, rng.integers(0, 9, 300).astype(float)


def as_labels(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate([positive, negative])


def test_scores_apart_give_one_and_the_other_way_round_zero() -> None:
    assert area_under_roc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert area_under_roc(np.array([0.0]), np.array([1.0, 2.0])) == 0


def test_a_tie_counts_half() -> None:
    assert area_under_roc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


def test_one_in_four_by_hand() -> None:
    assert area_under_roc(np.array([1.0]), np.array([0.0, 2.0, 3.0, 4.0])) == 0.25


def test_it_equals_scipys_mann_whitney_statistic_with_ties() -> None:
    positive, negative = tied_scores()
    expected = mannwhitneyu(positive, negative).statistic / (200 * 300)
    assert area_under_roc(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_it_equals_scikit_learn() -> None:
    positive, negative = tied_scores(1)
    expected = sklearn_metrics.roc_auc_score(*as_labels(positive, negative))
    assert area_under_roc(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_a_curve_by_hand_with_a_score_that_both_classes_have() -> None:
    fpr, tpr = roc_curve(np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    assert fpr.tolist() == [0, 0, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 1, 1]


def test_the_curve_equals_scikit_learns_with_ties() -> None:
    for positive, negative in (
        tied_scores(),
        (np.random.default_rng(2).random(50), np.random.default_rng(3).random(70)),
    ):
        fpr, tpr, _ = sklearn_metrics.roc_curve(*as_labels(positive, negative), drop_intermediate=False)
        found = roc_curve(positive, negative)
        np.testing.assert_allclose(found[0], fpr, atol=1e-15)
        np.testing.assert_allclose(found[1], tpr, atol=1e-15)
        assert np.trapezoid(found[1], found[0]) == pytest.approx(area_under_roc(positive, negative), abs=1e-12)


def test_scores_all_alike_are_a_curve_of_its_two_ends() -> None:
    fpr, tpr = roc_curve(np.zeros(3), np.zeros(4))
    assert (fpr.tolist(), tpr.tolist()) == ([0, 1], [0, 1])


def test_the_rate_is_that_of_the_loosest_threshold_that_keeps_within_the_limit() -> None:
    """Negatives 0 to 9: one in ten may pass, so the threshold can fall to 9, not to 8.5 with 9 above it twice."""
    positive, negative = np.array([10.0, 9.5, 9.0, 8.5, 8.0, 1.0]), np.arange(10.0)
    assert true_positive_rate_at(positive, negative, false_positive_rate=0.0) == 2 / 6
    assert true_positive_rate_at(positive, negative, false_positive_rate=0.099) == 2 / 6
    assert true_positive_rate_at(positive, negative, false_positive_rate=0.1) == 4 / 6
    assert true_positive_rate_at(positive, negative, false_positive_rate=0.2) == 5 / 6
    assert true_positive_rate_at(positive, negative, false_positive_rate=1.0) == 1


def test_below_one_negative_only_scores_above_all_of_them_count_and_a_tie_does_not() -> None:
    assert true_positive_rate_at(np.array([5.0, 5.0, 6.0, 7.0]), np.array([5.0, 0.0]), false_positive_rate=0.001) == 0.5
    assert true_positive_rate_at(np.array([5.0, 4.0]), np.array([5.0, 0.0]), false_positive_rate=0.001) == 0


@pytest.mark.parametrize("limit", [0.0, 0.001, 0.01, 0.1, 0.25, 0.5])
def test_the_rate_is_the_highest_point_of_scikit_learns_curve_within_the_limit(limit: float) -> None:
    for seed in range(5):
        positive, negative = tied_scores(seed)
        fpr, tpr, _ = sklearn_metrics.roc_curve(*as_labels(positive, negative), drop_intermediate=False)
        found = true_positive_rate_at(positive, negative, false_positive_rate=limit)
        assert found == pytest.approx(tpr[fpr <= limit].max(), abs=1e-12)


def test_unknown_labels_are_in_neither_class() -> None:
    positive, negative = split_classes(np.array([0.1, 0.2, 0.3]), np.array([1, np.nan, 0]))
    assert (positive.tolist(), negative.tolist()) == ([0.1], [0.3])


def test_average_precision_by_hand() -> None:
    """Found at 4 (1 of 1) and at 2, with the negatives at 3 and 2 (2 of 4): a half of each."""
    assert average_precision(np.array([4.0, 2.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx((1 + 2 / 4) / 2)


def test_scores_all_alike_have_the_prevalence_as_average_precision() -> None:
    assert average_precision(np.ones(3), np.ones(9)) == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_and_its_curve_equal_scikit_learns_with_ties(seed: int) -> None:
    positive, negative = tied_scores(seed)
    labels, scores = as_labels(positive, negative)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert average_precision(positive, negative) == pytest.approx(expected, abs=1e-12)
    precisions, recalls, _ = sklearn_metrics.precision_recall_curve(labels, scores)
    found = precision_recall_curve(positive, negative)
    np.testing.assert_allclose(found[0], precisions[::-1], atol=1e-15)
    np.testing.assert_allclose(found[1], recalls[::-1], atol=1e-15)


def test_labels_become_classes_from_a_half_on_and_unknown_ones_stay_unknown() -> None:
    classes = binary_labels(np.array([[0.0, 0.49, 0.5], [0.9, 1.0, np.nan]]))
    np.testing.assert_array_equal(classes, np.array([[0, 0, 1], [1, 1, np.nan]], np.float32))


def test_the_auc_of_each_finding_is_sklearns_and_nan_where_a_class_is_absent() -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.random((60, 3)), rng.integers(0, 2, (60, 3)).astype(float)
    labels[rng.random((60, 3)) < 0.2] = np.nan
    labels[labels[:, 2] == 0, 2] = np.nan
    known = ~np.isnan(labels)
    expected = [sklearn_metrics.roc_auc_score(labels[known[:, f], f], scores[known[:, f], f]) for f in (0, 1)]
    np.testing.assert_allclose(auc_by_finding(scores, labels), [*expected, np.nan], rtol=1e-12)
