"""The record of a reader study's analysis, and the part of it that goes with a generator."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart

TimedOut = Literal["half", "wrong", "excluded"]
FEWEST_READERS = 3  # behind a published number: with two, each could work out what the other did
ROUNDING = 1e-9
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

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


class ShownGenerator(RecordPart):
    """A generator, by the SHA-256 of its weights, and how many of a study's images it drew."""

    digest: Sha256
    images: int = Field(ge=1)


class StudyResult(Record):
    """``study.json``.

    Attributes:
        answers_sha256: digest of the file of answers.
        timed_out: how an answer that timed out counts: half, wrong, excluded.
        generators: that drew the synthetic images, the one with most images first; none from a bare file of answers, or
            where a synthetic set does not say.
        last_answer: day of the last answer, UTC; None from a bare file of answers.
        groups, blocks: names, in the order of the file.
        results: of each group, then of all readers where there are several groups; of each block.
        by_reader: of each reader and block.
        sentence: what the intervals support.
        notes: what a reader of the table must know.
    """

    answers_sha256: str
    timed_out: TimedOut
    readers: int
    images: int
    synthetic_images: int
    generators: tuple[ShownGenerator, ...] = ()
    last_answer: date | None = None
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


def _kappa(estimate: Estimate) -> Estimate:
    ends = [end for end in (estimate.low, estimate.high) if end is not None]
    if not -1 <= estimate.value <= 1 or not all(abs(end) <= 100 for end in ends):  # that of few images goes beyond -1
        raise ValueError("it is no kappa with its interval")
    return estimate


def _share(estimate: Estimate) -> Estimate:
    low, value, high = estimate.low, estimate.value, estimate.high
    if low is None or high is None:
        raise ValueError("there is no interval")
    if not (0 <= low <= value + ROUNDING and value - ROUNDING <= high <= 1):
        raise ValueError("it is no share with its interval")
    return estimate


Share = Annotated[Estimate, AfterValidator(_share)]
Kappa = Annotated[Estimate, AfterValidator(_kappa)]
Part = Annotated[float, Field(ge=0, le=1)]


class PublishedResult(RecordPart):
    """One group, or all readers together, with images of one size.

    Attributes:
        group: its name, or "all readers".
        side: of the images, pixels.
        accuracy, sensitivity, specificity, kappa, detectable: as in `GroupResult`.
        p_corrected: of the test of the accuracy against chance, by Holm.
    """

    group: str = Field(min_length=1, max_length=200)
    side: int = Field(ge=1, le=4096)
    readers: int = Field(ge=FEWEST_READERS)
    images: int = Field(ge=2)
    answers: int = Field(ge=1)
    timed_out: int = Field(ge=0)
    accuracy: Share
    sensitivity: Share
    specificity: Share
    kappa: Kappa | None
    detectable: Part | None
    p_corrected: Part | None


class PublishedStudy(Record):
    """``study.json`` of a package: what leaves the hospital of a `StudyResult`, which is nothing of any one reader.

    Attributes:
        results: of each group, then of all readers where there are several groups, for each size of images. Groups are
            left out where one of them has fewer than FEWEST_READERS readers.
    """

    last_answer: date | None
    timed_out: TimedOut
    readers: int = Field(ge=FEWEST_READERS)
    images: int = Field(ge=2)
    synthetic_images: int = Field(ge=1)
    generators: tuple[ShownGenerator, ...] = Field(min_length=1, max_length=100)
    results: tuple[PublishedResult, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({one.digest for one in self.generators}) < len(self.generators):
            raise ValueError("a generator is there twice")
        if sum(one.images for one in self.generators) > self.synthetic_images or self.synthetic_images > self.images:
            raise ValueError("there are more images than were shown")
        return self

    def images_of(self, digest: str) -> int:
        """How many of the images the generator with these weights drew."""
        return sum(one.images for one in self.generators if one.digest == digest)

    def of_all_readers(self) -> tuple[PublishedResult, ...]:
        """The results of all readers together, one for each size of images."""
        return tuple(one for one in self.results if one.group == self.results[-1].group)
