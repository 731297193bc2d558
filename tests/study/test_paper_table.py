"""Table 1 of Han et al. 2020: what can be recomputed from its own numbers, and what cannot.

3 + 3 readers with 100 images per resolution, so that a reader's accuracy is a whole number of per cent.
"""

from itertools import combinations_with_replacement

import numpy as np
import pytest

# Accuracy and what the paper calls SE, per cent: computer vision, radiologists, all.
TABLE = {256: ((60, 5), (51, 5), (55, 7)), 512: ((67, 17), (65, 5), (67, 14)), 1024: ((82, 4), (77, 13), (80, 10))}
TRIPLES = np.array(list(combinations_with_replacement(range(101), 3)))


def rounded(values: np.ndarray) -> np.ndarray:
    """To the nearest whole number, halves up."""
    return np.floor(values + 0.5)


def spread(deviation_squared: np.ndarray, readers: int, *, sample: bool, error: bool) -> np.ndarray:
    """Standard deviation from the sum of squared deviations, by n - 1 if `sample`, or standard error of the mean."""
    deviation = np.sqrt(deviation_squared / (readers - sample))
    return np.asarray(deviation / np.sqrt(readers) if error else deviation)


def rows_of_all(resolution: int, *, sample: bool, error: bool) -> set[tuple[int, int]]:
    """Every row "all" that can follow from the rows of the groups, for every accuracy that their readers can have."""
    squares = ((TRIPLES - TRIPLES.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    means, spreads = rounded(TRIPLES.mean(axis=1)), rounded(spread(squares, 3, sample=sample, error=error))
    sums = []
    for printed_mean, printed_spread in TABLE[resolution][:2]:
        readers = TRIPLES[(means == printed_mean) & (spreads == printed_spread)]
        sums.append(np.unique(np.stack([readers.sum(axis=1), (readers**2).sum(axis=1)], axis=1), axis=0))
    total, squared = np.moveaxis(sums[0][:, None] + sums[1][None], -1, 0)
    of_all = rounded(spread(squared - total**2 / 6, 6, sample=sample, error=error))
    return {(int(a), int(s)) for a, s in zip(rounded(total / 6).ravel(), of_all.ravel(), strict=True)}


@pytest.mark.parametrize("resolution", [256, 1024])
def test_the_row_of_all_readers_follows_from_the_groups_if_plus_minus_is_a_standard_deviation(resolution: int) -> None:
    assert TABLE[resolution][2] in rows_of_all(resolution, sample=False, error=False)


@pytest.mark.parametrize("resolution", [256, 512, 1024])
@pytest.mark.parametrize("sample", [False, True])
def test_it_does_not_follow_if_plus_minus_is_a_standard_error_as_the_table_says(resolution: int, sample: bool) -> None:
    rows = rows_of_all(resolution, sample=sample, error=True)
    assert rows and max(s for _, s in rows) < TABLE[resolution][2][1]


@pytest.mark.parametrize("sample", [False, True])
def test_the_row_of_all_readers_at_512_does_not_follow_from_the_groups_either_way(sample: bool) -> None:
    rows = rows_of_all(512, sample=sample, error=False)
    assert {accuracy for accuracy, _ in rows} == {66}  # printed: 67
    assert max(s for _, s in rows) == 12 + (not sample)  # printed: 14
