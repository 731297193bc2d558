import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm
from sklearn import metrics as sklearn_metrics

from radcommons.errors import TooFewImages
from radcommons.metrics.classification import area_under_roc, detectable_auc, roc_curve, true_positive_rate_at


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


def test_more_images_detect_a_weaker_attack_and_more_power_needs_a_stronger_one() -> None:
    sizes = [detectable_auc(n, n) for n in (20, 100, 1000, 100_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.51
    assert detectable_auc(100, 100, power=0.5) < detectable_auc(100, 100) < detectable_auc(100, 100, power=0.95)
    assert detectable_auc(100, 100) < detectable_auc(100, 100, significance=0.001)


def test_at_power_one_half_it_is_the_critical_value_by_hand() -> None:
    """1.96 standard errors above 0.5, each sqrt((100 + 50 + 1) / (12 x 100 x 50))."""
    expected = 0.5 + 1.959964 * np.sqrt(151 / (12 * 100 * 50))
    assert detectable_auc(100, 50, power=0.5) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("positives", "negatives"), [(60, 60), (200, 100)])
def test_a_mann_whitney_test_finds_the_detectable_auc_four_times_in_five(positives: int, negatives: int) -> None:
    """Binormal scores of that AUC, 2,000 experiments; the formula is for exponential scores, whence the margin."""
    auc = detectable_auc(positives, negatives, power=0.8, significance=0.05)
    rng = np.random.default_rng(positives)
    positive = rng.standard_normal((2000, positives)) + np.sqrt(2) * norm.ppf(auc)
    negative = rng.standard_normal((2000, negatives))
    found = mannwhitneyu(positive, negative, axis=1, method="asymptotic", use_continuity=False).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_so_few_images_that_no_attack_would_be_found_are_refused() -> None:
    with pytest.raises(TooFewImages, match="2 positives and 2 negatives are too few to tell an AUC of 1 from 0.5"):
        detectable_auc(2, 2)
