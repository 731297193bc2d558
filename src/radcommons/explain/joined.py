"""The audit of the same generator, joined to its explanation: its record holds no picture, identifier or row."""

from pathlib import Path

from radcommons.errors import PathMissing, SettingRefused
from radcommons.models.generator import Generator
from radcommons.records import AuditReport

RECORD = "audit.json"


def read_audit(folder: Path, generator: Generator) -> AuditReport:
    """The report of ``radcommons audit --out FOLDER``.

    Raises:
        PathMissing: there is none, or the audit is not finished.
        SettingRefused: it is damaged, or audits other weights than the generator's.
    """
    path = folder / RECORD
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name the folder of a finished 'radcommons audit'")
    report = AuditReport.read(path, refused=SettingRefused, remedy="audit the generator again")
    if report.digest != generator.digest:
        raise SettingRefused(
            f"{path} audits {report.subject} in another state of training or something else; audit {generator.name}"
        )
    return report
