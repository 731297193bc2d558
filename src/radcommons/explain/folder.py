"""The folder of an explanation: ``explain.json``, the pictures and numbers of every command, and the page."""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import ValidationError

from radcommons.errors import PathInUse, PathMissing, SettingRefused
from radcommons.files import read_arrays, write_whole
from radcommons.folders import claim
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.models.generator_files import load_patients
from radcommons.records import AuditReport, Evaluation, Explanation, FederationRecord, InterpolationResult, MapResult
from radcommons.records.store import PHANTOM

RECORD = "explain.json"
PAGE = "explain.html"
AUDIT = "audit.json"  # no picture, identifier or row of a store is in it
UNFINISHED = ".map"  # sums of an interrupted map
EVALUATION = "evaluation.json"  # of a classifier
MORPHS, MAPS, CORRELATION = "morph", "map", "correlation"  # subfolders


def read_audit(folder: Path, generator: Generator) -> AuditReport:
    """The report of ``radcommons audit --out FOLDER``.

    Raises:
        PathMissing: the folder has no finished audit.
        SettingRefused: the report is damaged, or it is about other weights than the generator's.
    """
    path = folder / AUDIT
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name the folder of a finished 'radcommons audit'")
    report = AuditReport.read(path, refused=SettingRefused, remedy="audit the generator again")
    if report.digest != generator.digest:
        raise SettingRefused(
            f"{path} audits other weights ({report.subject}), not those of {generator.name}; audit {generator.name}"
        )
    return report


def read_evaluation(folder: Path, classifier: Classifier) -> Evaluation:
    """The record of ``radcommons classify eval --out FOLDER``.

    Raises:
        PathMissing: the folder has no finished evaluation.
        SettingRefused: the record is damaged, or it is about another classifier.
    """
    path = folder / EVALUATION
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name the folder of a finished 'radcommons classify eval'")
    found = Evaluation.read(path, refused=SettingRefused, remedy="evaluate the classifier again")
    if found.classifier_sha256 != classifier.digest:
        raise SettingRefused(
            f"{path} evaluates another classifier ({found.classifier}), not that of --classifier; evaluate that one"
        )
    if found.part == "train":
        raise SettingRefused(f"{path} is of films that the classifier has learned from; evaluate it on its test part")
    return found


def of_simulated_films(generator: Generator) -> bool:
    """Whether a generator was trained on simulated films; False if it does not say."""
    patients = load_patients(generator.folder) if generator.folder is not None else None
    return patients is not None and patients.source == PHANTOM


class ExplainFolder:
    """A folder that belongs to one generator; every command adds to it or replaces its earlier results."""

    def __init__(self, path: Path, explanation: Explanation, federation: FederationRecord | None) -> None:
        self.path = path
        self.explanation = explanation
        self.federation = federation

    @classmethod
    def claim(cls, path: Path, generator: Generator, report: AuditReport | None) -> Self:
        """Make the folder, or continue in this generator's folder; raises PathInUse.

        Args:
            report: the generator's audit; it is written beside the explanation and replaces an earlier one.
        """
        record = path / RECORD
        begun = None
        if record.is_file():
            begun = Explanation.read(record, refused=PathInUse, remedy="choose another --out")
        claim(
            path,
            {"generator": generator.name, "weights": generator.digest, "precision": generator.precision},
            file=None,
            begun={"generator": begun.generator, "weights": begun.generator_sha256, "precision": begun.precision}
            if begun
            else None,
        )
        new = Explanation(
            generator=generator.name,
            generator_sha256=generator.digest,
            resolution=generator.resolution,
            images_seen=generator.record.images_seen,
            findings=generator.findings,
            simulated=of_simulated_films(generator),
            precision=generator.precision,
        )
        folder = cls(path, begun or new, generator.federation)
        folder.put()
        for subfolder in (MORPHS, MAPS, CORRELATION):
            (path / subfolder).mkdir(exist_ok=True)
        if report is not None:
            write_whole(path / AUDIT, report.to_json())
        return folder

    def add(self, kind: Literal["morphs", "maps"], result: InterpolationResult | MapResult) -> None:
        """Add a label interpolation or a map; it replaces an earlier one of the same findings."""
        kept = [one for one in getattr(self.explanation, kind) if one.findings != result.findings]
        self.put(**{kind: (*kept, result)})

    def put(self, **results: Any) -> None:
        """Set fields of the record, and write it."""
        self.explanation = self.explanation.model_copy(update=results)
        write_whole(self.path / RECORD, self.explanation.to_json())

    def audit(self) -> AuditReport | None:
        """The record of the linked audit; None if there is none, or it cannot be read."""
        try:
            return AuditReport.model_validate_json((self.path / AUDIT).read_bytes())
        except (OSError, ValidationError):
            return None

    def frames(self, result: InterpolationResult) -> np.ndarray | None:
        """Images of an interpolation, uint8 (latents, frames, R, R); None if the file is missing or damaged."""
        arrays = read_arrays(self.path / result.frames) if result.frames else None
        return (arrays or {}).get("images")

    def numbers(self, result: MapResult) -> dict[str, np.ndarray]:
        """Arrays of a map by name; none if the file is missing or damaged."""
        return (read_arrays(self.path / result.numbers) if result.numbers else None) or {}
