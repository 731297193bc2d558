"""The tests of a reader study: against chance, between blocks, between groups, over the order."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from radcommons.metrics.comparison import holm
from radcommons.metrics.readers import (
    Measure,
    ReaderMean,
    accuracies,
    effective_answers,
    exact_p_value,
    readers_and_cases,
    shares,
)
from radcommons.records import Estimate, Question, StudyTest, TimedOut
from radcommons.study.answers import Answers
from radcommons.study.measures import Cell, accuracy_of, least_error, mean_over_readers, members, part_of_order


def corrected(tests: list[StudyTest]) -> list[StudyTest]:
    """Holm's correction over the tests of one question."""
    p_values = holm(np.array([np.nan if t.p_value is None else t.p_value for t in tests]))
    return [
        t.model_copy(update={"p_corrected": None if np.isnan(p) else float(p)})
        for t, p in zip(tests, p_values, strict=True)
    ]


def _test(question: Question, what: str, mean: ReaderMean, *, group: str = "", block: str = "") -> StudyTest:
    p = float(mean.p_value(0.0))
    low, high = mean.interval()
    return StudyTest(
        question=question,
        what=what,
        group=group,
        block=block,
        difference=Estimate(value=float(mean.value), low=float(low), high=float(high)),
        p_value=None if np.isnan(p) else p,
        p_corrected=None,
    )


def against_chance(cell: Cell) -> StudyTest:
    """The accuracy of one group in one block; by the binomial distribution where its interval is."""
    mean = mean_over_readers(accuracies(cell.right, cell.synthetic), least_error(cell))
    what = f"{cell.group}, {cell.block}: accuracy against 0.5"
    if mean is not None:
        return _test("against chance", what, replace(mean, value=mean.value - 0.5), group=cell.group, block=cell.block)
    accuracy, answers = accuracy_of(cell), effective_answers(cell.right, cell.synthetic)
    assert accuracy.low is not None and accuracy.high is not None
    return StudyTest(
        question="against chance",
        what=what,
        group=cell.group,
        block=cell.block,
        difference=Estimate(value=accuracy.value - 0.5, low=accuracy.low - 0.5, high=accuracy.high - 0.5),
        p_value=exact_p_value(accuracy.value * answers, answers),
        p_corrected=None,
    )


def between_blocks(answers: Answers, timed_out: TimedOut) -> list[StudyTest]:
    """Each pair of blocks, by the readers who took part in both; images of either are left out in turn."""
    measure = accuracies(answers.right(timed_out), answers.synthetic)
    tests = []
    for first, second in combinations(range(len(answers.blocks)), 2):
        difference = measure[second] - measure[first]
        both = ~np.isnan(difference.values)
        if both.sum() >= 2:
            what = f"{answers.blocks[second]} minus {answers.blocks[first]}"
            tests.append(_test("between blocks", what, readers_and_cases(difference.of(both))))
    return tests


def between_groups(answers: Answers, timed_out: TimedOut) -> list[StudyTest]:
    """Each pair of groups in each block."""
    measure = accuracies(answers.right(timed_out), answers.synthetic)
    tests = []
    for b, block in enumerate(answers.blocks):
        took_part = ~np.isnan(measure[b].values)
        for first, second in combinations(answers.groups, 2):
            groups = [members(answers, group) & took_part for group in (first, second)]
            if min(g.sum() for g in groups) >= 2:
                mean = readers_and_cases(*(measure[b].of(g) for g in groups))
                tests.append(_test("between groups", f"{block}: {first} minus {second}", mean))
    return tests


def over_the_order(answers: Answers, timed_out: TimedOut) -> list[StudyTest]:
    """Second half of each block's order minus the first half, mean over the blocks of each reader."""
    right = answers.right(timed_out)
    half = part_of_order(answers.position, 2)
    later, earlier = (shares(right, half == h) for h in (1, 0))
    change = later - earlier
    done = ~np.isnan(change.values)
    readers = done.any(axis=0)
    if readers.sum() < 2:
        return []
    number = done.sum(axis=0)[readers]
    values = np.where(done, change.values, 0).sum(axis=0)[readers] / number
    without = np.where(done[..., None], change.without, 0).sum(axis=0)[readers] / number[:, None]
    mean = readers_and_cases(Measure(values, without))
    return [_test("order", "second half of a block minus the first half", mean)]
