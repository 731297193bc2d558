"""A classifier's numbers with their intervals, also where all bootstrap samples give the same value."""

import numpy as np

from radcommons.metrics.bootstrap import bootstrap_mean, percentile_interval
from radcommons.metrics.power import share_interval
from radcommons.metrics.thresholds import outcomes
from radcommons.records import Estimate


def patients_behind(
    scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, groups: np.ndarray
) -> dict[str, list[int]]:
    """For every measure that is a share of films: the number of patients of these films, one number per finding."""
    hit, alarm, miss, silence = outcomes(scores, labels, thresholds)
    of = {
        "accuracy": hit | alarm | miss | silence,
        "sensitivity": hit | miss,
        "specificity": silence | alarm,
        "ppv": hit | alarm,
        "npv": silence | miss,
    }
    return {measure: [len(np.unique(groups[films])) for films in mask.T] for measure, mask in of.items()}


def estimate(value: float, resampled: np.ndarray) -> Estimate:
    """A value with its percentile interval from bootstrap samples, (r,)."""
    low, high = (None if np.isnan(end) else end for end in percentile_interval(resampled))
    return Estimate(value=float(value), low=low, high=high)


def share_estimate(value: float, resampled: np.ndarray, patients: int | None) -> Estimate | None:
    """A share with its interval; None where it is not defined.

    Every bootstrap sample repeats a share of 0 or 1. Its interval is Wilson's, from the number of patients, where that
    is given.
    """
    if np.isnan(value):
        return None
    if value not in (0, 1):
        return estimate(value, resampled)
    low, high = (None, None) if patients is None else share_interval(int(value) * patients, patients)
    return Estimate(value=float(value), low=low, high=high)


def mean_share_estimate(values: np.ndarray, resampled: np.ndarray) -> Estimate | None:
    """Mean over findings of shares (F,), with their values in bootstrap samples (r, F).

    There is no interval where a share is 0 or 1, which every bootstrap sample repeats.
    """
    if np.isnan(values).any():
        return None
    mean = float(values.mean())
    return Estimate(value=mean) if np.isin(values, (0, 1)).any() else estimate(mean, bootstrap_mean(resampled))
