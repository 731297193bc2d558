"""Which of the weights that clients sent can be used."""

from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def fault(sent: Arrays, expected: Arrays) -> str | None:
    """Why a client's weights cannot be used, beside those that it was given; None if they can."""
    if sent.keys() != expected.keys():
        return "sent other weights than it was given"
    for name, array in sent.items():
        if array.shape != expected[name].shape or array.dtype != expected[name].dtype:
            return f"sent weights of another shape or type ({name})"
        if not np.isfinite(array).all():
            return f"sent weights that are not numbers ({name})"
    return None


def change(sent: Arrays, given: Arrays) -> float:
    """The length of a client's change of all weights together."""
    return float(np.sqrt(sum(np.square(np.subtract(sent[name], given[name], dtype=np.float64)).sum() for name in sent)))


def too_long(changes: Mapping[str, float], largest: float | None) -> dict[str, str]:
    """The clients whose change is more than `largest` times that of the median client (the lower one of two)."""
    if largest is None or not changes:
        return {}
    median = sorted(changes.values())[(len(changes) - 1) // 2]
    return {
        name: f"changed the weights {length / max(median, 1e-30):.3g} times as much as the median client"
        for name, length in changes.items()
        if length > largest * median
    }
