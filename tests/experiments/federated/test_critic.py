from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from radcommons.data.store import Store
from radcommons.experiments.federated.critic import negative_critic_loss, small


@pytest.fixture(scope="module")
def films(hospital: Store) -> list[np.ndarray]:
    """Four sets of films: what a critic learns from, real and others, and what it is tested on."""
    images = np.asarray(hospital.images(8))
    return [images[start::4] for start in range(4)]


def judged(films: list[np.ndarray], change: Callable[[np.ndarray], np.ndarray], shown: int = 640) -> float:
    real, others, real_test, other_test = films
    return negative_critic_loss(real, change(others), real_test, change(other_test), shown=shown, seed=0)


def blurred(images: np.ndarray) -> np.ndarray:
    return gaussian_filter(images.astype(float), (0, 1, 1)).astype(np.uint8)


def noise(images: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)


def test_worse_images_are_held_further_apart(films: list[np.ndarray]) -> None:
    real, soft, noisy = (judged(films, change) for change in (np.copy, blurred, noise))
    assert abs(real) < 0.3 * soft and 2 * soft < noisy


def test_the_same_images_and_seed_give_the_same_number(films: list[np.ndarray]) -> None:
    assert judged(films, blurred, 64) == judged(films, blurred, 64)


def test_large_images_are_averaged_down_and_small_ones_repeated() -> None:
    image = np.array([[[0, 255], [0, 255]]], np.uint8)
    assert small(image, 1).flatten().tolist() == [0]
    assert small(image, 4)[0, 0, 0].tolist() == [-1, -1, 1, 1]
