"""A report in a few lines of text."""

from pathlib import Path

from radcommons.records import AuditReport

MARKS = {"met": "  ", "not met": "! ", "not tested": "- ", "could not detect": "? "}


def as_text(report: AuditReport, page: Path) -> str:
    """Both verdicts, every rule, and the path of the page."""
    judged = report.judgement
    width, found = (max(len(getattr(line, part)) for line in judged.lines) for part in ("rule", "found"))
    lines = [
        f"{report.subject} against {report.store}",
        f"PRIVACY {judged.privacy.upper()}: {judged.statement}",
        f"QUALITY {judged.quality.upper()}: {judged.quality_statement}",
        "",
    ]
    lines += [
        f"{MARKS[line.outcome]}{line.rule:<{width}}  {line.found:<{found}}  {line.limit}" for line in judged.lines
    ]
    return "\n".join([*lines, "", f"open {page} (it shows patients' films: it stays in the hospital)"])
