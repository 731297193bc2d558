"""The gate: examines one deposited package, and measures again what can be measured; it believes no figure.

`examine` runs in a process of its own, see `gate_process`: what it is given was written by others.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from radcommons.errors import RadCommonsError
from radcommons.hub.fingerprint import fingerprint
from radcommons.hub.gate_settings import GateRules
from radcommons.hub.image_checks import (
    copy_line,
    image_lines,
    reference_lines,
    weights_known_line,
)
from radcommons.hub.measures import infinite_part, measure
from radcommons.hub.package_checks import (
    PACKAGE_AGAIN,
    belonging_line,
    card_lines,
    file_lines,
    irregular,
    met,
    not_met,
    not_tested,
    picture_lines,
    read_records,
    said,
    signature_line,
    weights_lines,
)
from radcommons.hub.reference_distances import distances, fitting
from radcommons.models.generator import Generator
from radcommons.packages.contents import AUDIT, CONFIG, FINDINGS, WEIGHTS
from radcommons.policy.judge import judge
from radcommons.records import (
    AuditReport,
    FindingsRecord,
    GateFigures,
    GateLine,
    GateVerdict,
    GeneratorRecord,
    Judgement,
    KnownDeposit,
)
from radcommons.versions import versions

BEFORE_LOADING = ("files", "signature", "records", "weights")  # steps that must be met before weights are loaded


def examine(
    folder: Path,
    *,
    public_keys: Sequence[Path],
    references: Sequence[Path],
    rules: GateRules,
    known: Sequence[KnownDeposit] = (),
    network_off: bool | None = None,
) -> GateVerdict:
    """Every rule that can be looked at, and the verdict.

    A fault does not end the examination where the rest can still be looked at, so that the depositor sees all of them
    at once. But weights are loaded only if names, sizes, signature, records and header are right.

    Args:
        folder: of the package; nobody else may change it meanwhile.
        public_keys: PEM files of the keys that the site has registered.
        references: files of reference statistics that the operator has registered.
        known: deposits that are here already, without those that this one is meant to replace.
        network_off: whether this process is without a network; it goes into the verdict.
    """
    started = time.monotonic()
    lines: list[GateLine] = list(file_lines(folder))
    key = config = figures = judgement = own = None
    if not irregular(folder):
        if not _broken(lines, ("files",)):
            signature, key = signature_line(folder, public_keys)
            lines.append(signature)
        record_lines, records = read_records(folder)
        lines += record_lines
        config, findings, audit = records.get(CONFIG), records.get(FINDINGS), records.get(AUDIT)
        if not _broken(lines, ("files", "records")):
            lines.append(belonging_line(folder))
        if (
            isinstance(config, GeneratorRecord)
            and isinstance(findings, FindingsRecord)
            and (folder / WEIGHTS).is_file()
        ):
            lines += weights_lines(folder, config, findings, rules)
        if not _broken(lines, ("files",)):
            lines += picture_lines(folder)
            lines += card_lines(folder, audit if isinstance(audit, AuditReport) else None, rules)
        if isinstance(audit, AuditReport):
            judgement, judged = audit_lines(audit, rules)
            lines += judged
        if _broken(lines, BEFORE_LOADING) or not isinstance(audit, AuditReport):
            lines.append(not_tested("images", "images", "drawn by the hub", "nothing was loaded: see the faults above"))
        else:
            figures, own, measured = image_part(folder, audit, references, rules, known)
            lines += measured
    broken = [line.rule for line in lines if line.outcome == "not met"]
    open_questions = [line.rule for line in lines if line.outcome == "not tested" and line.step != "audit"]
    statement = f"Refused: {', '.join(broken)}." if broken else "Passed: every rule that could be tested is met."
    if open_questions:
        statement += f" Not tested: {', '.join(open_questions)}."
    return GateVerdict(
        status="refused" if broken else "passed",
        statement=statement,
        lines=tuple(lines),
        name=config.name if isinstance(config, GeneratorRecord) else None,
        weights_sha256=config.weights_sha256 if isinstance(config, GeneratorRecord) else None,
        key_fingerprint=key,
        figures=figures,
        judgement=judgement,
        fingerprint=own,
        network_off=network_off,
        rules=rules.model_dump(mode="json"),
        versions=versions("torch", "numpy", "safetensors"),
        seconds=round(time.monotonic() - started, 1),
    )


def audit_lines(audit: AuditReport, rules: GateRules) -> tuple[Judgement, Iterator[GateLine]]:
    """The site's audit by the hub's own rules; the site's verdict does not count."""
    judgement = judge(audit, rules.policy)
    return judgement, _audit_lines(audit, judgement, rules)


def _audit_lines(audit: AuditReport, judgement: Judgement, rules: GateRules) -> Iterator[GateLine]:
    if rules.require_controls:
        positive = [control for control in audit.controls if control.must_be_caught]
        limit = "the audit was run with planted leaks"
        if positive:
            yield met("audit", "controls were run", limit, f"{len(audit.controls)} controls")
        else:
            yield not_met("audit", "controls were run", limit, "no planted leak", "audit again with --controls")
    for line in judgement.lines:
        rule = f"{line.verdict}: {line.rule}"
        if line.outcome == "not met":
            remedy = "the site's audit does not meet the hub's rules; train again, audit, package"
            yield not_met("audit", rule, line.limit, line.found, remedy)
        elif line.outcome == "met":
            yield met("audit", rule, line.limit, line.found)
        else:
            yield not_tested("audit", rule, line.limit, f"{line.outcome}: {line.found}")


def image_part(
    folder: Path, audit: AuditReport, references: Sequence[Path], rules: GateRules, known: Sequence[KnownDeposit]
) -> tuple[GateFigures | None, str | None, list[GateLine]]:
    """Load the generator, draw from it and measure: the figures, its fingerprint, and every rule about them."""
    try:
        generator = Generator.load(folder, device="cpu")  # in fp32, whatever is faster
    except RadCommonsError as error:
        return None, None, [not_met("weights", "loading", "weights load", said(str(error), folder), PACKAGE_AGAIN)]
    lines = [weights_known_line(generator.digest, known)]
    limit = "every weight and every pixel"
    if bad := infinite_part(generator):
        found = f"not finite: {bad}"
        return (
            None,
            None,
            [*lines, not_met("images", "finite", limit, found, "train again from the last good checkpoint")],
        )
    lines.append(met("images", "finite", limit, "finite"))
    own = fingerprint(generator)
    if rules.duplicate is not None:
        lines.append(copy_line(own, known, rules.duplicate))
    drawn = measure(
        generator,
        tuple(row.finding for row in audit.diversity if row.finding in generator.findings),
        images=rules.images,
        per_finding=rules.images_per_finding,
        pairs=rules.pairs,
        seed=rules.seed,
    )
    statistics, unread = fitting(references, generator.resolution)
    measured, faults = distances(drawn.images, statistics)
    figures = drawn.figures.model_copy(update={"distances": tuple(measured)})
    lines += image_lines(figures, audit, rules)
    lines += reference_lines(measured, figures, [*unread, *faults], rules)
    return figures, own, lines


def _broken(lines: Sequence[GateLine], steps: Sequence[str]) -> bool:
    return any(line.outcome == "not met" and line.step in steps for line in lines)
