import numpy as np
import pytest
from scipy import stats

from radcommons.metrics.correlation import clusters, fisher_interval, pearson, spearman, weighted_pearson


def correlated(n: int, r: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=n)
    return x, r * x + np.sqrt(1 - r * r) * rng.normal(size=n)


def test_both_are_those_of_scipy_ties_included() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 200).astype(float), rng.integers(0, 9, (200, 3)).astype(float)
    for column in range(3):
        assert pearson(x, y)[column] == pytest.approx(stats.pearsonr(x, y[:, column]).statistic)
        assert spearman(x, y)[column] == pytest.approx(stats.spearmanr(x, y[:, column]).statistic)


def test_float32_scores_of_a_narrow_range_lose_nothing() -> None:
    x = np.random.default_rng(1).random(5000, dtype=np.float32)
    y = (0.999 + 1e-4 * x).astype(np.float32)
    expected = np.corrcoef(x.astype(float), y.astype(float))[0, 1]
    assert pearson(x, y[:, None])[0] == pytest.approx(expected, abs=1e-9)


def test_a_constant_has_no_correlation() -> None:
    assert np.isnan(pearson(np.arange(5.0), np.ones((5, 1)))).all()
    assert np.isnan(pearson(np.ones(5), np.arange(5.0)[:, None])).all()


def test_the_interval_is_the_one_of_scipy() -> None:
    x, y = correlated(300, 0.6, np.random.default_rng(2))
    expected = stats.pearsonr(x, y).confidence_interval(0.95)
    low, high = fisher_interval(pearson(x, y[:, None]), 300)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("ranks", [False, True])
def test_the_interval_covers_as_often_as_it_says(ranks: bool) -> None:
    rng, r, covered = np.random.default_rng(3), 0.5, 0
    truth = 6 / np.pi * np.arcsin(r / 2) if ranks else r  # of the normal law
    for _ in range(600):
        x, y = correlated(100, r, rng)
        low, high = fisher_interval((spearman if ranks else pearson)(x, y[:, None]), 100, ranks=ranks)
        covered += low[0] < truth < high[0]
    assert 0.925 <= covered / 600 <= 0.975


def test_few_pairs_say_nothing_and_a_perfect_correlation_stays_perfect() -> None:
    low, high = fisher_interval(np.array([0.5]), 3)
    assert (low[0], high[0]) == (-1, 1)
    low, high = fisher_interval(np.array([1.0]), 50)
    assert (low[0], high[0]) == (1, 1)


def test_weights_count_like_repeated_rows() -> None:
    vectors, weights = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0.0]]), np.array([5, 3, 2, 10])
    expected = np.corrcoef(np.repeat(vectors, weights, axis=0), rowvar=False)
    np.testing.assert_allclose(weighted_pearson(vectors, weights), expected, atol=1e-12)


def test_a_label_that_is_always_there_has_no_phi() -> None:
    matrix = weighted_pearson(np.array([[1, 0], [1, 1.0]]), np.ones(2))
    assert np.isnan(matrix[0]).all() and np.isnan(matrix[:, 0]).all() and matrix[1, 1] == 1


def test_what_goes_together_stands_together_in_one_block() -> None:
    matrix = np.eye(5)
    for a, b in ((0, 3), (3, 4), (0, 4)):
        matrix[a, b] = matrix[b, a] = 0.7
    matrix[1, 2] = 0.5  # in one direction only: 0.25 on average
    order, blocks = clusters(matrix, joined_at=0.3)
    assert blocks[0] == blocks[3] == blocks[4] and len({blocks[0], blocks[1], blocks[2]}) == 3
    places = np.argsort(order)[[0, 3, 4]]
    assert np.ptp(places) == 2 and sorted(order) == [0, 1, 2, 3, 4]


def test_average_linkage_joins_by_the_mean() -> None:
    matrix = np.array([[1, 0.8, 0.5], [0.8, 1, 0.1], [0.5, 0.1, 1]])  # the third is 0.3 from the pair on average
    assert len(set(clusters(matrix, joined_at=0.29)[1])) == 1
    assert len(set(clusters(matrix, joined_at=0.31)[1])) == 2


def test_unknown_entries_and_a_single_finding_are_taken() -> None:
    matrix = np.array([[1, np.nan], [np.nan, 1.0]])
    assert len(set(clusters(matrix, joined_at=0.3)[1])) == 2
    assert [part.tolist() for part in clusters(np.ones((1, 1)), joined_at=0.3)] == [[0], [1]]
