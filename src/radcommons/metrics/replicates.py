"""Estimates from several trainings judged on the same patients: both lucks count, that of training and of testing."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t


@dataclass(frozen=True)
class Replicated:
    """A mean over trainings.

    value: of the trainings that were made.
    low, high: interval for another training judged on other patients of the same kinds.
    p_value: two-sided, of the true mean being 0; not corrected. 1 where nothing varies and the mean is 0.
    standard_error: of the mean.
    """

    value: float
    low: float
    high: float
    p_value: float
    standard_error: float


def replicated(values: np.ndarray, redrawn: np.ndarray, level: float = 0.95) -> Replicated:
    """The mean of a measure over trainings, with the spread over patients and over trainings in its interval.

    The variance of the mean is that over bootstrap samples of patients, of the mean over these trainings, plus the
    trainings' own variance over their number; the second is known from few values, so the interval is Student's with
    Satterthwaite's degrees of freedom. From one training nothing is known of the second, and it is left out.

    Args:
        values: the measure of each training on all patients, (s,), s >= 1; e.g. differences of two arms' AUC.
        redrawn: the mean over these trainings in bootstrap samples of patients, (r,).
        level: of the interval.
    Returns:
        Replicated; NaN throughout where a value is.
    Source: Satterthwaite 1946; Efron 1979.
    """
    repeats, value = len(values), float(np.mean(values))
    of_patients = float(np.nanvar(redrawn, ddof=1))
    of_trainings = float(np.var(values, ddof=1)) / repeats if repeats > 1 else 0.0
    variance = of_patients + of_trainings
    freedom = np.inf if of_trainings == 0 else variance**2 / (of_trainings**2 / (repeats - 1))
    error = float(np.sqrt(variance))
    reach = float(t.ppf((1 + level) / 2, freedom)) * error
    if error == 0:
        return Replicated(value, value, value, 1.0 if value == 0 else 0.0, 0.0)
    return Replicated(value, value - reach, value + reach, float(2 * t.sf(abs(value) / error, freedom)), error)
