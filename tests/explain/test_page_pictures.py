from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radcommons.explain.page_pictures import (
    SMALL,
    TILE,
    Person,
    at_a_glance,
    change_alone,
    change_over_film,
    film,
    grid,
    limit_of,
    sprite,
)

RAMP = np.stack([np.stack([np.full((16, 16), 40 * f + 10 * p, np.uint8) for f in range(4)]) for p in range(3)])


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_a_sprite_has_the_frames_below_each_other_and_latent_vectors_in_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "sprite.webp"
    path.write_bytes(sprite(RAMP, side=128))
    with Image.open(path) as file:
        picture = np.asarray(file.convert("L")).astype(int)
    assert picture.shape == (4 * 2 * 16, 2 * 16)
    for f in range(4):
        for p, (y, x) in enumerate([(0, 0), (0, 1), (1, 0)]):
            cell = picture[f * 32 + y * 16 : f * 32 + y * 16 + 16, x * 16 : x * 16 + 16]
            assert abs(int(np.median(cell)) - (40 * f + 10 * p)) <= 3
    path.write_bytes(sprite(RAMP, side=8))
    with Image.open(path) as file:
        assert file.size == (16, 64)


@pytest.mark.parametrize(("patients", "expected"), [(1, (1, 1)), (3, (2, 2)), (4, (2, 2)), (5, (3, 2)), (9, (3, 3))])
def test_grids_are_nearly_square(patients: int, expected: tuple[int, int]) -> None:
    assert grid(patients) == expected


def test_a_glance_shows_the_film_without_with_and_red_where_it_brightens() -> None:
    without = np.full((16, 16), 90, np.uint8)
    raised = without.copy()
    raised[4:12, 4:12] = 150
    found = pixels(at_a_glance(Person(without, raised), limit=60))
    tile = SMALL + 2
    assert found.shape == (SMALL, 3 * tile - 2, 3)
    middle = SMALL // 2
    left, with_, change = (found[middle, n * tile + middle] for n in range(3))
    assert left.tolist() == [90] * 3 and with_.tolist() == [150] * 3 and change[0] > change[2] + 60
    assert found[2, 2 * tile + 2].tolist() == [90] * 3, "no change leaves the film"


def test_a_label_that_does_nothing_gets_no_colour_beside_one_that_does() -> None:
    still, noise = np.full((16, 16), 90, np.uint8), np.full((16, 16), 91, np.uint8)
    assert limit_of([Person(still, noise).change]) == 8, "rounding is not enlarged"
    strong = np.full((16, 16), 150, np.uint8)
    assert limit_of([Person(still, noise).change, Person(still, strong).change]) == pytest.approx(60)


def test_a_region_is_outlined_in_black_on_white_so_that_colours_need_not_be_told_apart() -> None:
    change, region = np.full((16, 16), 9.0), np.zeros((16, 16), bool)
    region[4:12, 4:12] = True
    plain, outlined = (pixels(change_alone(change, 9, r)) for r in (None, region))
    differ = (plain != outlined).any(axis=-1)
    colours = {tuple(colour) for colour in outlined[differ]}
    assert colours == {(0, 0, 0), (255, 255, 255)}
    assert not differ[TILE // 2, TILE // 2] and not differ[2, 2]


def test_tiles_have_one_size_whatever_the_resolution() -> None:
    for side in (8, 16, 256):
        levels = np.full((side, side), 70.4)
        assert film(levels).size == change_over_film(levels, levels, 99).size == (TILE, TILE)
        assert pixels(film(levels))[5, 5].tolist() == [70] * 3
