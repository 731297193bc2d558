"""Near-duplicates: how many copies among so many images their count would show."""

import pytest

from radcommons.audit.tests.near_duplicates import detectable_share


def test_where_chance_gives_none_a_single_copy_is_detected() -> None:
    assert detectable_share(200, 0.001, 0.95, 0.001) == 1 / 200


def test_where_chance_gives_some_more_copies_are_needed() -> None:
    # 5 is the first count with a Poisson probability below 0.001 about 0.445; of 6 copies 5 are counted in 97% of cases
    assert detectable_share(150, 0.445, 0.95, 0.001) == pytest.approx(6 / 150)


def test_a_single_copy_of_which_half_are_counted_is_not_certain() -> None:
    assert detectable_share(100, 0.0, 0.5, 0.001) == 3 / 100, "one of three in 87% of cases, one of two in 75%"


def test_a_handful_of_images_cannot_stand_out_of_chance() -> None:
    assert detectable_share(3, 0.5, 0.95, 0.001) is None
