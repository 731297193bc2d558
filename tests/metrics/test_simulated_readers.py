import numpy as np
import pytest

from radcommons.errors import SettingRefused
from radcommons.metrics.simulated_readers import latent_variance, power_of_readers, simulated_answers


@pytest.mark.parametrize("accuracy", [0.5, 0.6, 0.9])
def test_simulated_readers_and_images_have_the_accuracy_and_spreads_that_were_asked_for(accuracy: float) -> None:
    rng = np.random.default_rng(0)
    spreads = {"reader_spread": 0.06, "image_spread": 0.12}
    of_readers = simulated_answers(1, 400, 4000, accuracy=accuracy, **spreads, rng=rng)[0]
    assert of_readers.mean() == pytest.approx(accuracy, abs=0.01)
    within = accuracy * (1 - accuracy)
    assert np.sqrt(of_readers.mean(axis=1).var() - within / 4000) == pytest.approx(0.06, abs=0.005)
    assert np.sqrt(of_readers.mean(axis=0).var() - within / 400) == pytest.approx(0.12, abs=0.005)


def test_without_spreads_all_answers_are_coin_flips() -> None:
    found = simulated_answers(
        1, 5, 20_000, accuracy=0.5, reader_spread=0, image_spread=0, rng=np.random.default_rng(1)
    )[0]
    correlations = np.corrcoef(found)[~np.eye(5, dtype=bool)]
    assert np.abs(correlations).max() < 0.03


def test_spreads_that_cannot_be_are_refused_with_what_can() -> None:
    with pytest.raises(SettingRefused, match=r"a spread of 0\.5 is more than .* choose one below 0\.49"):
        latent_variance(0.6, 0.5)
    with pytest.raises(SettingRefused, match="leave nothing to chance"):
        simulated_answers(1, 2, 4, accuracy=0.6, reader_spread=0.4, image_spread=0.4, rng=np.random.default_rng(0))


def power(readers: int, images: int, accuracy: float = 0.6, reader_spread: float = 0.05, studies: int = 1000) -> float:
    spreads = {"reader_spread": reader_spread, "image_spread": 0.1}
    rng = np.random.default_rng(2)
    return power_of_readers(readers, images, accuracy=accuracy, **spreads, studies=studies, rng=rng)


def test_more_readers_and_more_images_find_more_and_readers_count_for_more() -> None:
    assert power(3, 100) < power(6, 100) < power(12, 100)
    assert power(6, 50) < power(6, 200)
    assert power(12, 50) > power(6, 100)  # as many answers
    assert power(6, 100, reader_spread=0.1) < power(6, 100)


def test_readers_who_guess_are_taken_for_better_in_no_more_than_2_or_3_of_100_studies() -> None:
    assert 0.01 <= power(6, 100, accuracy=0.5, studies=4000) <= 0.035  # the upper half of 0.05


def test_a_design_without_spreads_has_the_power_of_a_t_test_of_readers() -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().power(0.1 / np.sqrt(0.24 / 100), nobs=5, alpha=0.05)
    found = power_of_readers(
        5, 100, accuracy=0.6, reader_spread=0, image_spread=0, studies=2000, rng=np.random.default_rng(3)
    )
    # The shared part of the error is cut at 0, and the error at its least, so the power is a little smaller.
    assert expected - 0.06 < found < expected + 0.02
