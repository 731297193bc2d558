"""A classifier's numbers with their intervals, and what the interval is where redraws show no spread."""

import numpy as np

from radcommons.metrics.bootstrap import mean_redrawn, percentile_interval
from radcommons.metrics.power import share_interval
from radcommons.metrics.thresholds import outcomes
from radcommons.records import Estimate


def patients_behind(
    scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, groups: np.ndarray
) -> dict[str, list[int]]:
    """For every measure that is a share of films: the patients of these films, a number a finding."""
    hit, alarm, miss, silence = outcomes(scores, labels, thresholds)
    of = {
        "accuracy": hit | alarm | miss | silence,
        "sensitivity": hit | miss,
        "specificity": silence | alarm,
        "ppv": hit | alarm,
        "npv": silence | miss,
    }
    return {measure: [len(np.unique(groups[films])) for films in mask.T] for measure, mask in of.items()}


def of_share(value: float, redrawn: np.ndarray, patients: int | None) -> Estimate | None:
    """`estimate`, but of 0 or 1, which every redraw repeats, the interval of so many patients all alike (Wilson).

    Without a number of patients there is no interval then.
    """
    if value not in (0, 1):
        return estimate(value, redrawn)
    low, high = (None, None) if patients is None else share_interval(int(value) * patients, patients)
    return Estimate(value=float(value), low=low, high=high)


def estimate(value: float, redrawn: np.ndarray) -> Estimate | None:
    """A value with its percentile interval; None where it is not defined."""
    return None if np.isnan(value) else certain(value, redrawn)


def mean_estimate(values: np.ndarray, redrawn: np.ndarray) -> Estimate | None:
    """Mean over findings of shares (F,), redrawn (r, F); no interval where redraws only repeat a share of 0 or 1."""
    if np.isnan(values).any():
        return None
    mean = float(values.mean())
    return Estimate(value=mean) if np.isin(values, (0, 1)).any() else certain(mean, mean_redrawn(redrawn))


def certain(value: float, redrawn: np.ndarray) -> Estimate:
    """A value that is defined, with its percentile interval."""
    low, high = (None if np.isnan(end) else end for end in percentile_interval(redrawn))
    return Estimate(value=float(value), low=low, high=high)
