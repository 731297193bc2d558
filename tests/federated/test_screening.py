import numpy as np
import pytest

from radcommons.federated.screening import change, fault, too_long

GIVEN = {"generator/a": np.zeros((2, 2), np.float32), "critic/b": np.ones(3, np.float32)}


def changed(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return GIVEN | {name.replace("_", "/"): array for name, array in arrays.items()}


def test_weights_as_they_were_given_can_be_used() -> None:
    assert fault(changed(generator_a=np.full((2, 2), 5, np.float32)), GIVEN) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"generator/a": GIVEN["generator/a"]}, "other weights"),
        (changed(generator_c=np.zeros(1, np.float32)), "other weights"),
        (changed(critic_b=np.ones(4, np.float32)), r"another shape or type \(critic/b\)"),
        (changed(critic_b=np.ones(3, np.float64)), "another shape or type"),
        (changed(critic_b=np.array([1, np.nan, 1], np.float32)), r"not numbers \(critic/b\)"),
        (changed(generator_a=np.full((2, 2), np.inf, np.float32)), "not numbers"),
    ],
)
def test_what_cannot_be_used_is_named(sent: dict[str, np.ndarray], said: str) -> None:
    import re

    assert re.search(said, str(fault(sent, GIVEN)))


def test_the_length_of_a_change_is_that_of_all_weights_together() -> None:
    assert change(changed(generator_a=np.full((2, 2), 2, np.float32), critic_b=np.full(3, 1, np.float32)), GIVEN) == 4
    assert change(GIVEN, GIVEN) == 0


def test_a_change_far_above_the_median_is_refused() -> None:
    refused = too_long({"a": 1.0, "b": 1.2, "c": 30.0}, 10)
    assert list(refused) == ["c"] and "25 times" in refused["c"]
    assert list(too_long({"a": 1.0, "b": 300.0}, 10)) == ["b"]
    assert not too_long({"a": 1.0, "b": 300.0}, None) and not too_long({"a": 5.0}, 10) and not too_long({}, 10)
