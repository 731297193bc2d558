"""The record of a classifier's evaluation on real films."""

from typing import Any

from pydantic import AliasChoices, Field

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart


class AtThreshold(RecordPart):
    """Measures at one threshold; None where a measure is not defined (no positive or no negative call).

    Attributes:
        threshold: a probability at or above it is a positive call.
    """

    threshold: float
    accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    ppv: Estimate | None
    npv: Estimate | None
    f1: Estimate | None


class Calibration(RecordPart):
    """Reliability of the probabilities, in bins of equal counts.

    Attributes:
        predicted, observed: mean probability and share of positives of each bin that is not empty.
        counts: films in each bin.
        expected_error: ECE, mean of |observed - predicted| over the films.
        brier: mean squared difference of probability and label.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]
    expected_error: float
    brier: float


class FindingEvaluation(RecordPart):
    """One finding.

    Attributes:
        positives, negatives: films; those whose label is unknown are left out.
        patients_of_rarer: patients with films of the rarer class; with few of them, intervals are too narrow.
        roc: points (false positive rate, true positive rate).
        precision_recall: points (recall, precision).
        rules: the measures, by the rule that chose the threshold on validation.
    """

    finding: str
    positives: int
    negatives: int
    patients_of_rarer: int
    auc: Estimate
    average_precision: Estimate
    rules: dict[str, AtThreshold]
    calibration: Calibration
    roc: tuple[tuple[float, float], ...]
    precision_recall: tuple[tuple[float, float], ...]


class Evaluation(Record):
    """``evaluation.json``.

    Attributes:
        classifier: what it was trained on, in words.
        classifier_sha256: digest of its weights.
        store: name of the store; the classifier was evaluated on its `part`.
        simulated: whether all films of the store are simulated; None in files of earlier versions.
        images, patients: of the part.
        overlap: how many of these patients were in the classifier's training or validation, in words.
        unit: what a bootstrap sample draws, "patients" or "images".
        bootstrap_samples: behind the intervals; `redraws` in older files.
        findings: one entry each.
        one_class: findings that could not be evaluated, with their numbers of films with and without.
        mean: means over the findings, "auc" and "average precision".
        mean_at: means over the findings by rule, then by measure; None where a finding's is not defined.
    """

    classifier: str
    classifier_sha256: str
    store: str
    part: str
    simulated: bool | None = None
    images: int
    patients: int
    overlap: str = ""
    unit: str
    bootstrap_samples: int = Field(validation_alias=AliasChoices("bootstrap_samples", "redraws"))
    seed: int
    findings: tuple[FindingEvaluation, ...]
    one_class: dict[str, tuple[int, int]] = Field(default_factory=dict)
    mean: dict[str, Estimate]
    mean_at: dict[str, dict[str, Estimate | None]]
    versions: dict[str, Any]
