"""What is compared: audits, with the generators that they are about where these are at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radcommons.errors import GeneratorRefused, PathMissing, SettingRefused
from radcommons.models.generator import Generator
from radcommons.packages.references import local_folder
from radcommons.progress import Track, silent
from radcommons.records import AuditReport
from radcommons.settings import require_once

AUDIT, WEIGHTS = "audit.json", "generator.safetensors"
LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class Compared:
    """One audit, by a name for column heads; `generator` draws the pictures, None if it is not at hand."""

    name: str
    report: AuditReport
    generator: Generator | None


def open_all(audits: Sequence[Path], generators: Sequence[Path] = (), track: Track = silent) -> list[Compared]:
    """Open audits and generators, which are put together by the digest of their weights.

    Args:
        audits: folders of audits or packages, or references to packages; a package brings its generator along.
        generators: runs and packages besides.
    Raises:
        SettingRefused, PathMissing, GeneratorRefused, HubRefused, PackageRefused: the message has the next step.
    """
    require_once("AUDIT", audits)
    if not 2 <= len(audits) <= len(LETTERS):
        raise SettingRefused(f"{len(audits)} audits are named; name 2 to {len(LETTERS)}")
    folders = [local_folder(audit, track) for audit in audits]
    reports = [_report(folder) for folder in folders]
    packages = [folder for folder in folders if (folder / WEIGHTS).is_file()]
    drawn = {}
    for reference in (*packages, *generators):
        generator = Generator.load(reference, track=track)
        if generator.digest not in {report.digest for report in reports}:
            raise SettingRefused(f"none of the audits is about the weights of {reference}; name its audit too")
        drawn[generator.digest] = generator
    names = _names([report.subject for report in reports], audits)
    return [Compared(name, report, drawn.get(report.digest)) for name, report in zip(names, reports, strict=True)]


def _names(subjects: Sequence[str], audits: Sequence[Path]) -> list[str]:
    """A letter and what was audited; of those with one name also what the user named, without its folders."""
    return [
        f"{letter}: {subject}" + (f" ({audit.name})" if subjects.count(subject) > 1 else "")
        for letter, subject, audit in zip(LETTERS, subjects, audits, strict=False)
    ]


def _report(folder: Path) -> AuditReport:
    if not folder.is_dir():
        raise PathMissing(f"{folder} is not a folder; name the folder of an audit or of a package")
    if not (folder / AUDIT).is_file():
        raise PathMissing(f"{folder} has no {AUDIT}; name the folder of its audit, and a run itself with --generator")
    return AuditReport.read(folder / AUDIT, refused=GeneratorRefused, remedy="audit or fetch the generator again")
