"""What a group of readers, or one reader, did in one block: every measure with its interval."""

from dataclasses import dataclass, replace

import numpy as np

from radcommons.metrics.agreement import fleiss_kappa
from radcommons.metrics.bootstrap import percentile_interval
from radcommons.metrics.readers import (
    Measure,
    ReaderMean,
    accuracies,
    accuracy_error,
    aucs,
    bootstrap_accuracy,
    effective_answers,
    exact_interval,
    jackknife_errors,
    mean_roc,
    readers_and_cases,
    share_error,
    shares,
)
from radcommons.reader_study import SIGNIFICANCE
from radcommons.records import Estimate, GroupResult, ReaderResult, TimedOut
from radcommons.study.answers import ALL, TIMED_OUT, WORTH, Answers

QUARTERS = 4


@dataclass(frozen=True)
class Cell:
    """What some readers did in one block; R and N are those who took part and what they were shown."""

    group: str
    block: str
    synthetic: np.ndarray  # (N,)
    calls: np.ndarray  # (R, N), as all below
    right: np.ndarray
    scores: np.ndarray
    seconds: np.ndarray
    position: np.ndarray


def members(answers: Answers, group: str) -> np.ndarray:
    """Which readers are of a group, or all."""
    if group == ALL:
        return np.ones(len(answers.readers), bool)
    return np.asarray(answers.group_of == answers.groups.index(group))


def cell_of(answers: Answers, group: str, block: str, timed_out: TimedOut) -> Cell | None:
    """A part of the answers; None if none of these readers has an answer that counts to both classes of the block."""
    b = answers.blocks.index(block)
    right = answers.right(timed_out)[b]
    readers = members(answers, group) & ~np.isnan(accuracies(right, answers.synthetic).values)
    if not readers.any():
        return None
    images = ~np.isnan(answers.calls[b, readers]).all(axis=0)
    part = np.ix_(readers, images)
    return Cell(
        group=group,
        block=block,
        synthetic=answers.synthetic[images],
        calls=answers.calls[b][part],
        right=right[part],
        scores=answers.scores(timed_out)[b][part],
        seconds=answers.seconds[b][part],
        position=answers.position[b][part],
    )


def group_result(
    answers: Answers, cell: Cell, chance_tests: int, bootstrap_samples: int, rng: np.random.Generator
) -> GroupResult:
    """All measures of a cell; `chance_tests` is how many tests against chance Holm's correction covers."""
    measure = accuracies(cell.right, cell.synthetic)
    several = len(measure.values) > 1
    mean = mean_over_readers(measure, least_error(cell))
    resampled = bootstrap_accuracy(cell.right, cell.synthetic, bootstrap_samples=bootstrap_samples, rng=rng)
    low, high = percentile_interval(resampled)
    error = 0.5 / np.sqrt(effective_answers(cell.right, cell.synthetic))
    spread = mean or ReaderMean(np.zeros(()), np.array(error), np.array(np.inf))
    found = 0.5 + spread.detectable(significance=SIGNIFICANCE / chance_tests)
    deviation = float(np.std(measure.values, ddof=1)) if several else None
    scored = aucs(cell.scores, cell.synthetic) if _all_scored(cell.calls, cell.scores) else None
    curve = np.transpose(mean_roc(cell.scores, cell.synthetic)).tolist() if scored is not None else []
    calls = np.stack([(cell.calls == call).sum(axis=0) for call in (1, 0)], axis=1)
    kappa = fleiss_kappa(calls)
    ways = {way: cell_of(answers, cell.group, cell.block, way) for way in WORTH}
    return GroupResult(
        group=cell.group,
        block=cell.block,
        readers=len(cell.calls),
        images=len(cell.synthetic),
        answers=int((~np.isnan(cell.calls)).sum()),
        timed_out=int((cell.calls == TIMED_OUT).sum()),
        accuracy=accuracy_of(cell),
        exact=mean is None,
        standard_error=None if deviation is None else deviation / len(measure.values) ** 0.5,
        standard_deviation=deviation,
        bootstrap=Estimate(value=float(measure.values.mean()), low=low, high=high),
        accuracy_if={way: accuracy_of(other) for way, other in ways.items() if other is not None},
        detectable=found if found < 1 else None,
        sensitivity=_class_share(cell, cell.synthetic),
        specificity=_class_share(cell, ~cell.synthetic),
        auc=None if scored is None else _auc(scored),
        kappa=_estimate(kappa.value, *kappa.interval()),
        roc=tuple((x, y) for x, y in curve),
        seconds=_seconds(cell.seconds),
        quarters=tuple(_quarters(cell)),
    )


def least_error(cell: Cell) -> float:
    """Below this the standard error of a cell's accuracy cannot be."""
    return float(accuracy_error(cell.right, cell.synthetic))


def mean_over_readers(measure: Measure, least: float) -> ReaderMean | None:
    """The mean of shares of right answers; None with one reader, or if all are alike: then intervals are binomial."""
    if len(measure.values) < 2 or least == 0:
        return None
    return replace(readers_and_cases(measure), least_error=least)


def estimate_over_readers(measure: Measure, least: float, answers: float) -> Estimate:
    """The mean of shares of right answers, with its interval over readers and images."""
    value = float(measure.values.mean())
    mean = mean_over_readers(measure, least)
    if mean is None:
        low, high = exact_interval(value * answers, answers)
    else:
        low, high = (float(np.clip(end, 0, 1)) for end in mean.interval())
    return Estimate(value=value, low=low, high=high)


def accuracy_of(cell: Cell) -> Estimate:
    """The accuracy of a cell."""
    measure = accuracies(cell.right, cell.synthetic)
    return estimate_over_readers(measure, least_error(cell), effective_answers(cell.right, cell.synthetic))


def _class_share(cell: Cell, kind: np.ndarray) -> Estimate:
    """Sensitivity or specificity."""
    right = cell.right[:, kind]
    return estimate_over_readers(shares(right), float(share_error(right)), float((~np.isnan(right)).sum()))


def _auc(measure: Measure) -> Estimate | None:
    """Mean AUC; of one reader, over images only. No interval where nothing varies."""
    measure = measure.of(~np.isnan(measure.values))
    if not len(measure.values):
        return None
    if len(measure.values) == 1:
        return _one_auc(measure, 0)
    mean = readers_and_cases(measure)
    if mean.standard_error == 0:
        return Estimate(value=float(mean.value))
    low, high = (float(np.clip(end, 0, 1)) for end in mean.interval())
    return Estimate(value=float(mean.value), low=low, high=high)


def _one_auc(measure: Measure, reader: int) -> Estimate | None:
    """AUC of one reader, over images."""
    value, error = float(measure.values[reader]), float(jackknife_errors(measure)[reader])
    if np.isnan(value) or error == 0:
        return None if np.isnan(value) else Estimate(value=value)
    low, high = ReaderMean(np.array(value), np.array(error), np.array(np.inf)).interval()
    return Estimate(value=value, low=max(0.0, float(low)), high=min(1.0, float(high)))


def _all_scored(calls: np.ndarray, scores: np.ndarray) -> bool:
    """Whether every call made in time has a confidence."""
    return not np.isnan(scores[~np.isnan(calls) & (calls != TIMED_OUT)]).any()


def _seconds(seconds: np.ndarray) -> float | None:
    """Mean over readers of the median time of an image."""
    medians = [np.nanmedian(s) for s in np.atleast_2d(seconds) if not np.isnan(s).all()]
    return float(np.mean(medians)) if medians else None


def _estimate(value: float, low: float, high: float) -> Estimate | None:
    if np.isnan(value):
        return None
    return Estimate(value=float(value)) if np.isnan(low) else Estimate(value=float(value), low=low, high=high)


def part_of_order(position: np.ndarray, parts: int) -> np.ndarray:
    """Which part of its reader's order each image is in, from 0 on; -1 for an image not seen, (..., N)."""
    ranks = np.argsort(np.argsort(position, axis=-1), axis=-1)  # NaN sorts to the end
    seen = (~np.isnan(position)).sum(axis=-1, keepdims=True)
    return np.asarray(np.where(np.isnan(position), -1, ranks * parts // np.maximum(seen, 1)))


def _quarters(cell: Cell) -> list[float | None]:
    """Accuracy in each quarter of the order, mean over readers."""
    part = part_of_order(cell.position, QUARTERS)
    found = []
    for quarter in range(QUARTERS):
        values = shares(cell.right, part == quarter).values
        found.append(None if np.isnan(values).all() else float(np.nanmean(values)))
    return found


def reader_results(answers: Answers, block: int, timed_out: TimedOut) -> list[ReaderResult]:
    """Each reader who took part in a block."""
    calls, right = answers.calls[block], answers.right(timed_out)[block]
    scores = answers.scores(timed_out)[block]
    auc = aucs(scores, answers.synthetic)

    def share(reader: int, kind: np.ndarray) -> Estimate | None:
        counted = right[reader][~np.isnan(right[reader]) & kind]
        if not len(counted):
            return None
        low, high = exact_interval(float(counted.sum()), len(counted))
        return Estimate(value=float(counted.mean()), low=low, high=high)

    def accuracy(reader: int) -> Estimate | None:
        value = float(accuracies(right[reader : reader + 1], answers.synthetic).values[0])
        if np.isnan(value):
            return None
        number = effective_answers(right[reader : reader + 1], answers.synthetic)
        low, high = exact_interval(value * number, number)
        return Estimate(value=value, low=low, high=high)

    return [
        ReaderResult(
            reader=answers.readers[r],
            group=answers.groups[answers.group_of[r]],
            block=answers.blocks[block],
            images=int((~np.isnan(calls[r])).sum()),
            timed_out=int((calls[r] == TIMED_OUT).sum()),
            accuracy=accuracy(r),
            sensitivity=share(r, answers.synthetic),
            specificity=share(r, ~answers.synthetic),
            auc=_one_auc(auc, r) if _all_scored(calls[r], scores[r]) else None,
            seconds=_seconds(answers.seconds[block, r]),
        )
        for r in range(len(answers.readers))
        if not np.isnan(calls[r]).all()
    ]
