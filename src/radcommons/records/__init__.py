"""Records that RadCommons writes and reads as JSON, each with its format version: no torch, no disk layout."""

from radcommons.records.audit import (
    AuditReport,
    Control,
    Diversity,
    Estimate,
    Fidelity,
    Histogram,
    PolicyLine,
    PrivacyTest,
    QualityScore,
)
from radcommons.records.generator import FindingsRecord, GeneratorRecord
from radcommons.records.patients import PatientsRecord
from radcommons.records.record import Record, sha256_file
from radcommons.records.store import StoreRecord

__all__ = [
    "AuditReport",
    "Control",
    "Diversity",
    "Estimate",
    "Fidelity",
    "FindingsRecord",
    "GeneratorRecord",
    "Histogram",
    "PatientsRecord",
    "PolicyLine",
    "PrivacyTest",
    "QualityScore",
    "Record",
    "StoreRecord",
    "sha256_file",
]
