import numpy as np
import pytest

from radcommons.metrics.moments import Moments


def test_a_stream_in_uneven_parts_has_the_moments_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(5, 3, (101, 4, 4))
    joined = Moments.of(values[:1]).join(Moments.of(values[1:40])).join(Moments.of(values[40:]))
    np.testing.assert_allclose(joined.mean, values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(joined.standard_error, values.std(axis=0, ddof=1) / np.sqrt(101), rtol=1e-12)


def test_moments_of_a_small_spread_on_a_large_mean_do_not_cancel() -> None:
    values = 1e9 + np.array([[0.0], [1.0], [2.0], [3.0]])
    joined = Moments.of(values[:2]).join(Moments.of(values[2:]))
    assert joined.squares[0] == pytest.approx(5.0)


def test_one_array_says_nothing_of_the_spread() -> None:
    assert np.isinf(Moments.of(np.ones((1, 3))).standard_error).all()


def test_stacked_moments_stay_side_by_side() -> None:
    a, b = Moments.of(np.zeros((3, 2))), Moments.of(np.ones((3, 2)))
    assert Moments.stack([a, b]).mean.tolist() == [[0, 0], [1, 1]]
