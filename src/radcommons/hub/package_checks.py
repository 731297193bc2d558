"""What the gate looks at before it loads any weights: files, signature, records, weights' header, pictures, card."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from PIL import Image, ImageSequence

from radcommons.errors import PackageRefused, RadCommonsError, SettingRefused
from radcommons.hub.gate_settings import GateRules
from radcommons.hub.safetensors_header import TensorHeader, read_header
from radcommons.models.families import FAMILIES
from radcommons.packages.card import compared, figures, read_head
from radcommons.packages.contents import (
    AUDIT,
    CARD,
    CONFIG,
    EXPLANATION,
    FEDERATION,
    FINDINGS,
    LARGEST,
    PATIENTS,
    PICTURE,
    REMEDY,
    STUDY,
    WEIGHTS,
    faults_of,
    names_in,
    open_package,
)
from radcommons.packages.signatures import fingerprint, verify
from radcommons.records import (
    AuditReport,
    Explanation,
    FederationRecord,
    FindingsRecord,
    GateLine,
    GateStep,
    GeneratorRecord,
    PatientsRecord,
    PublishedStudy,
    Record,
)

PACKAGE_AGAIN = "write the package again with 'radcommons package'"
RECORDS: dict[str, type[Record]] = {
    CONFIG: GeneratorRecord,
    FINDINGS: FindingsRecord,
    AUDIT: AuditReport,
    PATIENTS: PatientsRecord,
    EXPLANATION: Explanation,
    STUDY: PublishedStudy,
    FEDERATION: FederationRecord,
}
MOST_SAID = 500  # characters of what a library says
ROUNDED = 1e-3  # of a figure on the card, which has four digits after the point


def met(step: GateStep, rule: str, limit: str, found: str) -> GateLine:
    """A line about a rule that holds."""
    return GateLine(step=step, rule=rule, limit=limit, found=found, outcome="met")


def not_met(step: GateStep, rule: str, limit: str, found: str, remedy: str) -> GateLine:
    """A line about a rule that does not hold, and what the depositor can do."""
    return GateLine(step=step, rule=rule, limit=limit, found=found, outcome="not met", remedy=remedy)


def not_tested(step: GateStep, rule: str, limit: str, found: str) -> GateLine:
    """A line about a rule that could not be looked at."""
    return GateLine(step=step, rule=rule, limit=limit, found=found, outcome="not tested")


def irregular(folder: Path) -> list[str]:
    """Names of what is neither a file nor a folder, such as links: nothing of such a package is opened."""
    return [name for name in names_in(folder) if (folder / name).is_symlink() or not (folder / name).is_file()]


def file_lines(folder: Path) -> Iterator[GateLine]:
    """Names, kinds and sizes."""
    limit = "the files of a package and no others, none too large"
    if faults := faults_of(folder):
        yield not_met("files", "names and sizes", limit, said("; ".join(faults[:20]), folder), PACKAGE_AGAIN)
    else:
        yield met("files", "names and sizes", limit, f"{len(names_in(folder))} files")


def signature_line(folder: Path, public_keys: Sequence[Path]) -> tuple[GateLine, str | None]:
    """Whether a registered key signed just these files, and the fingerprint of that key."""
    rule, limit = "signature", "every file is signed by a key that the site has registered"
    reasons = []
    for key in public_keys:
        try:
            verify(folder, key)
        except RadCommonsError as error:
            reasons.append(said(str(error).replace(str(key), "the registered key"), folder))
            continue
        found = fingerprint(key)
        return met("signature", rule, limit, f"signed by the key {found[:16]}"), found
    remedy = "sign with a registered key, or register this one, and leave the files as they were signed"
    wrong_key = [reason for reason in reasons if "another key" in reason]
    others = [reason for reason in reasons if "another key" not in reason]
    found = (others or wrong_key or ["the site has registered no key"])[0]
    return not_met("signature", rule, limit, found, remedy), None


def read_records(folder: Path) -> tuple[list[GateLine], dict[str, Record]]:
    """Every JSON file of the package, those that can be read by name."""
    lines, found = [], {}
    for name, kind in RECORDS.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size > LARGEST[name]:
            continue  # the files' line says so
        limit = "JSON of the known form, every number finite"
        try:
            json.loads(path.read_bytes(), parse_constant=_not_finite)
            found[name] = kind.read(
                path, refused=PackageRefused, remedy=PACKAGE_AGAIN, other_version="update radcommons"
            )
        except (RadCommonsError, ValueError, RecursionError) as error:
            lines.append(not_met("records", name, limit, said(str(error), folder), PACKAGE_AGAIN))
        else:
            lines.append(met("records", name, limit, "as it should be"))
    return lines, found


def belonging_line(folder: Path) -> GateLine:
    """Whether the records are about these weights; for a folder whose files and records are right."""
    rule, limit = "one generator", "config, audit, explanation and reader study name these weights"
    try:
        package = open_package(folder)
    except RadCommonsError as error:
        return not_met("records", rule, limit, said(str(error), folder), PACKAGE_AGAIN)
    return met("records", rule, limit, f"all are about {package.config.weights_sha256[:16]}")


def weights_lines(
    folder: Path, config: GeneratorRecord, findings: FindingsRecord, rules: GateRules
) -> Iterator[GateLine]:
    """The header of the weights, and whether it is that of the family's network; nothing is loaded."""
    limit = "a whole safetensors file of F32, F16 or BF16"
    try:
        tensors = read_header(folder / WEIGHTS, most_tensors=rules.most_tensors)
    except (OSError, ValueError) as error:
        yield not_met("weights", "header", limit, said(f"{WEIGHTS} {error}", folder), PACKAGE_AGAIN)
        return
    yield met("weights", "header", limit, f"{len(tensors)} tensors")
    limit = f"a network of {' or '.join(FAMILIES)}, its tensors by name and shape"
    try:
        _require_network(config, findings, tensors, rules)
    except (RadCommonsError, RuntimeError, ValueError) as error:
        yield not_met("weights", "network", limit, said(str(error), folder), "deposit a generator of radcommons")
    else:
        yield met("weights", "network", limit, f"{config.architecture}, {config.resolution} pixels")


def _require_network(
    config: GeneratorRecord, findings: FindingsRecord, tensors: Mapping[str, TensorHeader], rules: GateRules
) -> None:
    """Raise if the tensors are not those of the configured network, which is made without memory for its weights."""
    family = FAMILIES.get(config.architecture)
    if family is None:
        raise SettingRefused(f"architecture '{config.architecture[:40]}' is not known")
    names = findings.findings
    if len(names) > rules.most_findings or len(set(names)) != len(names):
        raise SettingRefused(f"{len(names)} findings; at most {rules.most_findings} are allowed, each once")
    if any(label not in (0, 1) for labels, _ in findings.combinations for label in labels):
        raise SettingRefused(f"{FINDINGS} has labels other than 0 and 1")
    shape = family.config.parse(config.network, source=CONFIG)
    if shape.latent_size > rules.latent_size:
        raise SettingRefused(f"latent vectors of {shape.latent_size:,} entries; {rules.latent_size:,} are allowed")
    widest = max(getattr(shape, "channels", {}).values(), default=0)
    if widest > rules.widest:
        raise SettingRefused(f"layers of {widest:,} feature maps; {rules.widest:,} are allowed")
    if shape.findings != len(names) or shape.side != config.resolution:
        raise SettingRefused(f"{CONFIG} and {FINDINGS} do not belong together")
    with torch.device("meta"):
        network = family.generator(shape)
        network.load_state_dict({name: torch.empty(found.shape) for name, found in tensors.items()}, assign=True)


def picture_lines(folder: Path) -> Iterator[GateLine]:
    """Every picture, decoded; its size is known to be bounded."""
    limit, faults = "every picture can be decoded", []
    names = [name for name in names_in(folder) if PICTURE.fullmatch(name)]
    for name in names:
        try:
            with Image.open(folder / name, formats=("PNG", "GIF")) as picture:
                for frame in ImageSequence.Iterator(picture):
                    frame.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            faults.append(f"{name}: {error}")
    if faults:
        yield not_met("pictures", "pictures", limit, said("; ".join(faults[:5]), folder), PACKAGE_AGAIN)
    else:
        yield met("pictures", "pictures", limit, f"{len(names)} pictures")


def card_lines(folder: Path, audit: AuditReport | None, rules: GateRules) -> Iterator[GateLine]:
    """The head of the card: a license, and the figures of the audit."""
    limit = "YAML between two lines of ---"
    try:
        head = read_head(folder / CARD)
    except (OSError, ValueError) as error:
        yield not_met("card", "head", limit, said(f"{CARD}: {error}", folder), PACKAGE_AGAIN)
        return
    yield met("card", "head", limit, "as it should be")
    license = head.get("license")
    named = isinstance(license, str) and bool(license.strip())
    limit = "one is named" if rules.licenses is None else f"one of {', '.join(rules.licenses)}"
    if named and (rules.licenses is None or license in rules.licenses):
        yield met("card", "license", limit, str(license)[:100])
    else:
        yield not_met("card", "license", limit, str(license)[:100] if named else "none", "package with --license NAME")
    if audit is not None:
        yield _figures_line(head, audit)


def _figures_line(head: Mapping[str, Any], audit: AuditReport) -> GateLine:
    """Whether the figures on the card are those of the audit."""
    rule, limit = "figures", f"those of {AUDIT}"
    try:
        score, _ = compared(audit)
    except RadCommonsError as error:
        return not_met("card", rule, limit, str(error), "audit again")
    expected = figures(score)
    try:
        shown = {
            metric["type"]: float(metric["value"])
            for model in head["model-index"]
            for result in model["results"]
            for metric in result["metrics"]
        }
    except (KeyError, TypeError, ValueError):
        return not_met("card", rule, limit, "the head has no model-index with figures", PACKAGE_AGAIN)
    wrong = [
        f"{name} is {shown.get(name)} on the card, {value} in the audit"
        for name, value in expected.items()
        if value is not None and not abs(shown.get(name, float("nan")) - value) <= ROUNDED * max(1.0, abs(value))
    ]
    wrong += [f"{str(name)[:40]} is not a figure of the audit" for name in shown if expected.get(name) is None]
    if wrong:
        return not_met("card", rule, limit, "; ".join(wrong[:10]), PACKAGE_AGAIN)
    return met("card", rule, limit, ", ".join(f"{name} {value:g}" for name, value in shown.items()))


def said(text: str, folder: Path) -> str:
    """What a check or a library says, on one line, without the place where the deposit lies."""
    line = " ".join(
        text.replace(f"; {REMEDY}", "").replace(f"{folder}/", "").replace(str(folder), "the package").split()
    )
    return line if len(line) <= MOST_SAID else line[:MOST_SAID] + " ..."


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")
