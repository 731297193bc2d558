"""The sentence at the top of a result, which says no more than the intervals do, and what must be known beside it."""

from collections.abc import Sequence

import numpy as np

from radcommons.records import GroupResult, StudyTest
from radcommons.study.answers import TIMED_OUT, Answers, TimedOut
from radcommons.study.measures import SIGNIFICANCE

FEW_READERS = 3
WAYS: dict[TimedOut, str] = {
    "half": "as half right, which is what a guess earns",
    "wrong": "as wrong",
    "excluded": "not at all",
}


def sentence(results: Sequence[GroupResult], tests: Sequence[StudyTest]) -> str:
    """Whether all readers together could tell the images apart, block by block; what the study could have found."""
    of = {(t.group, t.block): t for t in tests if t.question == "against chance"}
    whole = results[-1].group
    parts = [_clause(r, of[r.group, r.block]) for r in results if r.group == whole]
    return " ".join(parts)


def _clause(result: GroupResult, test: StudyTest) -> str:
    readers = "the reader" if result.readers == 1 else f"the {result.readers} readers"
    head = f"In block {result.block} {readers} were right in {percent(result)}"
    if result.readers == 1:
        head = head.replace(" were ", " was ")
    if test.p_corrected is not None and test.p_corrected < SIGNIFICANCE:
        return f"{head}: {'more' if result.accuracy.value > 0.5 else 'less'} often than chance."
    would = (
        "no accuracy was sure to be found by this study"
        if result.detectable is None
        else f"this study would have detected {result.detectable:.0%} or more (power 80%)"
    )
    return f"{head}, which could not be told apart from chance; {would}."


def percent(result: GroupResult) -> str:
    """An accuracy with its interval, in words."""
    e = result.accuracy
    assert e.low is not None and e.high is not None
    return f"{e.value:.0%} (95% interval {e.low:.0%} to {e.high:.0%})"


def notes(answers: Answers, results: Sequence[GroupResult], timed_out: TimedOut) -> tuple[str, ...]:
    """What a reader of the table must know."""
    found = []
    late = int((answers.calls == TIMED_OUT).sum())
    if late:
        found.append(
            f"{late:,} of {int((~np.isnan(answers.calls)).sum()):,} answers timed out; they count {WAYS[timed_out]}"
        )
    if few := sorted({f"{r.group} ({r.readers})" for r in results if r.readers < FEW_READERS}):
        found.append(
            f"few readers: {', '.join(few)}; the interval of one reader holds for that reader only, that of two is wide"
        )
    if any(r.kappa is None for r in results):
        found.append("kappa is not defined where all calls are alike, or where no two readers saw the same image")
    if all(r.auc is None for r in results):
        found.append("there is no ROC curve, because not every answer has a confidence")
    if np.isnan(answers.seconds).all():
        found.append("times were not recorded")
    return tuple(found)
