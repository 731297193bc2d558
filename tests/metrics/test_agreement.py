import numpy as np
import pytest
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as reference

from radcommons.metrics.agreement import fleiss_kappa

# Fleiss 1971, table 1: 30 patients, 6 psychiatrists, calls as numbers of the 5 diagnoses, by patient.
DIAGNOSES = """444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445
333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"""


def table_of(text: str) -> np.ndarray:
    return np.array([[calls.count(d) for d in "12345"] for calls in text.split()])


def test_the_worked_example_of_fleiss_1971_gives_its_kappa() -> None:
    assert fleiss_kappa(table_of(DIAGNOSES)).value == pytest.approx(0.4302445, abs=5e-8)  # 0.430 in the paper


def test_kappa_equals_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for readers, classes in ((2, 2), (6, 2), (5, 4)):
        table, _ = aggregate_raters(rng.integers(0, classes, (80, readers)), n_cat=classes)
        assert fleiss_kappa(table).value == pytest.approx(reference(table), abs=1e-12)


def test_two_readers_on_four_images_by_hand() -> None:
    # They agree on 3 of 4; 5 of 8 calls are of the first class: chance = (25 + 9) / 64.
    kappa = fleiss_kappa(np.array([[2, 0], [2, 0], [0, 2], [1, 1]]))
    assert kappa.value == pytest.approx((3 / 4 - 34 / 64) / (1 - 34 / 64))


def test_the_standard_error_is_that_of_a_jackknife_over_images() -> None:
    rng = np.random.default_rng(1)
    skill = rng.random((400, 1))
    calls = rng.random((400, 5)) < np.where(rng.random((400, 1)) < 0.5, skill, 1 - skill)
    table = np.stack([calls.sum(axis=1), (~calls).sum(axis=1)], axis=1)
    left_out = np.array([fleiss_kappa(np.delete(table, i, axis=0)).value for i in range(400)])
    jackknife = np.sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert fleiss_kappa(table).standard_error == pytest.approx(jackknife, rel=0.01)


def test_the_standard_error_also_holds_where_numbers_of_readers_differ() -> None:
    rng = np.random.default_rng(2)
    calls = np.where(rng.random((400, 5)) < 0.2, -1, rng.random((400, 5)) < rng.random((400, 1)))
    table = np.stack([(calls == k).sum(axis=1) for k in (0, 1)], axis=1)
    table = table[table.sum(axis=1) >= 2]
    n = len(table)
    left_out = np.array([fleiss_kappa(np.delete(table, i, axis=0)).value for i in range(n)])
    jackknife = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    assert fleiss_kappa(table).standard_error == pytest.approx(jackknife, rel=0.02)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_intervals_of_guessing_readers_hold_kappa_0_in_92_to_95_of_100_studies(share: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        synthetic = (rng.random((100, 3)) < share).sum(axis=1)
        low, high = fleiss_kappa(np.stack([synthetic, 3 - synthetic], axis=1)).interval()
        held += low <= 0 <= high
    assert 0.91 <= held / 1000 <= 0.96


def test_readers_who_agree_on_everything_have_kappa_1_without_error() -> None:
    kappa = fleiss_kappa(np.array([[3, 0], [0, 3], [3, 0]]))
    assert (kappa.value, kappa.standard_error, kappa.interval()) == (1, 0, (1, 1))


@pytest.mark.parametrize("calls", [[[3, 0], [3, 0]], [[1, 0], [0, 1]], np.zeros((0, 2))])
def test_kappa_is_not_defined_where_all_calls_are_alike_or_none_is_shared(calls: list[list[int]]) -> None:
    assert np.isnan(fleiss_kappa(np.array(calls)).value)
