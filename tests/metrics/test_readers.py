from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, nct, norm
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from radcommons.metrics.bootstrap import percentile_interval
from radcommons.metrics.classification import area_under_roc
from radcommons.metrics.readers import (
    Measure,
    ReaderMean,
    accuracies,
    accuracy_error,
    aucs,
    bootstrap_accuracy,
    effective_answers,
    exact_interval,
    exact_p_value,
    jackknife_errors,
    mean_roc,
    readers_and_cases,
    share_error,
    shares,
)
from radcommons.metrics.simulated_readers import simulated_answers

DISEASED = np.arange(114) >= 69


@pytest.fixture(scope="module")
def van_dyke() -> np.ndarray:
    """Ratings of 69 patients without and 45 with aortic dissection, (2 kinds of MRI, 5 readers, 114).

    Van Dyke et al. 1993; two lines per reader, one per kind of MRI, the patients without dissection first.
    """
    lines = (Path(__file__).parent / "van-dyke-1993.txt").read_text().split("\n")
    ratings = np.array([[int(c) for c in line.replace(" ", "")] for line in lines if line], float)
    return ratings.reshape(5, 2, 114).swapaxes(0, 1)


def answers(readers: int, images: int, seed: int = 0, accuracy: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = simulated_answers(1, readers, images, accuracy=accuracy, reader_spread=0.08, image_spread=0.15, rng=rng)
    return found[0].astype(float)


# ---- published results: the guide of MRMCaov 0.3.1 (Smith and Hillis), empirical AUC, jackknife ----


def test_the_aucs_of_van_dykes_readers_are_the_published_ones(van_dyke: np.ndarray) -> None:
    published = [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
    for ratings, expected in zip(van_dyke, published, strict=True):
        assert aucs(ratings, DISEASED).values == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize(
    ("kind", "value", "error", "freedom", "low", "high"),
    [
        (0, 0.8970370, 0.03317360, 12.74465, 0.8252236, 0.9688505),
        (1, 0.9408374, 0.02156637, 12.71019, 0.8941378, 0.9875369),
    ],
)
def test_the_mean_auc_and_its_interval_are_the_published_ones(
    van_dyke: np.ndarray, kind: int, value: float, error: float, freedom: float, low: float, high: float
) -> None:
    mean = readers_and_cases(aucs(van_dyke[kind], DISEASED))
    assert (mean.value, mean.standard_error) == pytest.approx((value, error), abs=5e-8)
    assert mean.freedom == pytest.approx(freedom, abs=5e-5)
    assert mean.interval() == pytest.approx((low, high), abs=5e-7)


def test_the_difference_of_two_kinds_for_the_same_readers_and_patients_is_the_published_one(
    van_dyke: np.ndarray,
) -> None:
    first, second = (aucs(ratings, DISEASED) for ratings in van_dyke)
    mean = readers_and_cases(first - second)
    assert (mean.value, mean.standard_error) == pytest.approx((-0.04380032, 0.02074862), abs=5e-8)
    assert mean.freedom == pytest.approx(15.25967, abs=5e-5)
    assert mean.interval() == pytest.approx((-0.0879594986, 0.0003588544), abs=5e-9)
    assert mean.p_value(0) == pytest.approx(0.05166569, abs=5e-8)


# ---- against brute force ----


@pytest.mark.parametrize("missing", [False, True])
def test_every_jackknife_equals_the_measure_without_the_image(missing: bool) -> None:
    rng = np.random.default_rng(4)
    synthetic = np.arange(30) < 12
    right, scores = answers(3, 30), rng.integers(-5, 6, (3, 30)).astype(float)
    if missing:
        hidden = rng.random((3, 30)) < 0.3
        right[hidden], scores[hidden] = np.nan, np.nan
    of_right, of_scores = accuracies(right, synthetic), aucs(scores, synthetic)
    for reader in range(3):
        seen = ~np.isnan(scores[reader])
        halves = [np.nanmean(right[reader, kind]) for kind in (synthetic, ~synthetic)]
        assert of_right.values[reader] == pytest.approx(np.mean(halves))
        for image in range(30):
            left = seen & (np.arange(30) != image)
            auc = area_under_roc(scores[reader, left & synthetic], scores[reader, left & ~synthetic])
            assert of_scores.without[reader, image] == pytest.approx(auc)
            parts = [right[reader, left & kind].mean() for kind in (synthetic, ~synthetic)]
            assert of_right.without[reader, image] == pytest.approx(np.mean(parts))


def test_the_error_of_a_mean_is_that_of_a_two_way_analysis_of_variance() -> None:
    right = answers(5, 40)
    readers, images, mean = right.mean(axis=1), right.mean(axis=0), right.mean()
    ms_readers = 40 * ((readers - mean) ** 2).sum() / 4
    ms_images = 5 * ((images - mean) ** 2).sum() / 39
    ms_rest = ((right - readers[:, None] - images + mean) ** 2).sum() / (4 * 39)
    expected = (ms_readers + ms_images - ms_rest) / (5 * 40)  # Gallas, Pennello and Myers 2007, binary scores
    assert ms_images > ms_rest
    assert readers_and_cases(shares(right)).standard_error ** 2 == pytest.approx(expected)


def test_the_error_of_a_difference_of_groups_follows_from_the_covariances_of_all_readers() -> None:
    right = answers(7, 60, seed=2)
    measure = shares(right)
    mean = readers_and_cases(measure.of(np.arange(3)), measure.of(np.arange(3, 7)))
    covariance = np.cov(right) / 60
    within = [covariance[g][:, g][~np.eye(len(g), dtype=bool)].mean() for g in (np.arange(3), np.arange(3, 7))]
    shared = max(0, within[0] + within[1] - 2 * covariance[:3, 3:].mean())
    parts = [np.var(measure.values[:3], ddof=1) / 3, np.var(measure.values[3:], ddof=1) / 4]
    assert mean.value == pytest.approx(right[:3].mean() - right[3:].mean())
    assert mean.standard_error**2 == pytest.approx(sum(parts) + shared)
    assert mean.freedom == pytest.approx((sum(parts) + shared) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3))


def test_simulated_studies_give_the_same_results_together_as_one_by_one() -> None:
    synthetic = np.arange(20) % 2 == 0
    studies = np.stack([answers(4, 20, seed) for seed in range(3)])
    together = readers_and_cases(accuracies(studies, synthetic))
    for number, study in enumerate(studies):
        alone = readers_and_cases(accuracies(study, synthetic))
        assert together.standard_error[number] == pytest.approx(alone.standard_error)
        assert together.freedom[number] == pytest.approx(alone.freedom)
        assert accuracy_error(studies, synthetic)[number] == pytest.approx(accuracy_error(study, synthetic))


def test_the_bootstrap_spreads_as_drawing_readers_and_images_one_by_one_does() -> None:
    right, synthetic = answers(4, 30), np.arange(30) < 10
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(2000):
        readers = rng.integers(4, size=(4, 1))
        drawn.append(
            np.mean([right[readers, rng.choice(np.flatnonzero(k), k.sum())].mean() for k in (synthetic, ~synthetic)])
        )
    ours = bootstrap_accuracy(right, synthetic, bootstrap_samples=4000, rng=rng)
    assert ours.mean() == pytest.approx(accuracies(right, synthetic).values.mean(), abs=0.01)
    assert ours.std() == pytest.approx(np.std(drawn), rel=0.06)


def test_the_bootstrap_leaves_out_what_a_reader_did_not_see() -> None:
    right = np.array([[1, 1, np.nan, np.nan], [np.nan, np.nan, 1, 1]])
    found = bootstrap_accuracy(right, np.arange(4) % 2 == 0, bootstrap_samples=50, rng=np.random.default_rng(0))
    assert set(found[~np.isnan(found)]) == {1.0}


# ---- intervals hold what they say ----


@pytest.mark.parametrize(
    ("readers", "images", "accuracy", "reader_spread", "image_spread", "at_least"),
    [
        (3, 100, 0.5, 0.0, 0.0, 0.95),
        (6, 100, 0.6, 0.05, 0.1, 0.94),
        (6, 100, 0.8, 0.1, 0.1, 0.91),
        (12, 50, 0.6, 0.05, 0.2, 0.93),
        (2, 100, 0.6, 0.05, 0.1, 0.94),
    ],
)
def test_intervals_hold_the_true_accuracy_in_about_95_of_100_studies(
    readers: int, images: int, accuracy: float, reader_spread: float, image_spread: float, at_least: float
) -> None:
    rng = np.random.default_rng(6)
    synthetic = np.arange(images) % 2 == 0
    spreads = {"reader_spread": reader_spread, "image_spread": image_spread}
    right = simulated_answers(1500, readers, images, accuracy=accuracy, **spreads, rng=rng).astype(float)
    found = readers_and_cases(accuracies(right, synthetic))
    mean = ReaderMean(found.value, found.standard_error, found.freedom, accuracy_error(right, synthetic))
    low, high = mean.interval()
    held = ((low <= accuracy) & (accuracy <= high)).mean()
    assert at_least <= held <= 0.985
    agrees = mean.p_value(accuracy) < 0.05
    assert np.array_equal(agrees, (accuracy < low) | (accuracy > high))


def test_an_interval_from_the_spread_of_readers_alone_holds_far_less() -> None:
    rng = np.random.default_rng(7)
    right = simulated_answers(1000, 6, 100, accuracy=0.6, reader_spread=0.0, image_spread=0.3, rng=rng)
    readers = right.mean(axis=2)
    error = readers.std(axis=1, ddof=1) / np.sqrt(6)
    assert (np.abs(readers.mean(axis=1) - 0.6) <= 1.96 * error).mean() < 0.7


def test_intervals_of_the_bootstrap_hold_the_true_accuracy_with_ten_readers() -> None:
    rng = np.random.default_rng(8)
    right = simulated_answers(150, 10, 60, accuracy=0.7, reader_spread=0.08, image_spread=0.15, rng=rng).astype(float)
    synthetic = np.arange(60) % 2 == 0
    held = 0
    for study in right:
        low, high = percentile_interval(bootstrap_accuracy(study, synthetic, bootstrap_samples=300, rng=rng))
        held += low <= 0.7 <= high
    assert held / 150 >= 0.92


def test_intervals_of_the_auc_hold_the_true_one() -> None:
    rng = np.random.default_rng(9)
    synthetic = np.arange(80) % 2 == 0
    held = []
    for _ in range(250):
        skill = 1 + 0.2 * rng.standard_normal((5, 1))
        scores = skill * synthetic + 0.5 * rng.standard_normal(80) + np.sqrt(0.75) * rng.standard_normal((5, 80))
        low, high = readers_and_cases(aucs(scores, synthetic)).interval()
        held.append(low <= 0.759 <= high)  # mean over skills of the AUC of two normal distributions
    assert np.mean([norm.cdf(s / np.sqrt(2)) for s in 1 + 0.2 * rng.standard_normal(20_000)]) == pytest.approx(
        0.759, abs=0.002
    )
    assert 0.92 <= np.mean(held) <= 0.98


# ---- one reader, and the rest ----


@pytest.mark.parametrize(("successes", "images"), [(0, 10), (10, 10), (55, 100), (1, 3)])
def test_the_exact_interval_and_p_value_equal_statsmodels_and_agree_with_each_other(
    successes: int, images: int
) -> None:
    low, high = exact_interval(successes, images)
    assert (low, high) == pytest.approx(proportion_confint(successes, images, method="beta"), abs=1e-9)
    for share in (low, high):
        if 0 < share < 1:
            assert exact_p_value(successes, images, share) == pytest.approx(0.05)
    assert exact_p_value(successes, images) == pytest.approx(binomtest(successes, images).pvalue)


def test_halves_lie_between_whole_numbers() -> None:
    below, half, above = (exact_interval(k, 20) for k in (9, 9.5, 10))
    assert below[0] < half[0] < above[0] and below[1] < half[1] < above[1]
    assert exact_p_value(10, 20) == 1


def test_the_jackknife_error_of_a_share_is_the_textbooks() -> None:
    right = np.array([[1, 1, 1, 0, 0, 1, 1, 0.0]])
    assert jackknife_errors(shares(right))[0] == pytest.approx(np.sqrt(5 / 8 * 3 / 8 / 7))


def test_the_least_error_is_binomial_within_each_class() -> None:
    right = np.array([[1, 1, 1, 0], [1, 1, 0, 0.0]])  # two real images right, the synthetic ones 1 of 4
    assert share_error(right[:, 2:]) == pytest.approx(np.sqrt(0.25 * 0.75 / 4))
    assert accuracy_error(right, np.array([False, False, True, True])) == pytest.approx(np.sqrt(0.25 * 0.75 / 4) / 2)


def test_answers_of_an_unbalanced_study_count_for_fewer() -> None:
    assert effective_answers(np.ones((2, 4)), np.array([False, False, True, True])) == 8
    assert effective_answers(np.ones((1, 10)), np.arange(10) < 9) == pytest.approx(3.6)  # variance 1/4 (1/9 + 1) p q


def test_always_real_is_chance_whatever_the_share_of_synthetic_images() -> None:
    synthetic = np.arange(50) < 10
    assert accuracies((~synthetic).astype(float)[None], synthetic).values == pytest.approx([0.5])


@pytest.mark.parametrize("blocks", [False, True])
def test_equal_groups_and_equal_blocks_are_told_apart_in_about_5_of_100_studies(blocks: bool) -> None:
    rng = np.random.default_rng(11)
    spreads = {"accuracy": 0.65, "reader_spread": 0.06, "image_spread": 0.12}
    synthetic = np.arange(100) % 2 == 0
    if blocks:  # the same five readers, other images
        right = simulated_answers(1500, 5, 100, **spreads, rng=rng).astype(float)
        first, second = (np.where(part, right, np.nan) for part in (np.arange(100) < 50, np.arange(100) >= 50))
        mean = readers_and_cases(accuracies(first, synthetic) - accuracies(second, synthetic))
    else:  # four readers and four others, the same images
        measure = accuracies(simulated_answers(1500, 8, 100, **spreads, rng=rng).astype(float), synthetic)
        mean = readers_and_cases(measure.of(np.arange(4)), measure.of(np.arange(4, 8)))
    assert 0.02 <= (mean.p_value(0) < 0.05).mean() <= 0.065


def test_readers_who_are_alike_by_luck_do_not_get_a_narrow_interval() -> None:
    alike = ReaderMean(np.array(0.6), np.array(0.0), np.array(np.inf), least_error=0.02)
    assert alike.interval() == pytest.approx((0.6 - 1.96 * 0.02, 0.6 + 1.96 * 0.02), abs=1e-5)
    assert alike.p_value(0.5) == pytest.approx(2 * norm.sf(5))
    assert alike.detectable() == pytest.approx(0.02 * (1.959964 + 0.841621), abs=1e-6)
    assert np.isnan(ReaderMean(np.array(0.6), np.array(0.0), np.array(np.inf)).p_value(0.5))


@pytest.mark.parametrize(("freedom", "significance"), [(2.0, 0.05), (9.4, 0.005)])
def test_a_detectable_mean_is_found_with_the_power_that_was_asked_for(freedom: float, significance: float) -> None:
    found = ReaderMean(np.array(0.0), np.array(0.03), np.array(freedom)).detectable(significance=significance)
    limit = student.isf(significance / 2, freedom)
    assert nct.sf(limit, freedom, found / 0.03) == pytest.approx(0.8)
    rng = np.random.default_rng(10)
    errors = 0.03 * np.sqrt(rng.chisquare(freedom, 40_000) / freedom)
    assert ((found + 0.03 * rng.standard_normal(40_000)) / errors > limit).mean() == pytest.approx(0.8, abs=0.01)


def test_the_mean_roc_curve_by_hand() -> None:
    scores = np.array([[2, 1, 1, -1], [2, -1, 2, -1.0]])  # images: synthetic, synthetic, real, real
    alarms, found = mean_roc(scores, np.array([True, True, False, False]))
    assert alarms == pytest.approx([0, 0.25, 0.5, 1]) and found == pytest.approx([0, 0.5, 0.75, 1])


def test_a_reader_with_one_image_of_a_class_has_no_auc() -> None:
    assert np.isnan(aucs(np.array([[1, 2, 3.0]]), np.array([True, False, False])).values).all()


def test_measures_are_weighted_with_their_jackknife() -> None:
    double = Measure(np.array([0.5]), np.array([[0.4, 0.6]])) * 2.0
    assert double.values.tolist() == [1] and double.without.tolist() == [[0.8, 1.2]]
