"""Bootstrap samples of patients: images of one patient are not treated as independent."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from radcommons.metrics.classification import quotient
from radcommons.metrics.sample_statistics import Statistic, auc, average_precision, true_positive_rate
from radcommons.metrics.thresholds import Confusion, outcomes

FEW_PATIENTS = 10  # of a class: with fewer, bootstrap samples vary too little, and intervals are too narrow
SAMPLES_AT_ONCE = 64  # more at once are slower; a block takes 512 bytes a patient and 1,024 a positive

# Scores, labels and patient numbers of one finding, (n,) each -> its statistic of any sample.
Prepare = Callable[[np.ndarray, np.ndarray, np.ndarray], Statistic]


def patients_of_rarer(labels: np.ndarray, patients: np.ndarray) -> int:
    """Patients with images of the rarer class; below `FEW_PATIENTS` no interval is reliable.

    Args:
        labels: of one finding, 1, 0 or NaN for unknown, (n,).
        patients: patient of each image, (n,), of any sortable type.
    Source: simulated; equal classifiers are told apart at 0.05 in 58% of studies with one positive, 10% with three.
    """
    return min(len(np.unique(patients[labels == kind])) for kind in (0, 1))


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of a statistic's values in bootstrap samples, (r,), as (low, high).

    NaN values, from samples in which the statistic is not defined, are left out; (NaN, NaN) where all are NaN.
    Source: Efron 1979.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_mean(resampled: np.ndarray) -> np.ndarray:
    """Mean over findings in each bootstrap sample, (r, F) -> (r,), without the findings that are NaN in that sample.

    NaN where all are. Hardly any sample has both classes of every rare finding.
    """
    defined = ~np.isnan(resampled)
    return quotient(np.where(defined, resampled, 0).sum(axis=1), defined.sum(axis=1))


def bootstrap_auc(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, *, bootstrap_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """`area_under_roc` of every finding in bootstrap samples of patients, the same sample for all findings.

    So a mean over findings is ``values.mean(axis=1)``, and two classifiers of the same images are compared within
    each sample: put their columns side by side, or call twice with generators of the same seed.

    Args:
        scores: float (n, F).
        labels: 1, 0 or NaN for unknown, float (n, F).
        patients: patient of each image, (n,), of any sortable type; `np.arange(n)` takes images for independent.
        bootstrap_samples: how many; 10,000 settle the ends of an interval of 0.95 to a few per cent of its width.
        rng: draws the patients; the result depends on it alone.
    Returns:
        float (bootstrap_samples, F) in [0, 1]; NaN where a sample has one class only.
    Source: Efron 1979; Rutter 2000 (the bootstrap of patients for ROC curves).
    """
    return _by_finding(auc, scores, labels, patients, bootstrap_samples=bootstrap_samples, rng=rng)


def bootstrap_average_precision(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, *, bootstrap_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """`average_precision` of every finding in bootstrap samples of patients.

    Arguments and result are those of `bootstrap_auc`; NaN where a sample has no positive. Each sample has a prevalence
    of its own, and average precision goes with it.
    """
    return _by_finding(average_precision, scores, labels, patients, bootstrap_samples=bootstrap_samples, rng=rng)


def bootstrap_confusion(
    scores: np.ndarray,
    labels: np.ndarray,
    thresholds: np.ndarray,
    patients: np.ndarray,
    *,
    bootstrap_samples: int,
    rng: np.random.Generator,
) -> Confusion:
    """`confusion` at fixed thresholds in bootstrap samples of patients, the same sample for all findings.

    Arguments are those of `bootstrap_auc` and `confusion`. The thresholds' own uncertainty is not in it.

    Returns:
        Confusion of float (bootstrap_samples, F); e.g. ``percentile_interval(result.sensitivity[:, 0])``.
    """
    names, rows = np.unique(patients, return_inverse=True)
    parts = np.hstack(outcomes(scores, labels, thresholds))
    sums = np.zeros((len(names), parts.shape[1]))  # of each outcome of each finding, by patient
    np.add.at(sums, rows, parts)
    blocks = [
        counts.T @ sums
        for counts in _samples([np.arange(len(names))], len(names), bootstrap_samples=bootstrap_samples, rng=rng)
    ]
    return Confusion(*np.hsplit(np.concatenate(blocks), 4))


def auc_interval(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    *,
    bootstrap_samples: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `area_under_roc` over bootstrap samples of patients, for two sets of fixed sizes.

    Patients with positives only, with negatives only and with both are three strata, each resampled on its own. So
    no sample lacks a class, and a patient always contributes all rows.

    Args:
        positive: scores of the positive class, (n,), n >= 1.
        negative: scores of the negative class, (m,), m >= 1.
        positive_groups: patient of each positive, (n,).
        negative_groups: patient of each negative, (m,), named as in `positive_groups`.
        bootstrap_samples: how many; 1,000 for an interval of 0.95.
        rng: draws the patients.
        level: e.g. 0.95.
    Returns:
        (low, high) in [0, 1]; of no width where the classes do not overlap at all, whatever their size.
    Source: Efron 1979; Rutter 2000 (the bootstrap of patients for ROC curves).
    """
    scores, groups = (positive, negative), (positive_groups, negative_groups)
    return _interval_by_class(auc, scores, groups, bootstrap_samples=bootstrap_samples, rng=rng, level=level)


def true_positive_rate_interval(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    *,
    false_positive_rate: float,
    bootstrap_samples: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `true_positive_rate_at` over bootstrap samples of patients.

    The threshold is found anew in each sample. Arguments and sources are those of `auc_interval`; patients are
    drawn in the same way. Where `false_positive_rate` times the negatives is only a few, the interval is rough.
    """
    rate = partial(true_positive_rate, false_positive_rate=false_positive_rate)
    scores, groups = (positive, negative), (positive_groups, negative_groups)
    return _interval_by_class(rate, scores, groups, bootstrap_samples=bootstrap_samples, rng=rng, level=level)


def _by_finding(
    statistic: Prepare,
    scores: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    *,
    bootstrap_samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    names, rows = np.unique(patients, return_inverse=True)
    statistics = [statistic(scores[:, f], labels[:, f], rows) for f in range(scores.shape[1])]
    return _values(statistics, [np.arange(len(names))], len(names), bootstrap_samples=bootstrap_samples, rng=rng)


def _interval_by_class(
    statistic: Prepare,
    scores: tuple[np.ndarray, np.ndarray],
    groups: tuple[np.ndarray, np.ndarray],
    *,
    bootstrap_samples: int,
    rng: np.random.Generator,
    level: float,
) -> tuple[float, float]:
    names, rows = np.unique(np.concatenate(groups), return_inverse=True)
    labels = np.repeat([1.0, 0.0], [len(of_class) for of_class in scores])
    classes = np.zeros(len(names), int)  # 1: a patient with positives only, 2: with negatives only, 3: with both
    classes[rows[labels == 1]] |= 1
    classes[rows[labels == 0]] |= 2
    strata = [members for kind in (1, 2, 3) if len(members := np.flatnonzero(classes == kind))]
    of_counts = statistic(np.concatenate(scores), labels, rows)
    values = _values([of_counts], strata, len(names), bootstrap_samples=bootstrap_samples, rng=rng)
    return percentile_interval(values[:, 0], level)


def _values(
    statistics: Sequence[Statistic],
    strata: Sequence[np.ndarray],
    patients: int,
    *,
    bootstrap_samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Each statistic of each sample, (bootstrap_samples, len(statistics))."""
    blocks = _samples(strata, patients, bootstrap_samples=bootstrap_samples, rng=rng)
    return np.concatenate([np.stack([of(counts) for of in statistics], axis=1) for counts in blocks])


def _samples(
    strata: Sequence[np.ndarray], patients: int, *, bootstrap_samples: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Counts of the patients in block after block of samples, float (patients, b); each stratum keeps its size."""
    for start in range(0, bootstrap_samples, SAMPLES_AT_ONCE):
        counts = np.empty((min(SAMPLES_AT_ONCE, bootstrap_samples - start), patients))
        for sample in counts:  # one by one, so that the draws do not depend on the size of a block
            for members in strata:
                drawn = rng.integers(len(members), size=len(members))  # with replacement
                sample[members] = np.bincount(drawn, minlength=len(members))
        yield np.ascontiguousarray(counts.T)
