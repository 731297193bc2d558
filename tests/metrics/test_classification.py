import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from radcommons.metrics.classification import area_under_roc


def test_scores_apart_give_one_and_the_other_way_round_zero() -> None:
    assert area_under_roc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert area_under_roc(np.array([0.0]), np.array([1.0, 2.0])) == 0


def test_a_tie_counts_half() -> None:
    assert area_under_roc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


def test_one_in_four_by_hand() -> None:
    assert area_under_roc(np.array([1.0]), np.array([0.0, 2.0, 3.0, 4.0])) == 0.25


def test_it_equals_scipys_mann_whitney_statistic_with_ties() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 9, 200) + 1.0, rng.integers(0, 9, 300).astype(float)
    expected = mannwhitneyu(positive, negative).statistic / (200 * 300)
    assert area_under_roc(positive, negative) == pytest.approx(expected, abs=1e-12)
