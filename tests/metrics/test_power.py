import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize, samplesize_confint_proportion

from radcommons.errors import SettingRefused, TooFewImages
from radcommons.metrics.bootstrap import bootstrap_auc
from radcommons.metrics.power import (
    detectable_auc,
    hanley_mcneil_error,
    images_for_interval,
    images_for_two_shares,
    paired_auc_error,
    power_of_difference,
    power_of_two_shares,
    share_interval,
)


@pytest.mark.parametrize(("successes", "images"), [(0, 10), (10, 10), (85, 100), (1, 3000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilsons_interval_equals_statsmodels(successes: int, images: int, level: float) -> None:
    expected = proportion_confint(successes, images, alpha=1 - level, method="wilson")
    assert share_interval(successes, images, level) == pytest.approx(expected, abs=1e-12)


def test_the_interval_of_a_share_holds_the_share_for_any_number_of_images() -> None:
    for images in range(1, 400):
        assert share_interval(images, images)[1] == 1 and share_interval(0, images)[0] == 0


@pytest.mark.parametrize(("share", "half_width"), [(0.5, 0.1), (0.85, 0.05), (0.99, 0.01), (1.0, 0.02), (0.9, 0.4)])
def test_the_number_of_images_is_the_first_whose_wilson_interval_is_narrow_enough(
    share: float, half_width: float
) -> None:
    images = images_for_interval(share, half_width)

    def reach(n: int) -> float:
        low, high = proportion_confint(share * n, n, method="wilson")
        return (high - low) / 2

    assert reach(images) <= half_width
    assert images == 1 or reach(images - 1) > half_width


def test_the_normal_number_of_images_is_the_textbooks_and_statsmodels() -> None:
    assert images_for_interval(0.5, 0.1, method="normal") == 97  # 1.96^2 x 0.25 / 0.01 = 96.04
    for share, half_width in ((0.85, 0.05), (0.99, 0.01)):
        expected = np.ceil(samplesize_confint_proportion(share, half_width))
        assert images_for_interval(share, half_width, method="normal") == expected


@pytest.mark.parametrize(("first", "second"), [(0.8, 0.85), (0.9, 0.7), (0.05, 0.15)])
@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_the_power_of_two_shares_and_its_number_of_images_equal_statsmodels(
    first: float, second: float, ratio: float
) -> None:
    effect, reference = proportion_effectsize(first, second), NormalIndPower()
    expected = reference.power(effect, 150, 0.05, ratio=ratio)
    assert power_of_two_shares(first, second, 150, ratio=ratio) == pytest.approx(expected, abs=1e-10)
    images = reference.solve_power(abs(effect), power=0.9, alpha=0.01, ratio=ratio)
    assert images_for_two_shares(first, second, power=0.9, ratio=ratio, significance=0.01) == np.ceil(images)


def test_a_test_of_equal_shares_finds_only_its_false_alarms() -> None:
    assert power_of_two_shares(0.3, 0.3, 500, significance=0.01) == pytest.approx(0.01)
    with pytest.raises(SettingRefused, match=r"two shares of 0\.3 cannot be told apart by any number of images"):
        images_for_two_shares(0.3, 0.3)


def test_a_difference_too_small_for_any_plan_is_refused() -> None:
    with pytest.raises(SettingRefused, match="more than 1,000,000,000,000 images would be needed"):
        images_for_two_shares(0.3, 0.3 + 1e-9)


def test_a_difference_of_2_8_standard_errors_is_found_four_times_in_five() -> None:
    assert power_of_difference(2.8016, 1.0) == pytest.approx(0.8, abs=1e-4)
    assert power_of_difference(-2.8016, 1.0) == power_of_difference(2.8016, 1.0)
    assert power_of_difference(0.0, 1.0, significance=0.001) == pytest.approx(0.001)


def test_hanley_and_mcneils_error_by_hand() -> None:
    """AUC 0.8, 50 and 100: Q1 = 0.8 / 1.2, Q2 = 1.28 / 1.8."""
    variance = (0.16 + 49 * (2 / 3 - 0.64) + 99 * (1.28 / 1.8 - 0.64)) / 5000
    assert hanley_mcneil_error(0.8, 50, 100) == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_the_error_of_a_paired_difference_falls_with_the_correlation() -> None:
    alone = hanley_mcneil_error(0.8, 50, 100)
    assert paired_auc_error(0.8, 0.8, 50, 100, correlation=0) == pytest.approx(alone * np.sqrt(2))
    assert paired_auc_error(0.8, 0.8, 50, 100, correlation=0.5) == pytest.approx(alone)
    assert paired_auc_error(0.8, 0.8, 50, 100, correlation=1) == pytest.approx(0, abs=1e-9)


def test_the_planned_error_of_a_difference_is_about_that_of_binormal_scores() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1.0, 0.0], [300, 600])
    scores = np.stack([rng.standard_normal(900) + labels * shift for shift in (1.0, 1.3)], axis=1)
    values = bootstrap_auc(scores, np.stack([labels] * 2, axis=1), np.arange(900), bootstrap_samples=1000, rng=rng)
    correlation = float(np.corrcoef(values.T)[0, 1])
    planned = paired_auc_error(*values.mean(axis=0), 300, 600, correlation=correlation)
    assert planned == pytest.approx((values[:, 0] - values[:, 1]).std(), rel=0.1)


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
