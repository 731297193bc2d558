"""The sentence at the top of a result, which says no more than the intervals do, and what must be known beside it."""

from collections.abc import Sequence

import numpy as np

from radcommons.reader_study import WAYS, clause
from radcommons.records import GroupResult, StudyTest, TimedOut
from radcommons.records.study import FEWEST_READERS
from radcommons.study.answers import TIMED_OUT, Answers


def sentence(results: Sequence[GroupResult], tests: Sequence[StudyTest]) -> str:
    """Whether all readers together could tell the images apart, block by block; what the study could have found."""
    of = {(t.group, t.block): t for t in tests if t.question == "against chance"}
    whole = results[-1].group
    parts = [f"In block {r.block} {clause(r, of[r.group, r.block].p_corrected)}" for r in results if r.group == whole]
    return " ".join(parts)


def notes(answers: Answers, results: Sequence[GroupResult], timed_out: TimedOut) -> tuple[str, ...]:
    """What a reader of the table must know."""
    found = []
    late = int((answers.calls == TIMED_OUT).sum())
    if late:
        found.append(
            f"{late:,} of {int((~np.isnan(answers.calls)).sum()):,} answers timed out; they count {WAYS[timed_out]}"
        )
    if few := sorted({f"{r.group} ({r.readers})" for r in results if r.readers < FEWEST_READERS}):
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
