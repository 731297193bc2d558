"""Mean and spread of a stream of arrays, in the memory of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Moments:
    """What is kept of many arrays of one shape.

    Attributes:
        count: arrays seen.
        mean: their mean, float64 (...).
        squares: sum of squared deviations from the mean, float64 (...), >= 0.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Of arrays stacked along the first axis, (n, ...), n >= 1."""
        mean = values.mean(axis=0, dtype=np.float64)
        return cls(len(values), mean, np.square(values - mean).sum(axis=0))

    @classmethod
    def stack(cls, several: Sequence[Self]) -> Self:
        """Of equally many arrays of each of `several`, side by side: (k, ...)."""
        return cls(several[0].count, np.stack([m.mean for m in several]), np.stack([m.squares for m in several]))

    def join(self, other: Self) -> Self:
        """Of both streams; neither may be empty.

        Source: Chan, Golub and LeVeque 1983 (updating formulae for sample variances).
        """
        count = self.count + other.count
        step = other.mean - self.mean
        return type(self)(
            count,
            self.mean + step * (other.count / count),
            self.squares + other.squares + np.square(step) * (self.count * other.count / count),
        )

    @property
    def standard_error(self) -> np.ndarray:
        """Of the mean, same shape and unit; infinite for a single array, which says nothing of the spread."""
        if self.count == 1:
            return np.full_like(self.mean, np.inf)
        error: np.ndarray = np.sqrt(self.squares / (self.count - 1) / self.count)
        return error
