"""Smoothed Gaussians: against the plain Frechet distance, and what they give away."""

import numpy as np
import pytest

from radcommons.errors import TooFewImages
from radcommons.metrics.classification import area_under_roc
from radcommons.metrics.frechet import frechet_distance
from radcommons.metrics.smoothed_gaussian import (
    SmoothedGaussian,
    explained_shares,
    frechet_distance_to,
    smoothed_gaussian,
)


def drawn(count: int, seed: int, *, shift: float = 0.0) -> np.ndarray:
    scales = np.geomspace(10, 0.1, 40)
    return shift + np.random.default_rng(seed).normal(size=(count, 40)) * scales


def test_with_all_but_one_component_it_is_the_plain_distance() -> None:
    real, fake = drawn(300, 0), drawn(200, 1, shift=0.5)
    assert frechet_distance_to(smoothed_gaussian(real, 39), fake) == pytest.approx(frechet_distance(real, fake))


@pytest.mark.parametrize("count", [20, 200])  # fewer and more images than features
def test_a_distance_by_hand(count: int) -> None:
    unit = SmoothedGaussian(mean=np.zeros(40), components=np.eye(40)[:1], variances=np.array([4.0]), rest=1.0)
    fake = drawn(count, 2)
    whole = np.diag([4.0, *[1.0] * 39])
    root = np.sqrt(whole)
    shared = np.sqrt(np.linalg.eigvalsh(root @ np.cov(fake, rowvar=False) @ root).clip(min=0)).sum()
    expected = np.square(fake.mean(0)).sum() + 43 + np.trace(np.cov(fake, rowvar=False)) - 2 * shared
    assert frechet_distance_to(unit, fake) == pytest.approx(expected)


def test_the_variance_is_kept_as_a_whole() -> None:
    real = drawn(300, 0)
    gaussian = smoothed_gaussian(real, 5)
    assert gaussian.variances.sum() + 35 * gaussian.rest == pytest.approx(np.trace(np.cov(real, rowvar=False)))
    assert np.allclose(gaussian.components @ gaussian.components.T, np.eye(5))
    assert (np.diff(gaussian.variances) < 0).all()


def test_images_that_are_further_away_have_a_larger_distance() -> None:
    gaussian = smoothed_gaussian(drawn(300, 0), 5)
    distances = [frechet_distance_to(gaussian, drawn(200, 1, shift=shift)) for shift in (0, 1, 2)]
    assert distances == sorted(distances)


def test_few_components_hardly_tell_who_is_behind_them_and_many_do() -> None:
    inside, outside = np.random.default_rng(0).normal(size=(2, 300, 200)) * np.geomspace(10, 0.1, 200)

    def told(components: int) -> float:
        gaussian = smoothed_gaussian(inside, components)
        return area_under_roc(explained_shares(gaussian, inside), explained_shares(gaussian, outside))

    assert told(199) > 0.8
    assert told(1) < 0.6


def test_more_components_than_images_or_features_are_refused() -> None:
    for features in (drawn(5, 0), drawn(50, 0)[:, :5]):
        with pytest.raises(TooFewImages, match="5 components need more"):
            smoothed_gaussian(features, 5)
    with pytest.raises(TooFewImages, match="2 images or more"):
        frechet_distance_to(smoothed_gaussian(drawn(50, 0), 5), drawn(1, 0))
