"""Means over trainings judged on the same patients: by hand, both lucks, and what the interval covers."""

import numpy as np
import pytest
from scipy.stats import nct, norm, t, ttest_1samp

from radcommons.metrics.replicates import Replicated, replicated

STEADY = np.zeros(10)


def resampled_with_error(error: float) -> np.ndarray:
    """Bootstrap values whose standard deviation is `error`."""
    values = np.array([-1.0, 1.0])
    return error * values / values.std(ddof=1)


def test_by_hand_the_errors_of_both_causes_add_as_squares() -> None:
    found = replicated(np.array([0.1, 0.2, 0.3]), resampled_with_error(0.03))
    assert found.value == pytest.approx(0.2)
    assert found.patients_error == pytest.approx(0.03)
    assert found.trainings_error == pytest.approx(0.1 / np.sqrt(3))
    assert found.standard_error == pytest.approx(np.sqrt(0.03**2 + 0.01 / 3))
    assert found.reach() == pytest.approx(np.sqrt((1.959964 * 0.03) ** 2 + 4.302653**2 * 0.01 / 3), rel=1e-6)


def test_where_patients_do_not_vary_it_is_students_test_of_the_trainings() -> None:
    values = np.array([0.02, 0.05, 0.01, 0.04])
    reference = ttest_1samp(values, 0)
    low, high = reference.confidence_interval(0.95)
    found = replicated(values, STEADY)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-6)
    assert (found.value - found.reach(), found.value + found.reach()) == pytest.approx((low, high))


@pytest.mark.parametrize("values", [[0.04], [0.04, 0.04, 0.04]])
def test_where_trainings_do_not_vary_or_there_is_one_it_is_the_normal_test_of_the_patients(values: list[float]) -> None:
    found = replicated(np.array(values), resampled_with_error(0.02))
    assert found.reach() == pytest.approx(0.02 * norm.ppf(0.975))
    assert found.p_value == pytest.approx(2 * norm.sf(2), rel=1e-6)


def test_a_difference_of_nothing_is_no_finding_and_one_that_never_varies_is_certain() -> None:
    nothing = replicated(np.zeros(3), STEADY)
    assert (nothing.value, nothing.reach(), nothing.p_value) == (0, 0, 1)
    assert replicated(np.full(3, 0.25), STEADY).p_value == 0


def test_samples_without_a_class_are_left_out() -> None:
    with_gaps = np.array([0.1, np.nan, 0.3, np.nan])
    assert replicated(np.array([0.2]), with_gaps) == replicated(np.array([0.2]), np.array([0.1, 0.3]))


@pytest.mark.parametrize("trainings", [1, 2, 3, 5])
def test_the_interval_excludes_0_exactly_where_p_is_below_the_level(trainings: int) -> None:
    for value in np.linspace(0.001, 0.3, 40):
        found = Replicated(value, 0.01, 0.0 if trainings == 1 else 0.02, trainings)
        for level in (0.8, 0.95, 0.99):
            assert (found.reach(level) < value) == (found.p_value < 1 - level)


def test_p_falls_as_the_difference_grows_down_to_the_smallest_that_can_be_written() -> None:
    p_values = [Replicated(value, 0.01, 0.001, 5).p_value for value in (0.001, 0.01, 0.03, 0.1, 1.0, 1e6)]
    assert p_values == sorted(p_values, reverse=True) and len(set(p_values)) == len(p_values)
    assert Replicated(1.0, 0.01, 0.0, 1).p_value == 0


def test_fewer_trainings_of_the_same_spread_say_less() -> None:
    reaches = [Replicated(0.1, 0.01, 0.01, trainings).reach() for trainings in (2, 3, 5, 30)]
    assert reaches == sorted(reaches, reverse=True)
    assert reaches[-1] == pytest.approx(0.01 * np.sqrt(2) * 1.96, rel=0.03)


@pytest.mark.parametrize("trainings", [2, 3, 5])
@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0, 5.0], ids="training luck {} of patient luck".format)
def test_95_per_cent_intervals_cover_at_least_so_often_whichever_luck_prevails(trainings: int, luck: float) -> None:
    rng = np.random.default_rng(trainings)
    patients_error, studies = 0.02, 4_000
    values = rng.normal(0, luck * patients_error * np.sqrt(trainings), (studies, trainings))
    values += rng.normal(0, patients_error, (studies, 1))  # the same patients for all trainings
    resampled = resampled_with_error(patients_error)
    found = [replicated(v, resampled) for v in values]
    covered = np.mean([abs(f.value) <= f.reach() for f in found])
    assert covered > 0.95 - 3 * np.sqrt(0.05 * 0.95 / studies)


def test_two_trainings_are_not_certain_to_one_in_a_hundred_more_often_than_that() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.05, (4_000, 2))
    found = [replicated(v, resampled_with_error(0.01)) for v in values]
    assert np.mean([f.reach(0.99) < abs(f.value) for f in found]) < 0.015
    satterthwaite = [_satterthwaite(v, 0.01) for v in values]
    assert np.mean([p < 0.01 for p in satterthwaite]) > 0.03, "the rule that is not used, and why"


def _satterthwaite(values: np.ndarray, patients_error: float) -> float:
    of_trainings = values.var(ddof=1) / len(values)
    variance = patients_error**2 + of_trainings
    freedom = variance**2 / (of_trainings**2 / (len(values) - 1))
    return float(2 * t.sf(abs(values.mean()) / np.sqrt(variance), freedom))


@pytest.mark.parametrize("trainings", [2, 3, 5, 10])
def test_the_detectable_mean_is_found_in_four_of_five_studies_of_few_trainings(trainings: int) -> None:
    rng, level = np.random.default_rng(trainings), 1 - 0.05 / 8
    usual = Replicated(0, 0, 1 / np.sqrt(trainings), trainings)
    studies = usual.detectable(level, 0.8) + rng.normal(size=(40_000, trainings))
    errors = studies.std(axis=1, ddof=1) / np.sqrt(trainings)
    reach = usual.reach(level) / usual.trainings_error
    assert (studies.mean(axis=1) > reach * errors).mean() == pytest.approx(0.8, abs=0.01)


def test_the_detectable_mean_is_that_of_the_noncentral_t_and_of_the_normal() -> None:
    usual = Replicated(0, 0, 1.0, 6)
    assert nct.sf(t.isf(0.025, 5), 5, usual.detectable(0.95, 0.8)) == pytest.approx(0.8, abs=2e-3)
    alone = Replicated(0, 1.0, 0, 1)
    assert alone.detectable(0.95, 0.8) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    both = Replicated(0, 1.0, 1.0, 6)
    parts = [cause.detectable(0.95, 0.8) for cause in (alone, usual)]
    assert both.detectable(0.95, 0.8) == pytest.approx(np.hypot(*parts))
