"""Estimates from several trainings tested on the same patients: the error includes training and test variation."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

SMALLEST_P = 1e-300
SPREADS = 2_000  # equally likely ones that stand for a distribution


@dataclass(frozen=True, slots=True)
class Replicated:
    """A mean over trainings and its error.

    value: mean over these trainings.
    patients_error: standard error from the choice of test patients, >= 0.
    trainings_error: standard error from the variation between trainings, >= 0; 0, unknown, with one training.
    trainings: how many.
    """

    value: float
    patients_error: float
    trainings_error: float
    trainings: int

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, from both causes."""
        return float(np.hypot(self.patients_error, self.trainings_error))

    def reach(self, level: float = 0.95) -> float:
        """Half the width of the interval for the mean over all trainings and all patients of these kinds.

        Each standard error is multiplied by the quantile of its own distribution, normal for patients and Student's for
        a few trainings, and the two are added as squares. So the interval holds a level of 0.95 or more whichever cause
        dominates; Satterthwaite's degrees of freedom, narrower, hold 0.88 from two trainings and 0.93 from three.

        Source: Howe 1974 (Welch-Howe approximation).
        """
        return self._reach((1 - level) / 2)

    def detectable(self, level: float, power: float) -> float:
        """The true mean whose interval of this level would leave 0 out with this probability, >= 0.

        Of trainings alone it is exact: the interval's width is itself a matter of luck, so that few of them need more
        than the sum of two quantiles. The two causes are added as squares, as in `reach`.

        Source: Johnson and Welch 1940 (noncentral t).
        """
        beyond = (1 - level) / 2
        of_patients = float(norm.isf(beyond) + norm.ppf(power)) * self.patients_error
        if self.trainings_error == 0:
            return of_patients
        freedom = self.trainings - 1
        limit = float(t.isf(beyond, freedom))
        spreads = np.sqrt(chi2.ppf((np.arange(SPREADS) + 0.5) / SPREADS, freedom) / freedom)  # of the measured error
        apart = brentq(lambda mean: float(norm.cdf(mean - limit * spreads).mean()) - power, 0, 10 + 10 * limit)
        return float(np.hypot(of_patients, apart * self.trainings_error))

    @property
    def p_value(self) -> float:
        """Two-sided, of a true mean of 0, not corrected: that of the level whose interval ends at 0.

        1 where nothing varies and the mean is 0.
        """
        distance = abs(self.value)
        if distance == 0:
            return 1.0
        if self.standard_error == 0 or self._reach(SMALLEST_P / 2) <= distance:
            return 0.0
        return float(
            np.exp(brentq(lambda log_p: self._reach(np.exp(log_p) / 2) - distance, np.log(SMALLEST_P), 0, xtol=1e-10))
        )

    def _reach(self, beyond: float) -> float:
        """Half the width of the interval that excludes this share on either side."""
        of_patients = float(norm.isf(beyond)) * self.patients_error
        if self.trainings_error == 0:
            return of_patients
        return float(np.hypot(of_patients, float(t.isf(beyond, self.trainings - 1)) * self.trainings_error))


def replicated(values: np.ndarray, resampled: np.ndarray) -> Replicated:
    """The mean of a measure over trainings, with its spread over patients and over trainings.

    A training that is better on some patients by chance counts in both parts, so the error is rather too large than too
    small. With one training the variation between trainings is unknown and left out.

    Args:
        values: the measure of each training on all patients, (s,), s >= 1; e.g. differences of two arms' AUC.
        resampled: the mean over these trainings in bootstrap samples of patients, (r,); NaN, undefined in a sample, is
            left out.
    Source: Efron 1979 (the spread over patients).
    """
    trainings = len(values)
    of_trainings = float(np.std(values, ddof=1)) / np.sqrt(trainings) if trainings > 1 else 0.0
    return Replicated(float(np.mean(values)), float(np.nanstd(resampled, ddof=1)), float(of_trainings), trainings)
