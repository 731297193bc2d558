"""The record of a reader study's analysis."""

from typing import Any, Literal

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart

Question = Literal["against chance", "between blocks", "between groups", "order"]


class ReaderResult(RecordPart):
    """One reader in one block; intervals hold for this reader and such images.

    Attributes:
        images: that the reader was shown; `timed_out` of them without an answer in time.
        sensitivity, specificity: synthetic called synthetic, real called real; accuracy: their mean. With exact
            binomial intervals; None where no answer counts.
        auc: of the confidence; None where there is none.
        seconds: median time of an image.
    """

    reader: str
    group: str
    block: str
    images: int
    timed_out: int
    accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    auc: Estimate | None
    seconds: float | None


class GroupResult(RecordPart):
    """One group, or all readers, in one block; intervals hold for other such readers and images.

    Attributes:
        group: its name, or "all readers".
        readers, images, answers, timed_out: how many.
        accuracy: mean over readers; `exact` if its interval is binomial: one reader, or readers who do not vary.
        standard_error, standard_deviation: among readers alone, as in the paper's table; None for one reader.
        bootstrap: interval of the accuracy from bootstrap samples of readers and images.
        accuracy_if: accuracy by how a timed-out answer counts: half, wrong, excluded.
        detectable: smallest accuracy above one half that the test against chance, corrected, would have found with a
            power of 80%; None where not even 1 is sure to be found.
        kappa: Fleiss' kappa, from calls made in time; its interval is over images, for these readers.
        roc: (1 - specificity, sensitivity) by confidence, mean over readers.
        seconds: mean over readers of the median time of an image.
        quarters: accuracy in each quarter of the order, mean over readers.
    """

    group: str
    block: str
    readers: int
    images: int
    answers: int
    timed_out: int
    accuracy: Estimate
    exact: bool
    standard_error: float | None
    standard_deviation: float | None
    bootstrap: Estimate
    accuracy_if: dict[str, Estimate]
    detectable: float | None
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate | None
    kappa: Estimate | None
    roc: tuple[tuple[float, float], ...]
    seconds: float | None
    quarters: tuple[float | None, ...]


class StudyTest(RecordPart):
    """One test.

    Attributes:
        what: in words.
        group, block: which accuracy is tested against chance; empty for other questions.
        difference: of accuracies; against chance, accuracy minus one half.
        p_corrected: by Holm, over the tests of this question.
    """

    question: Question
    what: str
    group: str
    block: str
    difference: Estimate
    p_value: float | None
    p_corrected: float | None


class StudyResult(Record):
    """``study.json``.

    Attributes:
        answers_sha256: digest of the file of answers.
        timed_out: how an answer that timed out counts: half, wrong, excluded.
        groups, blocks: names, in the order of the file.
        results: of each group, then of all readers where there are several groups; of each block.
        by_reader: of each reader and block.
        sentence: what the intervals support.
        notes: what a reader of the table must know.
    """

    answers_sha256: str
    timed_out: str
    readers: int
    images: int
    synthetic_images: int
    groups: tuple[str, ...]
    blocks: tuple[str, ...]
    results: tuple[GroupResult, ...]
    by_reader: tuple[ReaderResult, ...]
    tests: tuple[StudyTest, ...]
    sentence: str
    notes: tuple[str, ...]
    bootstrap_samples: int
    seed: int
    versions: dict[str, Any]
