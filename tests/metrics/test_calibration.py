import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from radcommons.metrics.calibration import brier_score, reliability

NAN = np.nan


def test_two_bins_by_hand() -> None:
    """Split at the median: 0.2 and 0.4 with one positive of two; 0.9 with one of one: gaps 0.2 and 0.1."""
    curve = reliability(np.array([0.2, 0.4, 0.9, 0.7]), np.array([0, 1, 1, NAN]), bins=2)
    assert curve.predicted == pytest.approx([0.3, 0.9])
    assert curve.observed == pytest.approx([0.5, 1.0])
    assert curve.counts.tolist() == [2, 1]
    assert curve.expected_error == pytest.approx((2 * 0.2 + 0.1) / 3)


def test_an_empty_bin_is_nan_and_has_no_part_in_the_error() -> None:
    curve = reliability(np.array([0.1, 0.1, 0.9]), np.array([0.0, 0.0, 1.0]), bins=5)
    assert np.isnan(curve.observed).tolist() == [False, True, True, True, False]
    assert curve.expected_error == pytest.approx(0.1)


def test_the_curve_equals_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.round(rng.beta(0.5, 3, 500), 2)
    labels = (rng.random(500) < probabilities).astype(float)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=8, strategy="quantile")
    curve = reliability(probabilities, labels, bins=8)
    filled = curve.counts > 0
    assert curve.observed[filled] == pytest.approx(observed, abs=1e-12)
    assert curve.predicted[filled] == pytest.approx(predicted, abs=1e-12)
    assert curve.counts.sum() == 500


def test_bins_of_equal_count_hold_equally_many_of_a_rare_finding() -> None:
    probabilities = np.random.default_rng(1).beta(0.5, 30, 1000)
    labels = np.zeros(1000)
    assert reliability(probabilities, labels).counts.tolist() == [100] * 10


def test_overconfidence_raises_the_error_and_the_brier_score() -> None:
    rng = np.random.default_rng(2)
    honest = rng.random(20_000)
    labels = (rng.random(20_000) < honest).astype(float)
    bold = honest**3 / (honest**3 + (1 - honest) ** 3)
    assert reliability(honest, labels).expected_error < 0.02
    assert reliability(bold, labels).expected_error > 0.1
    assert brier_score(bold, labels) > brier_score(honest, labels) + 0.01


def test_the_brier_score_equals_scikit_learns_and_leaves_unknowns_out() -> None:
    rng = np.random.default_rng(3)
    probabilities, labels = rng.random(200), rng.integers(0, 2, 200).astype(float)
    expected = brier_score_loss(labels, probabilities)
    assert brier_score(probabilities, labels) == pytest.approx(expected, abs=1e-12)
    with_unknowns = brier_score(np.append(probabilities, 0.5), np.append(labels, NAN))
    assert with_unknowns == pytest.approx(expected, abs=1e-12)


def test_no_known_label_is_nan_without_a_warning() -> None:
    probabilities, labels = np.array([0.5, 0.7]), np.array([NAN, NAN])
    assert np.isnan(brier_score(probabilities, labels))
    curve = reliability(probabilities, labels)
    assert curve.counts.sum() == 0 and np.isnan(curve.expected_error)
