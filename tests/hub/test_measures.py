"""What the gate measures: in which direction, and how much."""

from typing import Any

import numpy as np
import pytest

from radcommons.hub.measures import label_effects, repeated_share, similarity
from radcommons.models.generator import Generator


def films(count: int, seed: int = 0, side: int = 32) -> np.ndarray:
    """Smooth images, each different."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4))
    return coarse.repeat(side // 4, axis=1).repeat(side // 4, axis=2).astype(np.uint8)


def test_different_images_do_not_repeat_each_other() -> None:
    assert repeated_share(films(300)) == 0


@pytest.mark.parametrize("memorised", [50, 500, 3_000])
def test_a_replay_of_few_films_repeats_itself_as_often_as_chance_says(memorised: int) -> None:
    rng = np.random.default_rng(1)
    drawn = films(memorised)[rng.integers(memorised, size=400)]
    blurred_by_a_level = np.clip(drawn.astype(int) + rng.integers(-1, 2, drawn.shape), 0, 255).astype(np.uint8)
    assert repeated_share(blurred_by_a_level) == pytest.approx(1 - np.exp(-400 / memorised), abs=0.06)


def test_images_that_are_all_one_repeat_each_other() -> None:
    assert repeated_share(films(1).repeat(20, axis=0)) == 1


def test_images_that_are_alike_have_a_higher_similarity() -> None:
    rng = np.random.default_rng(0)
    alike = np.clip(films(1).astype(int) + rng.integers(-20, 21, (50, 32, 32)), 0, 255).astype(np.uint8)
    noise = rng.integers(0, 256, (50, 32, 32), np.uint8)
    values = [similarity(images, 60, np.random.default_rng(0)) for images in (noise, films(50), alike)]
    assert values[0] < 0.2 and values[0] < values[1] < values[2] and values[2] > 0.8


def test_labels_of_an_untrained_network_act_on_its_images(good: Any) -> None:
    effects = label_effects(Generator.load(good.folder, device="cpu"))
    assert set(effects) == {"Effusion", "Nodule"} and min(effects.values()) > 0.1
