"""The card of a package, README.md: what the generator is, for whom, and what its audit found, on one page.

The head is that of a Hugging Face model card, so that their tools and hubs understand it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radcommons.errors import ExtraMissing, SettingRefused
from radcommons.pages import markdown_table, render_text, sentences
from radcommons.reader_study import section
from radcommons.records import (
    LEAK_WORDS,
    AuditReport,
    Estimate,
    Explanation,
    FindingsRecord,
    GeneratorRecord,
    PrivacyTest,
    PrivacyTestKind,
    PublishedStudy,
    QualityScore,
)

try:
    import yaml
    from huggingface_hub import EvalResult, ModelCardData
except ModuleNotFoundError:
    raise ExtraMissing("packages need", "hub") from None

INTENDED_USE = (
    "Research and teaching: labelled synthetic chest radiographs to train or enlarge classifiers, above all for rare "
    "findings, together with the generators of other sites."
)
NO_LIST = (
    "The list of the training patients (salted hashes of their pseudonyms) is not in this package: nobody without the "
    "site's own pseudonym key could use it."
)
WITH_LIST = (
    "`patients.json` holds salted hashes of the pseudonyms of the training patients. Who has the site's own pseudonym "
    "key can ask whether a patient was in training; to everybody else the hashes are random digits."
)
LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)
OTHER = "other"  # a license of one's own
HOLDERS = {"samples": "synthetic images", "weights": "the generator"}  # what an outsider has, by `access`
SHARES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True, slots=True)
class CardWords:
    """What the records do not say.

    Attributes:
        name: of the package, for people.
        license: identifier as Hugging Face writes it, e.g. "cc-by-nc-4.0" or "other".
        contact: whom to write to.
        intended_use: one paragraph.
    """

    name: str
    license: str
    contact: str
    intended_use: str = INTENDED_USE

    def __post_init__(self) -> None:
        if not LICENSE_NAME.fullmatch(self.license):
            raise SettingRefused(
                f"license is {self.license!r}; write it as Hugging Face does, e.g. cc-by-nc-4.0, or '{OTHER}' for one "
                "of your own"
            )
        for field in ("name", "contact", "intended_use"):
            if not one_line(getattr(self, field)):
                raise SettingRefused(f"{field.replace('_', ' ')} is empty; the card needs it")


def card(
    words: CardWords,
    config: GeneratorRecord,
    findings: FindingsRecord,
    audit: AuditReport,
    *,
    explanation: Explanation | None = None,
    study: PublishedStudy | None = None,
    patients: bool,
    own_rules: bool = False,
) -> str:
    """The text of README.md.

    Args:
        audit: judged by the rules that hold for the package.
        explanation: what goes along of one.
        study: in which readers saw its images.
        patients: whether the list of patients is in the package.
        own_rules: whether these rules are not the ones that RadCommons ships.
    Raises:
        SettingRefused: the audit lacks a number that the card must give.
    """
    judged = audit.judgement
    synthetic, real = compared(audit)
    counted = sum(count for _, count in findings.combinations)
    shares = [
        sum(count for labels, count in findings.combinations if labels[column]) / max(1, counted)
        for column in range(len(findings.findings))
    ]
    body = render_text(
        "card.md.j2",
        name=plain(words.name),
        site=plain(config.name),
        store=plain(audit.store),
        family=plain(config.architecture),
        side=config.resolution,
        findings=findings.findings,
        intended_use=plain(words.intended_use),
        license=words.license,
        films=_count(audit, "films in training"),
        patients=_count(audit, "patients in training"),
        federation=audit.federation,
        tested=audit.federation.tested(audit.counts["films in training"]) if audit.federation else "",
        images_seen=f"{config.images_seen:,}",
        digest=plain(config.weights_sha256),
        prevalence=[(plain(f), f"{s:.1%}") for f, s in zip(findings.findings, shares, strict=True)],
        withheld=f"{findings.withheld_images:,}" if findings.withheld_images else "",
        smallest_cell=findings.smallest_cell,
        held_out_films=_count(audit, "films held out"),
        held_out_patients=_count(audit, "patients held out"),
        privacy=audit.privacy_words,
        privacy_sentences=[plain(sentence) for sentence in sentences(judged.statement)],
        quality=judged.quality,
        quality_statement=plain(judged.quality_statement),
        broken=plain(", ".join(judged.broken)),
        own_rules=own_rules,
        maps=[(plain(" + ".join(m.findings)), plain(m.statement), m.picture) for m in explanation.maps]
        if explanation
        else [],
        quality_rows=[*_quality_rows(synthetic, real)],
        extractor=plain(synthetic.extractor),
        extractor_digest=plain(synthetic.extractor_sha256),
        image_count=f"{synthetic.image_count:,}",
        privacy_rows=[*_privacy_rows(audit)],
        study=_study_lines(study, config.weights_sha256) if study else [],
        patients_words=WITH_LIST if patients else NO_LIST,
        contact=plain(words.contact),
    )
    held_out = audit.store if audit.federation else config.name
    return f"---\n{_head(words, config, findings, synthetic, held_out)}\n---\n\n{body}\n"


def compared(audit: AuditReport) -> tuple[QualityScore, QualityScore]:
    """Synthetic images and training films against held-out films, as many of each; raises SettingRefused."""
    rows = {
        row.images: row
        for row in audit.quality
        if row.reference == "held-out films" and row.finding is None and row.change is None
    }
    try:
        return rows["synthetic images"], rows["training films"]
    except KeyError as missing:
        raise SettingRefused(f"the audit has no scores of {missing.args[0]}; audit the generator again") from None


def one_line(text: str) -> str:
    """Text on one line, without what a terminal would take for a command."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def plain(text: str) -> str:
    """Text without what Markdown, HTML or a table would take for markup, on one line."""
    kept = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|#~$])", r"\\\1", kept)


def _count(audit: AuditReport, of: str) -> str:
    if of not in audit.counts:
        raise SettingRefused(f"the audit does not say how many {of} there were; audit the generator again")
    return f"{audit.counts[of]:,}"


def figures(score: QualityScore) -> dict[str, float | None]:
    """The figures in the head of a card, by their type there."""
    return {
        "fid": score.fid.value if score.fid else None,
        "kid": score.kid.value if score.kid else None,
        **{share: getattr(score, share) for share in SHARES},
    }


def _head(
    words: CardWords, config: GeneratorRecord, findings: FindingsRecord, score: QualityScore, held_out: str
) -> str:
    dataset: dict[str, Any] = {
        "dataset_type": "held-out-films",
        "dataset_name": f"Held-out films of {one_line(held_out)}",
    }
    results = [
        EvalResult("unconditional-image-generation", metric_type=kind, metric_value=round(value, 4), **dataset)
        for kind, value in figures(score).items()
        if value is not None
    ]
    return ModelCardData(
        license=words.license,
        license_link="LICENSE" if words.license == OTHER else None,
        library_name="radcommons",
        pipeline_tag="unconditional-image-generation",
        tags=[
            "medical",
            "radiology",
            "chest-x-ray",
            "synthetic",
            config.architecture,
            *map(one_line, findings.findings),
        ],
        metrics=[result.metric_type for result in results],
        model_name=one_line(words.name),
        eval_results=results,
    ).to_yaml()


def _quality_rows(synthetic: QualityScore, real: QualityScore) -> Iterator[tuple[str, ...]]:
    def both(field: str, form: str) -> Iterator[str]:
        for row in (synthetic, real):
            value = getattr(row, field)
            yield "-" if value is None else value.text(form) if isinstance(value, Estimate) else format(value, form)

    yield "Frechet distance (FID), 0 = alike", *both("fid", ".1f")
    yield "kernel distance (KID), 0 = alike", *both("kid", ".4f")
    for field in SHARES:
        yield f"{field}, 1 = alike", *both(field, ".2f")


def _privacy_rows(audit: AuditReport) -> Iterator[tuple[str, ...]]:
    """One row for each kind of attack: what an outsider has, how it ended, lowest p, smallest leak it would have found.

    A kind is done in several spaces: one leak decides, and one test that was able to find a leak is enough.
    """
    outcomes = {line.rule: line.outcome for line in audit.judgement.lines}
    kinds: dict[PrivacyTestKind, list[PrivacyTest]] = {}
    for test in audit.privacy:
        if test.access in HOLDERS:
            kinds.setdefault(test.kind, []).append(test)
    for kind, tests in kinds.items():
        found = {outcomes[test.name] for test in tests if test.name in outcomes}
        outcome = next((words for one, words in LEAK_WORDS.items() if one in found), "not judged")
        outcome = f"**{outcome}**" if "not met" in found else outcome
        lowest = min((test.p_value for test in tests if test.p_value is not None), default=None)
        limit = min((test.detection_limit for test in tests if test.detection_limit is not None), default=None)
        able = (
            f"AUC {limit:.2f}" if limit and kind.startswith("membership") else f"{limit:.1%} copies" if limit else "-"
        )
        yield plain(kind), HOLDERS[tests[0].access], outcome, "-" if lowest is None else f"{lowest:.2g}", able


def _study_lines(study: PublishedStudy, digest: str) -> list[str]:
    """The section about a reader study."""
    found = section(study, digest)
    table = markdown_table(found.heads, [[plain(cell) for cell in row] for row in found.rows])
    said = [f"- {plain(sentence)}" for sentence in found.sentences]
    return [plain(found.lead), "", *said, "", *table, "", plain(found.note)]


def read_head(path: Path) -> dict[str, Any]:
    """The head of a card; raises ValueError if there is none, or it is no mapping."""
    text = path.read_text(encoding="utf-8")
    _, mark, rest = text.partition("---\n")
    head, end, _ = rest.partition("\n---\n")
    try:
        found = yaml.safe_load(head) if mark and end else None
    except (yaml.YAMLError, RecursionError):
        raise ValueError("the head is no YAML") from None
    if not isinstance(found, dict):
        raise ValueError("no head")
    return found
