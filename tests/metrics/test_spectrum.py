import cv2
import numpy as np
import pytest

from radcommons.metrics.spectrum import radial_power


@pytest.fixture
def films() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (300, 64, 64), np.uint8)


def test_the_power_of_noise_is_its_variance_at_every_frequency(films) -> None:
    window = np.hanning(66)[1:-1]
    expected = films.var() * (window**2).sum() ** 2
    np.testing.assert_allclose(radial_power(films)[1:], expected, rtol=0.03)  # the mean is taken off the lowest


def test_a_wave_has_its_power_where_its_frequency_is() -> None:
    x = np.arange(64)
    wave = np.tile(128 + 50 * np.cos(2 * np.pi * x * 14 / 64), (64, 1)).round().astype(np.uint8)[None]
    power = radial_power(wave)
    assert power.argmax() == 7  # 14/64 of a cycle per pixel; rings are 1/32 wide
    assert power[[0, 1, 2, 3, 4, 11, 13, 15]].max() < power[7] / 1000


def test_blur_takes_the_high_frequencies_away_and_stripes_add_one(films) -> None:
    before = radial_power(films)
    blurred = np.stack([cv2.GaussianBlur(film, (0, 0), 0.8) for film in films])
    ratio = radial_power(blurred) / before
    assert ratio[1] > 0.8 and ratio[-1] < 0.05 and bool((np.diff(ratio[1:]) < 0).all())
    striped = np.clip(films.astype(int) + np.where(np.arange(64) % 2, 40, -40), 0, 255).astype(np.uint8)
    assert (radial_power(striped) / before).argmax() == 15


def test_the_order_and_the_number_of_images_do_not_matter(films) -> None:
    np.testing.assert_allclose(radial_power(np.concatenate([films, films[::-1]])), radial_power(films), rtol=1e-9)
