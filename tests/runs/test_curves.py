import base64
from typing import Any

import pytest

from radcommons.runs.curves import MOST_POINTS, doublings, draw_curves, thinned

LOG: list[dict[str, Any]] = [
    {
        "images_seen": 100 * n,
        "resolution": 8 if n < 4 else 16,
        "seconds": 2.0,
        "images_per_second": 50.0,
        "wasserstein": 1.0 / n,
        "label_loss_real": 2.0,
        **({"label_loss_fake": 3.0} if n > 1 else {}),
    }
    for n in range(1, 9)
]


def svg(picture: str) -> str:
    return base64.b64decode(picture.partition("base64,")[2].partition('"')[0]).decode()


def test_each_group_of_numbers_is_a_plot_with_axis_titles_and_a_caption_that_says_what_is_drawn() -> None:
    score, labels, speed = draw_curves(LOG)
    assert 'alt="Can the critic tell real from synthetic?: real minus synthetic against' in score.picture
    assert "Near 0 the critic cannot tell" in score.caption and "the resolution doubles" in score.caption
    assert "real films and synthetic images against the images seen" in labels.picture
    for drawn in (score, labels, speed):
        assert "<!-- images seen, thousands -->" in svg(drawn.picture)
    assert "<!-- label loss -->" in svg(labels.picture) and "<!-- synthetic images -->" in svg(labels.picture)
    assert "<!-- images per second -->" in svg(speed.picture)


def test_where_the_resolution_doubles_a_line_is_drawn() -> None:
    assert doublings(LOG) == [300]
    alike = [{**entry, "resolution": 16} for entry in LOG]
    assert doublings(alike) == [] == doublings([{"images_seen": 1}, {"images_seen": 2}])
    assert all("doubles" not in drawn.caption for drawn in draw_curves(alike))


def test_a_number_that_no_group_names_has_a_plot_of_its_own() -> None:
    drawn = [one.picture for one in draw_curves([{**entry, "my_distance": 1.0} for entry in LOG])]
    assert len(drawn) == 4 and "my distance against the images seen" in drawn[-1]


def test_too_few_lines_give_no_curve() -> None:
    assert list(draw_curves([])) == [] == list(draw_curves(LOG[:3]))


def test_a_long_log_is_averaged_in_groups_and_values_that_are_missing_do_not_count() -> None:
    entries = [{"images_seen": n, "loss": float(n % 2)} for n in range(2 * MOST_POINTS)]
    points = thinned(entries)
    assert len(points) == MOST_POINTS and {point["loss"] for point in points} == {0.5}
    assert thinned([{"images_seen": 1, "loss": 4.0}, {"images_seen": 3}], most=1) == [{"images_seen": 2, "loss": 4.0}]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_left_out(value: float) -> None:
    spoilt = [{**entry, "wasserstein": value if entry["images_seen"] == 300 else 1.0} for entry in LOG]
    assert "real minus synthetic" in next(draw_curves(spoilt)).picture
