"""Do the audits of a pool's generators say what the pool asks for?"""

from collections.abc import Iterator, Sequence

from radcommons.errors import GateRefused, GeneratorRefused
from radcommons.models.generator import Generator
from radcommons.policy.judge import judge
from radcommons.policy.quality import quality_lines
from radcommons.policy.settings import Policy
from radcommons.pool.settings import PoolGenerator, PoolSettings
from radcommons.records import AuditReport
from radcommons.settings import preset_path

AUDIT = "audit.json"


def require_audits(settings: PoolSettings, generators: Sequence[Generator]) -> None:
    """Raise GateRefused with all that the audits of generators deny, or do not say, of what the pool asks for."""
    if not (settings.policy_rules or settings.require_privacy_passed):
        return
    pairs = zip(settings.generator, generators, strict=True)
    faults = [fault for asked, generator in pairs for fault in _faults(asked, generator, settings)]
    if faults:
        raise GateRefused(f"the pool asks for more than its generators' audits say: {'; '.join(faults)}")


def _faults(asked: PoolGenerator, generator: Generator, settings: PoolSettings) -> Iterator[str]:
    """What the audit of one generator denies or, unless it may be unaudited, does not say; with the next step."""
    assert generator.folder is not None
    path = (asked.audit or generator.folder) / AUDIT
    if not path.is_file():
        if not asked.unaudited:
            yield (
                f"{asked.reference} has no audit, {path} is missing (name a package, or its audit's folder as 'audit', "
                "or set 'unaudited = true' in its table)"
            )
        return
    report = AuditReport.read(path, refused=GeneratorRefused, remedy="audit or fetch the generator again")
    if report.digest != generator.digest:
        yield f"{path} is about other weights than {asked.reference} (audit it again)"
        return
    only = Policy(better_than_controls=False, ms_ssim_excess=None, **settings.quality.model_dump())
    for line in quality_lines(report, only):
        found = f"{asked.reference}, {line.rule}: {line.outcome}, found {line.found}, asked for {line.limit}"
        if line.outcome == "not met":
            yield f"{found} (lower the floor, or leave it out)"
        elif line.outcome != "met" and not asked.unaudited:
            yield f"{found} (leave it out, or set 'unaudited = true' in its table)"
    if settings.require_privacy_passed:
        judged = judge(report, Policy.load(preset_path("audit-policy", "default")))
        if judged.privacy != "passed":
            broken = [line.rule for line in judged.lines if line.verdict == "privacy" and line.outcome == "not met"]
            yield f"{asked.reference}, privacy failed: {', '.join(broken)} (leave it out)"
