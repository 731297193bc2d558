from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radcommons.errors import SettingRefused
from radcommons.pool.settings import PoolSettings
from radcommons.pool.shares import balanced_labels, divided, images_of_each

Spec = Callable[..., PoolSettings]
WEIGHTS = st.lists(st.floats(0.01, 1000), min_size=1, max_size=6)


def test_weights_are_what_they_are_written_as() -> None:
    assert divided(10, [0.7, 0.3]) == [7, 3]
    assert divided(10, [1, 1, 1]) == [3, 3, 4], "as 'generate' divides a set between generators"
    assert divided(7, [1, 0, 1]) == [3, 0, 4]


@given(st.integers(0, 10**6), WEIGHTS)
def test_parts_sum_to_the_total_and_are_within_one_image_of_their_share(total: int, weights: list[float]) -> None:
    parts = divided(total, weights)
    assert sum(parts) == total
    shares = [total * weight / sum(weights) for weight in weights]
    assert all(abs(part - share) < 1 + 1e-6 for part, share in zip(parts, shares, strict=True))


def test_weights_share_what_the_counts_leave(spec: Spec) -> None:
    a, b, c = {"reference": "a", "weight": 3}, Path("b"), {"reference": "c", "images": 60}
    assert images_of_each(spec(a, b, c, total_images=100)) == [30, 10, 60]
    d = {"reference": "d", "findings": {"Effusion": 5, "Mass": 6}}
    assert images_of_each(spec(c, d)) == [60, 11]


def test_every_finding_is_drawn_for_as_often_by_those_who_know_it(spec: Spec) -> None:
    asked = spec({"reference": "a", "weight": 2}, Path("b"), total_images=90, balanced=True)
    a, b = balanced_labels(asked, [("Effusion", "Mass"), ("Effusion", "Pneumonia")])
    assert a == {"Effusion": 20, "Mass": 30} and b == {"Effusion": 10, "Pneumonia": 30}


def test_images_without_any_finding_may_count_as_one_more_that_everybody_knows(spec: Spec) -> None:
    asked = spec(Path("a"), Path("b"), total_images=40, balanced=True, no_finding=True)
    a, b = balanced_labels(asked, [("Effusion", "Mass"), ("Effusion",)])
    assert a == {"Effusion": 6, "Mass": 13, "No Finding": 7} and b == {"Effusion": 7, "No Finding": 7}


def test_a_generator_that_would_draw_nothing_is_refused(spec: Spec) -> None:
    with pytest.raises(SettingRefused, match="b would draw no image; raise 'total_images' or its weight"):
        images_of_each(spec({"reference": "b", "weight": 0.01}, Path("a"), total_images=20))
    with pytest.raises(SettingRefused, match="b would draw no image"):
        balanced_labels(spec(Path("a"), Path("b"), total_images=20, balanced=True), [("Mass",), ()])
