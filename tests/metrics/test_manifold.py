import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from radcommons.errors import TooFewImages
from radcommons.metrics import manifold as module
from radcommons.metrics.manifold import Manifold, manifold


def naive(real: np.ndarray, fake: np.ndarray, k: int) -> Manifold:
    """The definitions as loops over pairs, in float64."""

    def radius(points: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i)[k - 1]

    in_real = np.array([[np.linalg.norm(f - r) <= radius(real, i) for i, r in enumerate(real)] for f in fake])
    in_fake = np.array([[np.linalg.norm(r - f) <= radius(fake, j) for j, f in enumerate(fake)] for r in real])
    return Manifold(
        in_real.any(1).mean(), in_fake.any(1).mean(), in_real.sum() / (k * len(fake)), in_real.any(0).mean()
    )


def test_four_points_on_a_line_by_hand() -> None:
    """Real 0, 1, 4, 10 with radii 1, 1, 3, 6; synthetic 0.5, 2.5, 17, 30 with radii 2, 2, 13, 13 (k = 1).

    0.5 lies in the balls of 0 and 1, 2.5 in that of 4, 17 and 30 in none; 0 and 1 lie in the ball of 0.5,
    4 in that of 2.5, 10 in that of 17.
    """
    real = np.array([[0.0], [1.0], [4.0], [10.0]])
    fake = np.array([[0.5], [2.5], [17.0], [30.0]])
    assert manifold(real, fake, neighbours=1) == Manifold(precision=0.5, recall=1.0, density=0.75, coverage=0.75)


def test_sets_of_one_distribution_have_density_one_and_the_known_coverage() -> None:
    """Without any difference a neighbourhood is empty with probability about 2^-k: Naeem 2020."""
    rng = np.random.default_rng(0)
    found = manifold(rng.standard_normal((2000, 8)), rng.standard_normal((2000, 8)), neighbours=5)
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.015)
    assert found.precision > 0.8
    assert found.recall > 0.8


def test_mode_collapse_lowers_recall_and_coverage_but_not_precision() -> None:
    rng = np.random.default_rng(1)
    modes = rng.standard_normal((10, 6)) * 10
    real = modes[np.arange(500) % 10] + rng.standard_normal((500, 6))
    everything = manifold(real, modes[np.arange(500) % 10] + rng.standard_normal((500, 6)))
    collapsed = manifold(real, modes[np.arange(500) % 3] + rng.standard_normal((500, 6)))
    assert collapsed.recall < 0.35 < 0.8 < everything.recall
    assert collapsed.coverage < 0.35 < 0.9 < everything.coverage
    assert collapsed.precision == pytest.approx(everything.precision, abs=0.05)
    assert collapsed.density == pytest.approx(everything.density, abs=0.1)


def test_noise_lowers_precision_and_density_step_by_step() -> None:
    rng = np.random.default_rng(2)
    real, fake = rng.standard_normal((400, 6)), rng.standard_normal((400, 6))
    steps = [manifold(real, fake + noise * rng.standard_normal((400, 6))) for noise in (0, 0.7, 1.5, 4)]
    assert [s.precision for s in steps] == sorted((s.precision for s in steps), reverse=True)
    assert [s.density for s in steps] == sorted((s.density for s in steps), reverse=True)
    assert steps[-1].precision < 0.2 < 0.7 < steps[0].precision


def test_copies_of_the_real_images_score_full_marks() -> None:
    real = np.random.default_rng(3).standard_normal((60, 4))
    found = manifold(real, real.copy(), neighbours=3)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density > 1


def test_exchanging_the_sets_exchanges_precision_and_recall() -> None:
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((80, 3)), rng.standard_normal((50, 3)) + 0.7
    one, other = manifold(real, fake), manifold(fake, real)
    assert (one.precision, one.recall) == (other.recall, other.precision)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 25, 1), (25, 40, 5), (6, 30, 5)])
def test_it_equals_the_definitions_written_as_loops(n: int, m: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * n * 3)  # so that blocks of three rows have to fit together
    rng = np.random.default_rng(n)
    real, fake = 100 + rng.standard_normal((n, 4)), 100.5 + rng.standard_normal((m, 4))
    found, expected = manifold(real, fake, neighbours=k), naive(real, fake, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12), name


def test_it_equals_scikit_learns_neighbours() -> None:
    rng = np.random.default_rng(5)
    real, fake = rng.standard_normal((700, 20)), 1.1 * rng.standard_normal((500, 20)) + 0.2
    real_radii = NearestNeighbors(n_neighbors=6).fit(real).kneighbors(real)[0][:, 5]  # the first is the point itself
    fake_radii = NearestNeighbors(n_neighbors=6).fit(fake).kneighbors(fake)[0][:, 5]
    distances = NearestNeighbors(n_neighbors=700).fit(real).kneighbors(fake)
    by_pair = np.empty((500, 700))
    np.put_along_axis(by_pair, distances[1], distances[0], axis=1)
    found = manifold(real, fake, neighbours=5)
    assert found.precision == (by_pair <= real_radii).any(1).mean()
    assert found.recall == (by_pair <= fake_radii[:, None]).any(0).mean()
    assert found.coverage == (by_pair.min(0) <= real_radii).mean()
    assert found.density == pytest.approx((by_pair <= real_radii).sum() / (5 * 500), abs=1e-12)


def test_a_set_no_larger_than_the_neighbours_says_what_to_pass() -> None:
    with pytest.raises(TooFewImages) as caught:
        manifold(np.zeros((100, 2)), np.zeros((5, 2)), neighbours=5)
    assert str(caught.value) == "neighbours is 5 but the smaller set has 5 images; pass neighbours=4 or fewer"
    with pytest.raises(TooFewImages, match="neighbours need 2 images or more in each set, not 1"):
        manifold(np.zeros((1, 2)), np.zeros((5, 2)), neighbours=5)
