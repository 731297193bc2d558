import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import mannwhitneyu, norm

from radcommons.errors import TooFewImages
from radcommons.metrics.copying import DataCopying, data_copying, mann_whitney_z, paired_closer_share


def scipys_z(synthetic: np.ndarray, held_out: np.ndarray) -> float:
    test = mannwhitneyu(synthetic, held_out, alternative="less", method="asymptotic", use_continuity=False)
    return float(norm.ppf(test.pvalue))


def nearest(points: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest training point, and which half of the plane the point lies in."""
    return cKDTree(training).query(points)[0], (points[:, 0] > 0).astype(int)


def test_one_closer_and_one_further_by_hand() -> None:
    """U = 1 of 2 with the variance 2 x 1 x 4 / 12: z = 0. And closer than both: (0 - 1) / sqrt(2 / 3)."""
    assert mann_whitney_z(np.array([2.0]), np.array([1.0, 3.0])) == 0
    assert mann_whitney_z(np.array([0.0]), np.array([1.0, 3.0])) == pytest.approx(-1 / np.sqrt(2 / 3))


def test_it_is_negative_where_synthetic_images_are_closer_and_changes_sign_with_the_sets() -> None:
    rng = np.random.default_rng(0)
    far, close = rng.random(80), 0.5 * rng.random(60)
    assert mann_whitney_z(close, far) < -3
    assert mann_whitney_z(close, far) == pytest.approx(-mann_whitney_z(far, close))


def test_it_equals_scipys_normal_approximation_with_and_without_ties() -> None:
    rng = np.random.default_rng(1)
    for draw in (rng.random, lambda n: rng.integers(0, 5, n).astype(float)):
        for _ in range(5):
            synthetic, held_out = draw(70), draw(40)
            assert mann_whitney_z(synthetic, held_out) == pytest.approx(scipys_z(synthetic, held_out), abs=1e-9)


def test_distances_all_alike_are_no_evidence() -> None:
    assert mann_whitney_z(np.zeros(5), np.zeros(7)) == 0
    assert mann_whitney_z(np.zeros(1), np.zeros(1)) == 0


def test_two_cells_are_weighted_by_their_held_out_images() -> None:
    rng = np.random.default_rng(2)
    synthetic, held_out = rng.random(50), rng.random(40)
    own, other = np.repeat([0, 1], [20, 30]), np.repeat([0, 1], [30, 10])
    expected = (30 * scipys_z(synthetic[:20], held_out[:30]) + 10 * scipys_z(synthetic[20:], held_out[30:])) / 40
    found = data_copying(synthetic, held_out, own, other)
    assert found.statistic == pytest.approx(expected, abs=1e-9)
    assert found.cells_used == 2


def test_a_cell_with_too_few_of_either_kind_is_left_out() -> None:
    rng = np.random.default_rng(3)
    synthetic, held_out = rng.random(100), rng.random(100)
    own = np.repeat([0, 1, 2, 7], [50, 9, 40, 1])
    other = np.repeat([0, 1, 2], [80, 11, 9])
    found = data_copying(synthetic, held_out, own, other)
    z = mann_whitney_z(synthetic[:50], held_out[:80])
    assert found == DataCopying(statistic=pytest.approx(z), cells_used=1)
    assert data_copying(synthetic, held_out, own, other, fewest=9).cells_used == 3


def test_copies_are_found_and_a_generator_that_draws_from_the_distribution_is_not() -> None:
    rng = np.random.default_rng(4)
    training, held_out, fresh = rng.standard_normal((3, 400, 2))
    copies = training + 0.01 * rng.standard_normal((400, 2))
    (held, held_cells), (honest, honest_cells), (copied, copied_cells) = (
        nearest(points, training) for points in (held_out, fresh, copies)
    )
    assert abs(data_copying(honest, held, honest_cells, held_cells).statistic) < 3
    assert data_copying(copied, held, copied_cells, held_cells).statistic < -10


def test_drawing_a_crowded_region_too_often_is_not_taken_for_copying() -> None:
    """An honest generator draws four in five images, rather than one in two, where training images stand close."""
    rng = np.random.default_rng(5)
    own, other = np.repeat([0, 1], [320, 80]), np.repeat([0, 1], [200, 200])
    spacing = np.array([0.1, 1.0])
    synthetic, held_out = spacing[own] * rng.random(400), spacing[other] * rng.random(400)
    assert mann_whitney_z(synthetic, held_out) < -5
    assert abs(data_copying(synthetic, held_out, own, other).statistic) < 3


def test_by_chance_the_statistic_has_the_documented_deviation() -> None:
    rng = np.random.default_rng(6)
    other = np.repeat([0, 1, 2], [60, 30, 10])
    own = np.repeat([0, 1, 2], [40, 40, 20])
    values = [data_copying(rng.random(100), rng.random(100), own, other).statistic for _ in range(800)]
    assert np.mean(values) == pytest.approx(0, abs=0.08)
    assert np.std(values) == pytest.approx(np.sqrt(0.6**2 + 0.3**2 + 0.1**2), rel=0.08)


def test_cells_that_are_all_too_small_are_refused_with_both_counts() -> None:
    with pytest.raises(TooFewImages) as caught:
        data_copying(np.zeros(30), np.zeros(20), np.arange(30), np.arange(20), fewest=5)
    assert str(caught.value) == ("no cell holds 5 synthetic and 5 held-out images (30 and 20 in all); use fewer cells")


def test_the_closer_share_by_hand_with_a_tie() -> None:
    assert paired_closer_share(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 1.0, 1.0])) == 0.375


def test_equally_large_sets_give_one_half_and_copies_give_one() -> None:
    rng = np.random.default_rng(7)
    training, held_out, fresh = rng.standard_normal((3, 2000, 3))
    copies = training + 1e-3
    to_train, to_held_out = cKDTree(training), cKDTree(held_out)
    assert paired_closer_share(to_train.query(fresh)[0], to_held_out.query(fresh)[0]) == pytest.approx(0.5, abs=0.035)
    assert paired_closer_share(to_train.query(copies)[0], to_held_out.query(copies)[0]) > 0.99
