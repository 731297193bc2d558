import numpy as np
import pytest

from radcommons.audit.sensitivity import CHANGES


@pytest.fixture
def films() -> np.ndarray:
    coarse = np.random.default_rng(1).normal(128, 30, (20, 8, 8))
    return np.kron(coarse, np.ones((4, 4))).clip(0, 255).astype(np.uint8)


def changed(films: np.ndarray, name: str) -> np.ndarray:
    found = CHANGES[name](films, np.random.default_rng(2))
    assert found.shape == films.shape and found.dtype == np.uint8
    return found


@pytest.mark.parametrize("levels", [3, 8])
def test_noise_has_the_size_that_its_name_says(films: np.ndarray, levels: int) -> None:
    difference = changed(films, f"noise of {levels} grey levels").astype(float) - films
    assert difference.std() == pytest.approx(levels, rel=0.05) and abs(difference.mean()) < 0.2


def test_stripes_are_two_grey_levels(films: np.ndarray) -> None:
    difference = changed(films, "stripes of 2 grey levels").astype(int) - films
    assert set(np.unique(difference[..., 1::2])) <= {0, 1, 2} and set(np.unique(difference[..., ::2])) <= {0, -1, -2}
    assert np.abs(difference).mean() > 1.9


def test_more_blur_changes_more(films: np.ndarray) -> None:
    off = [np.abs(changed(films, f"blurred, sigma {s} pixels").astype(float) - films).mean() for s in (0.5, 0.8, 1.2)]
    assert 0 < off[0] < off[1] < off[2]


@pytest.mark.parametrize(("name", "kept"), [("nearest pixel", lambda x: x[0, 0]), ("mean", lambda x: x.mean((0, 1)))])
def test_halved_films_have_squares_of_four_equal_pixels(films: np.ndarray, name: str, kept: object) -> None:
    films = np.random.default_rng(3).integers(0, 256, (2, 8, 8), np.uint8)
    squares = changed(films, f"halved and doubled, {name}")[0].reshape(4, 2, 4, 2).transpose(1, 3, 0, 2)
    assert bool((squares == squares[0, 0]).all())
    expected = kept(films[0].reshape(4, 2, 4, 2).transpose(1, 3, 0, 2).astype(float))  # type: ignore[operator]
    np.testing.assert_allclose(squares[0, 0], expected, atol=0.51)
