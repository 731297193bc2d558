"""Records that RadCommons writes and reads as JSON, each with its format version: no torch, no disk layout."""

from radcommons.records.audit import (
    AuditReport,
    AuditResults,
    Control,
    Diversity,
    Fidelity,
    FindingDistance,
    Histogram,
    ImageSet,
    Judgement,
    Outcome,
    PatientsInTraining,
    PolicyLine,
    PrivacyTest,
    PrivacyTestKind,
    QualityScore,
    Space,
    Spectrum,
)
from radcommons.records.classifier import ClassifierRecord
from radcommons.records.estimate import Estimate
from radcommons.records.evaluation import AtThreshold, Calibration, Evaluation, FindingEvaluation
from radcommons.records.experiment import Arm, Comparison, ExperimentResult, Verdict
from radcommons.records.explain import Correlation, Explanation, InterpolationResult, MapResult, RegionScore
from radcommons.records.federation import ClientPrivacy, FederationRecord
from radcommons.records.gate import (
    GateFigures,
    GateLine,
    GateOutcome,
    GateRequest,
    GateStatus,
    GateStep,
    GateVerdict,
    KnownDeposit,
    ReferenceDistance,
)
from radcommons.records.generator import FindingsRecord, GeneratorRecord
from radcommons.records.patients import ClassifierPatients, PatientsRecord
from radcommons.records.record import Record, sha256_file
from radcommons.records.reference import ReferenceRecord, ReferenceSide
from radcommons.records.robustness import (
    AttackedClassifier,
    MaskingCheck,
    RobustComparison,
    RobustCurve,
    RobustDifference,
    Robustness,
    RobustPoint,
)
from radcommons.records.screen import FindingScreen, ScreenResult
from radcommons.records.store import StoreRecord
from radcommons.records.study import GroupResult, Question, ReaderResult, StudyResult, StudyTest

__all__ = [
    "Arm",
    "AtThreshold",
    "AttackedClassifier",
    "AuditReport",
    "AuditResults",
    "Calibration",
    "ClassifierPatients",
    "ClassifierRecord",
    "ClientPrivacy",
    "Comparison",
    "Control",
    "Correlation",
    "Diversity",
    "Estimate",
    "Evaluation",
    "ExperimentResult",
    "Explanation",
    "FederationRecord",
    "Fidelity",
    "FindingDistance",
    "FindingEvaluation",
    "FindingScreen",
    "FindingsRecord",
    "GateFigures",
    "GateLine",
    "GateOutcome",
    "GateRequest",
    "GateStatus",
    "GateStep",
    "GateVerdict",
    "GeneratorRecord",
    "GroupResult",
    "Histogram",
    "ImageSet",
    "InterpolationResult",
    "Judgement",
    "KnownDeposit",
    "MapResult",
    "MaskingCheck",
    "Outcome",
    "PatientsInTraining",
    "PatientsRecord",
    "PolicyLine",
    "PrivacyTest",
    "PrivacyTestKind",
    "QualityScore",
    "Question",
    "ReaderResult",
    "Record",
    "ReferenceDistance",
    "ReferenceRecord",
    "ReferenceSide",
    "RegionScore",
    "RobustComparison",
    "RobustCurve",
    "RobustDifference",
    "RobustPoint",
    "Robustness",
    "ScreenResult",
    "Space",
    "Spectrum",
    "StoreRecord",
    "StudyResult",
    "StudyTest",
    "Verdict",
    "sha256_file",
]
