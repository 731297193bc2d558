import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radcommons.metrics.localisation import (
    auroc_inside,
    body_mask,
    gain_inside,
    moved_scores,
    points_inside,
    share_outside,
    split_region,
)

SIDE = 32


def bump(row: float, column: float, *, width: float = 3.0) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))


def disc(row: int, column: int, radius: float = 4) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(float)


BODY = np.ones((SIDE, SIDE), bool)


def test_a_region_is_half_of_the_highest_share_and_never_a_twentieth() -> None:
    inside, never = split_region(np.array([[0.4, 0.2], [0.03, 0.01]]))
    assert inside.tolist() == [[True, True], [False, False]]
    assert never.tolist() == [[False, False], [False, True]]


def test_the_pointing_game_looks_at_the_largest_change_of_either_sign() -> None:
    change = np.zeros((SIDE, SIDE))
    change[10, 10], change[20, 20] = 5, -7
    assert points_inside(change, disc(20, 20))
    assert not points_inside(change, disc(10, 10))


def test_the_auroc_is_the_one_of_scikit_learn_on_absolute_changes() -> None:
    change = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    heat = disc(12, 14)
    inside, never = split_region(heat)
    used = inside | never
    assert auroc_inside(change, heat) == pytest.approx(roc_auc_score(inside[used], np.abs(change)[used]))


def test_a_map_that_points_elsewhere_scores_lower() -> None:
    change = 20 * bump(10, 10)
    assert auroc_inside(change, disc(10, 10)) == 1.0
    assert auroc_inside(change, disc(24, 24)) < 0.5
    assert not points_inside(change, disc(24, 24))


def test_a_shuffled_region_scores_near_chance_and_lower_than_the_true_one() -> None:
    rng = np.random.default_rng(1)
    change = 20 * bump(10, 10) + rng.normal(0, 0.5, (SIDE, SIDE))
    heat = disc(10, 10)
    shuffled = [auroc_inside(change, rng.permuted(heat.ravel()).reshape(heat.shape)) for _ in range(50)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.05)
    assert auroc_inside(change, heat) > max(shuffled)


def test_moved_regions_score_lower_where_the_map_is_right_and_as_high_where_it_shows_only_the_body() -> None:
    heat = disc(10, 10)
    right = moved_scores(auroc_inside, bump(10, 10), heat, BODY)
    assert len(right) > 20 and right.max() < 0.95
    everywhere = np.random.default_rng(2).normal(size=(SIDE, SIDE))
    own, moved = auroc_inside(everywhere, heat), moved_scores(auroc_inside, everywhere, heat, BODY)
    assert 0.05 < (moved >= own).mean() < 0.95 and moved.mean() == pytest.approx(0.5, abs=0.05)


def test_moved_regions_stay_in_the_body_and_off_the_true_region() -> None:
    body = np.zeros((SIDE, SIDE), bool)
    body[:, :16] = True
    assert len(moved_scores(auroc_inside, bump(10, 6), disc(10, 6), body)) < len(
        moved_scores(auroc_inside, bump(10, 6), disc(10, 6), BODY)
    )
    assert len(moved_scores(auroc_inside, bump(10, 6), np.ones((SIDE, SIDE)), BODY)) == 0


def test_a_region_that_grows_blacker_has_a_gain_below_one_half_whatever_the_exposure() -> None:
    change, heat = -20 * bump(10, 10), disc(10, 10)
    assert gain_inside(change, heat) == 0.0
    assert gain_inside(change + 50, heat) == 0.0
    assert gain_inside(-change - 50, heat) == 1.0


def test_a_finding_that_sits_everywhere_has_no_score() -> None:
    assert np.isnan(auroc_inside(bump(5, 5), np.ones((SIDE, SIDE))))


def film() -> np.ndarray:
    """Body of 200 with two lungs as dark as the air, air of 5 on both sides."""
    healthy = np.full((SIDE, SIDE), 200.0)
    healthy[:, :4] = healthy[:, -4:] = 5
    healthy[8:20, 8:13] = healthy[8:20, 19:24] = 5
    return healthy


def test_lungs_are_body_and_the_air_around_is_not() -> None:
    body = body_mask(film())
    assert not body[:, :4].any() and not body[:, -4:].any()
    assert body[:, 4:-4].all()


def test_leakage_is_the_share_of_change_outside_and_that_of_the_area_where_it_is_even() -> None:
    body = body_mask(film())
    change = np.zeros((SIDE, SIDE))
    change[10, 10], change[10, 0] = -3, 1
    assert share_outside(change, body) == 0.25
    assert share_outside(np.ones((SIDE, SIDE)), body) == pytest.approx(8 / SIDE)
