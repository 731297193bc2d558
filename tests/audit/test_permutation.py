"""Statistics whose unit is the patient."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from radcommons.audit.permutation import (
    NullDistribution,
    Permutation,
    mean_by_patient,
    permutation_test,
    permuted_aucs,
    upper_p_value,
)


def test_a_patient_counts_once_with_the_mean_of_its_films() -> None:
    means = mean_by_patient(np.array([1.0, 3.0, 10.0]), np.array([7, 7, 2]))
    assert means.tolist() == [10.0, 2.0], "by ascending patient: 2, then 7"


def test_permuted_patients_give_an_auc_of_a_half_with_the_spread_of_the_rank_test() -> None:
    rng = np.random.default_rng(0)
    aucs = permuted_aucs(rng.normal(size=60), 20, permutations=4000, rng=rng)
    variance = (60 + 1) / (12 * 20 * 40)  # of U / (20 * 40) without ties
    assert aucs.mean() == pytest.approx(0.5, abs=0.005)
    assert aucs.var() == pytest.approx(variance, rel=0.1)


def test_the_p_value_of_permutations_is_the_exact_one() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(0.8, 1, 12), rng.normal(0, 1, 10)
    exact = mannwhitneyu(inside, outside, alternative="greater", method="exact")
    permuted = permuted_aucs(np.concatenate([inside, outside]), 12, permutations=20_000, rng=rng)
    error = (exact.pvalue / 20_000) ** 0.5
    assert upper_p_value(exact.statistic / 120, permuted) == pytest.approx(exact.pvalue, abs=4 * error)


def test_a_p_value_is_never_zero() -> None:
    assert upper_p_value(2.0, np.zeros(999)) == 0.001
    assert upper_p_value(-1.0, np.zeros(999)) == 1.0


# ---- permuting patients ----


def points(
    films: np.ndarray, images: np.ndarray, members: int, *, k: int = 200
) -> tuple[Permutation, np.ndarray, np.ndarray]:
    """Films and images as points on a line or plane, one film a patient, similarity = minus distance."""

    def near(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity = -np.linalg.norm(a[:, None] - b[None], axis=2)
        rows = np.argsort(-similarity, axis=1)[:, :k]
        return np.take_along_axis(similarity, rows, axis=1), rows

    similarity, rows = near(films, films)
    permutation = Permutation(np.arange(len(films)), np.arange(len(films)) < members, similarity[:, 1:], rows[:, 1:])
    return permutation, *near(images, films)


def asked(films: np.ndarray, images: np.ndarray, members: int) -> tuple[NullDistribution, NullDistribution]:
    permutation, similarity, rows = points(films, images, members)
    everything = np.arange(len(images)), np.arange(len(films))
    rng = np.random.default_rng(9)
    return permutation_test(permutation, similarity, rows, [everything], permutations=400, rng=rng)


def test_copies_of_training_films_are_found_by_both_questions() -> None:
    rng = np.random.default_rng(2)
    films = rng.normal(size=(120, 3))
    images = films[rng.integers(0, 80, 300)] + 0.01 * rng.normal(size=(300, 3))
    closer, copying = asked(films, images, 80)
    assert closer.found > 0.99 and closer.p_value() < 0.01
    assert copying.found[0] < -5 and NullDistribution(copying.found[0], copying.permuted[:, 0]).p_value(low=True) < 0.01


def test_a_generator_without_extremes_is_close_to_every_film_and_copies_none() -> None:
    rng = np.random.default_rng(3)
    films = rng.normal(size=(120, 3))
    images = 0.3 * rng.normal(size=(300, 3))  # the middle of the cloud only
    closer, copying = asked(films, images, 80)
    assert copying.found[0] < -5, "the three-sample test alone would raise an alarm"
    assert NullDistribution(copying.found[0], copying.permuted[:, 0]).p_value(low=True) > 0.01
    assert closer.p_value() > 0.01


def test_a_larger_training_part_is_nearer_more_often_without_any_leak() -> None:
    rng = np.random.default_rng(4)
    closer, _ = asked(rng.normal(size=(200, 3)), rng.normal(size=(400, 3)), 160)
    assert closer.found == pytest.approx(0.8, abs=0.07) and closer.permuted.mean() == pytest.approx(0.8, abs=0.02)
    assert closer.p_value() > 0.01


def test_false_alarms_are_as_frequent_as_the_p_value_says() -> None:
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        films, images = rng.normal(size=(60, 2)), rng.normal(size=(80, 2))
        permutation, similarity, rows = points(films, images, 40)
        everything = np.arange(80), np.arange(60)
        closer, copying = permutation_test(permutation, similarity, rows, [everything], permutations=99, rng=rng)
        p_values.append(
            (closer.p_value(), NullDistribution(copying.found[0], copying.permuted[:, 0]).p_value(low=True))
        )
    assert (np.array(p_values) <= 0.2).mean(axis=0) == pytest.approx([0.2, 0.2], abs=0.15)


def test_films_of_one_patient_are_permuted_together() -> None:
    permutation = Permutation(np.repeat(np.arange(10), 3), np.arange(10) < 6, np.zeros((30, 1)), np.zeros((30, 1), int))
    for is_member in permutation.groups(20, np.random.default_rng(5)):
        assert is_member.sum() == 6 and len(is_member) == 10


def test_an_image_that_sees_one_group_only_is_taken_to_be_at_least_as_far_from_the_other() -> None:
    permutation = Permutation(
        np.arange(3), np.array([True, True, False]), np.array([[0.5, 0.1]] * 3), np.array([[0, 1]] * 3)
    )
    closer, _ = permutation_test(
        permutation, np.array([[0.9, 0.8]]), np.array([[0, 1]]), [], permutations=1, rng=np.random.default_rng(6)
    )
    assert closer.found == 1.0
