"""The record of an experiment."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record

Verdict = Literal["better", "worse", "no relevant difference", "undecided"]


class Arm(BaseModel):
    """One way to train.

    Attributes:
        images: training images by kind, e.g. "real with", "synthetic without"; of the first repeat.
        auc: by finding, mean over the repeats.
        aucs: by finding, of each repeat.
        diversity: MS-SSIM of pairs of different positives in training, mean; high = alike. None where not measured.
        diversity_sd: its spread over pairs.
        epochs: validations until training stopped, mean over the repeats.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    description: str
    images: dict[str, int]
    auc: dict[str, Estimate]
    aucs: dict[str, tuple[float, ...]]
    diversity: float | None
    diversity_sd: float | None
    epochs: float


class Comparison(BaseModel):
    """Two arms on the same test patients.

    Attributes:
        difference: AUC of `arm` minus that of `against`, over patients and repeats.
        p_value: two-sided, of no difference, over patients and repeats.
        p_corrected: after Holm, over all comparisons of the experiment.
        p_permutation: exchanging the ranks of the arms' scores, averaged over the repeats, by patient: a cross-check
            that knows nothing of luck in training.
        p_delong: DeLong's test of the same averaged scores, by patient.
        detectable: the difference that would have been found with a power of 80%, whatever the other comparisons come
            to; 1 = none would for sure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    arm: str
    against: str
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
        experiment: "enrich" or "merge".
        sentence: what the data support, in words that follow from the intervals.
        notes: what a reader must know: patients that could not be compared, one repeat only.
        test_images, test_patients, test_positives: what all arms were judged on; positives by finding.
        relevant: smallest difference of AUC that counts.
        settings: of the experiment.
    """

    experiment: str
    sentence: str
    notes: tuple[str, ...]
    test_images: int
    test_patients: int
    test_positives: dict[str, int]
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    relevant: float
    settings: dict[str, Any]
    versions: dict[str, str]
