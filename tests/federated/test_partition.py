import numpy as np
import pytest

from radcommons.federated.partition import divide

PATIENTS = np.repeat(np.arange(60), 3)
LABELS = np.zeros((180, 2), np.float32)
LABELS[PATIENTS % 3 == 0, 0] = 1
LABELS[PATIENTS % 3 == 1, 1] = 1
LABELS[0, 1] = np.nan


@pytest.mark.parametrize("division", ["equal", "by size", "by finding"])
@pytest.mark.parametrize("concentration", [0.05, 1.0, 100.0])
def test_every_film_has_one_client_and_no_patient_two(division: str, concentration: float) -> None:
    parts = divide(PATIENTS, LABELS, 7, division, concentration, np.random.default_rng(0))
    assert sorted(np.concatenate(parts).tolist()) == list(range(180))
    of_client = [set(PATIENTS[part]) for part in parts]
    assert all(of_client) and sum(map(len, of_client)) == 60


def test_equal_parts_have_as_many_patients() -> None:
    parts = divide(PATIENTS, LABELS, 6, "equal", 0.5, np.random.default_rng(0))
    assert [len(part) for part in parts] == [30] * 6


def test_a_small_concentration_is_uneven_in_size_or_finding() -> None:
    def spread(division: str, concentration: float, column: int | None) -> float:
        parts = divide(PATIENTS, LABELS, 6, division, concentration, np.random.default_rng(1))
        return float(np.std([len(p) if column is None else LABELS[p, column].sum() for p in parts]))

    assert spread("by size", 0.3, None) > 3 * spread("by size", 100, None)
    assert spread("by finding", 0.3, 0) > 3 * spread("by finding", 100, 0)


def test_the_same_seed_gives_the_same_division() -> None:
    first, second = (divide(PATIENTS, LABELS, 4, "by finding", 0.5, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_more_clients_than_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="60 patients cannot be divided among 61"):
        divide(PATIENTS, LABELS, 61, "equal", 0.5, np.random.default_rng(0))
