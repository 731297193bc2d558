"""Link a generator's audit to its explanation; the audit's record has no picture, identifier or row of a store."""

from pathlib import Path

from radcommons.errors import PathMissing, SettingRefused
from radcommons.models.generator import Generator
from radcommons.records import AuditReport

RECORD = "audit.json"


def read_audit(folder: Path, generator: Generator) -> AuditReport:
    """The report of ``radcommons audit --out FOLDER``.

    Raises:
        PathMissing: the folder has no finished audit.
        SettingRefused: the report is damaged, or it is about other weights than the generator's.
    """
    path = folder / RECORD
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name the folder of a finished 'radcommons audit'")
    report = AuditReport.read(path, refused=SettingRefused, remedy="audit the generator again")
    if report.digest != generator.digest:
        raise SettingRefused(
            f"{path} audits other weights ({report.subject}), not those of {generator.name}; audit {generator.name}"
        )
    return report
