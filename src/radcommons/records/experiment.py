"""The record of an experiment."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart

# Arms of older results, and their names now.
RENAMED_ARMS: Final = {"local": "real only", "kept": "fewer real", "oracle": "all real (reference)"}
ArmName = Annotated[str, BeforeValidator(lambda name: RENAMED_ARMS.get(name, name))]
Verdict = Literal["better", "worse", "no relevant difference", "undecided"]


class Arm(RecordPart):
    """One way to train a classifier.

    Attributes:
        images: training images by kind, e.g. "real with", "synthetic without"; of the first repeat.
        auc: by finding, mean over the repeats.
        aucs: by finding, of each repeat.
        diversity: mean MS-SSIM of pairs of different positives in training; high = alike. None where not measured.
        diversity_sd: its standard deviation over pairs.
        epochs: validations until training stopped, mean over the repeats; of pre-training and fine-tuning together.
    """

    name: ArmName
    description: str
    images: dict[str, int]
    auc: dict[str, Estimate]
    aucs: dict[str, tuple[float, ...]]
    diversity: float | None
    diversity_sd: float | None
    epochs: float


class Comparison(RecordPart):
    """Two arms on the same test patients.

    Attributes:
        difference: AUC of `arm` minus that of `against`, over patients and repeats.
        p_value: two-sided, of no difference, over patients and repeats.
        p_corrected: after Holm, over all comparisons of the experiment.
        p_permutation: permuting the ranks of the arms' scores, averaged over the repeats, by patient: a cross-check
            that does not include the variation between trainings.
        p_delong: DeLong's test of the same averaged scores, by patient.
        detectable: the difference that would have been found with a power of 80%, whatever the other comparisons
            give; 1 = none is sure to be found.
    """

    arm: ArmName
    against: ArmName
    finding: str
    difference: Estimate
    p_value: float
    p_corrected: float
    p_permutation: float
    p_delong: float | None
    detectable: float
    verdict: Verdict


class ExperimentResult(Record):
    """``result.json``.

    Attributes:
        simulated: whether all films of the store are simulated; None in results of earlier versions.
        experiment: "enrich", "merge" or "transfer".
        sentence: what the data support; it follows from the intervals by fixed rules.
        notes: what a reader must know: patients that could not be compared, one repeat only.
        test_images, test_patients, test_positives: of the test films of all arms; positives by finding.
        few_patients: findings for which no difference is claimed, and their number of test patients of the rarer class.
        relevant: smallest difference of AUC that counts.
        settings: of the experiment.
    """

    experiment: str
    simulated: bool | None = None
    sentence: str
    notes: tuple[str, ...]
    test_images: int
    test_patients: int
    test_positives: dict[str, int]
    few_patients: dict[str, int] = Field(default_factory=dict)
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    relevant: float
    settings: dict[str, Any]
    versions: dict[str, str]

    @property
    def main(self) -> tuple[Comparison, ...]:
        """The comparisons that answer the experiment's question, one for each finding: those of the first two arms."""
        first = self.comparisons[0]
        return tuple(c for c in self.comparisons if (c.arm, c.against) == (first.arm, first.against))
