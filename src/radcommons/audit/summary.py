"""A report in a few lines of text."""

from pathlib import Path

from radcommons.records import AuditReport

MARKS = {"met": "  ", "not met": "! ", "not tested": "- "}


def as_text(report: AuditReport, page: Path) -> str:
    """Verdict, every rule, and where to look."""
    width = max(len(line.rule) for line in report.policy)
    found = max(len(line.found) for line in report.policy)
    lines = [f"{report.subject} against {report.store}: {report.verdict.upper()}", report.statement, ""]
    lines += [
        f"{MARKS[line.outcome]}{line.rule:<{width}}  {line.found:<{found}}  {line.limit}" for line in report.policy
    ]
    return "\n".join([*lines, "", f"open {page} (it shows patients' films: it stays in the hospital)"])
