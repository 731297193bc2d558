"""The record of classifiers under attack: curves, checks of the attack, and what they support in words."""

from typing import Any

from pydantic import AliasChoices, Field

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart


class MaskingCheck(RecordPart):
    """One check for masked gradients: can the attack be trusted on this network?

    Attributes:
        numbers: mean AUCs, unless the key says otherwise.
    """

    name: str
    passed: bool
    numbers: dict[str, float]
    verdict: str


class RobustPoint(RecordPart):
    """The AUC at one epsilon.

    Attributes:
        epsilon: size of the change, grey levels.
        auc: of each finding, under attack.
        mean_auc: their mean, with its interval over patients.
        noise_auc: of each finding, under random noise of the same size.
        noise_mean_auc: their mean.
    """

    epsilon: float
    auc: dict[str, float]
    mean_auc: Estimate
    noise_auc: dict[str, float]
    noise_mean_auc: float


class RobustCurve(RecordPart):
    """AUC under attack against epsilon, and what it was measured on.

    Attributes:
        attack: all settings of the attack except epsilon.
        films, patients: attacked.
        findings: those evaluated.
        left_out: those with one class only among the films.
        points: in ascending order of epsilon, 0 first.
    """

    attack: dict[str, Any]
    films: int
    patients: int
    findings: tuple[str, ...]
    left_out: tuple[str, ...]
    points: tuple[RobustPoint, ...]


class RobustDifference(RecordPart):
    """Mean AUC of the second network minus that of the first under attack at one epsilon, interval over patients."""

    epsilon: float
    mean_auc: Estimate


class RobustComparison(RecordPart):
    """One or two networks attacked on the same films.

    Attributes:
        epsilon: of the checks and the statement, grey levels.
        curves, checks: of each network, by its name.
        differences: second minus first at each epsilon; none where there is one network.
        statement: what these numbers support, in words.
    """

    epsilon: float
    curves: dict[str, RobustCurve]
    checks: dict[str, tuple[MaskingCheck, ...]]
    differences: tuple[RobustDifference, ...]
    statement: str


class AttackedClassifier(RecordPart):
    """A classifier behind a name: what it was trained on, in words, and the digest of its weights."""

    trained_on: str
    weights_sha256: str


class Robustness(Record):
    """``robustness.json``.

    Attributes:
        classifiers: by the names that `result` uses.
        store: name of the store; films of its `part` were attacked.
        films_in_part: all of the part; `result` says how many were attacked.
        seed: root of the choice of films, of the random starts and of the noise.
        bootstrap_samples: of patients, behind the intervals of 95%; `redraws` in older files.
    """

    classifiers: dict[str, AttackedClassifier]
    store: str
    part: str
    films_in_part: int
    seed: int
    bootstrap_samples: int = Field(validation_alias=AliasChoices("bootstrap_samples", "redraws"))
    result: RobustComparison
    versions: dict[str, str]
