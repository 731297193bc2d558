"""``radcommons audit``: is a generator good, and does it leak?"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from radcommons.cli.output import AsJson, Set, bar, show
from radcommons.errors import GateRefused

if TYPE_CHECKING:
    from radcommons.records import AuditReport

MARKS = {"met": "  ", "not met": "! ", "not tested": "- ", "inconclusive": "? "}

EPILOG = """
radcommons audit runs/site-a stores/site-a --out audits/site-a --controls

radcommons audit runs/site-a stores/site-a --out audits/site-a --classifier classifiers/site-a

radcommons audit downloaded-set stores/site-a --out audits/downloaded --preset quick --policy our-policy.toml

radcommons audit runs/site-a stores/site-a --out audits/site-a --controls --study studies/first-result/study.json
"""


def audit(
    subject: Path = typer.Argument(
        metavar="GENERATOR|SET",
        help="A run, the folder of a package, hub://HOST/ORG/NAME@REVISION, hf://ORG/NAME@REVISION, or a folder of "
        "synthetic images with labels.csv.",
    ),
    store: Path = typer.Argument(help="The store whose films must not leak; its test part is held out."),
    out: Path = typer.Option(..., "--out", help="Folder of the audit; the same command continues a stopped one."),
    controls: bool = typer.Option(
        False,
        "--controls",
        help="Also test planted leaks, which must be found, and a clean case, which must pass.",
    ),
    classifier: Path | None = typer.Option(
        None,
        "--classifier",
        help="A run of 'classify train' on real films, to check the labels of the images; default: train a small one.",
    ),
    study: Path | None = typer.Option(
        None, "--study", help="study.json of 'radcommons study analyse': the page shows it, also of a finished audit."
    ),
    policy: Path | None = typer.Option(None, "--policy", help="A TOML file of rules instead of the shipped ones."),
    preset: str | None = typer.Option(None, "--preset", help="Shipped settings: standard (default), quick, paper."),
    config: Path | None = typer.Option(None, "--config", help="A TOML file of settings instead of a preset."),
    set_: list[str] = Set,
    as_json: bool = AsJson,
) -> None:
    """Compare synthetic images with training films and held-out films; exit 3 if the policy is not met."""
    from radcommons.audit.flow import PAGE, run
    from radcommons.audit.release import RECORD
    from radcommons.audit.settings import AuditSettings
    from radcommons.policy.settings import Policy
    from radcommons.settings import chosen_values, preset_path

    values, source = chosen_values("audit", None, "standard", preset=preset, config=config, overrides=set_)
    settings = AuditSettings.parse(values, source=source)
    rules = Policy.load(policy or preset_path("audit-policy", "default"))
    report = run(
        subject,
        store,
        out,
        settings=settings,
        rules=rules,
        controls=controls,
        classifier=classifier,
        study=study,
        track=bar,
    )
    page, record = out / PAGE, out / RECORD
    pages = {"report": str(page), "release": str(record)}
    show({**report.model_dump(mode="json"), **pages}, as_text(report, page, record), as_json)
    if broken := report.judgement.broken:
        raise GateRefused(f"{subject}: the audit's policy is not met: {', '.join(broken)}; see {page}")


def as_text(report: "AuditReport", page: Path, record: Path) -> str:
    """Both verdicts, every rule, and the paths of the page and of the release record."""
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
    films = "simulated films" if report.simulated else "patients' films: it stays in the hospital"
    pages = [f"open {page} (it shows {films})", f"print {record} (the release record, without a film, to be signed)"]
    return "\n".join([*lines, "", *pages])
