"""A deposit becomes a revision: first the content, then, in one transaction, everything that makes it visible."""

import math
import shutil
from collections.abc import Mapping
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from radcommons.errors import GateRefused
from radcommons.hub.files import content_name, content_stays, keep, revision_sha
from radcommons.hub.models import Deposit, Generator, LogEntry, Revision, RevisionFile, RevisionTag
from radcommons.hub.staging import staged, staging
from radcommons.packages.card import compared, figures, read_head
from radcommons.packages.contents import CARD, Package, open_package

MOST_TAGS = 200  # of a card
MOST_PARTS = 20_000  # of a card's head


def publish(deposit: Deposit, verdict: dict[str, Any], *, who: str, override: str = "") -> Revision:
    """Publish a deposit; the same call after a kill, or by another worker, changes nothing more.

    Args:
        override: why an operator publishes what the gate refused; everybody can read it.
    Raises:
        GateRefused: the generator was withdrawn in the meantime.
    """
    with content_stays():
        done = Deposit.objects.select_related("revision").get(pk=deposit.pk).revision
        if done is not None:
            return done
        package = open_package(staged(deposit))
        for path, (_, digest) in deposit.files.items():
            keep(staged(deposit) / path, digest)
        revision = _published(deposit, package, verdict, who, override)
    shutil.rmtree(staging(deposit), ignore_errors=True)
    return revision


@transaction.atomic
def _published(deposit: Deposit, package: Package, verdict: dict[str, Any], who: str, override: str) -> Revision:
    locked = Deposit.objects.select_for_update().get(pk=deposit.pk)
    if locked.revision is not None:
        return locked.revision
    Generator.objects.get_or_create(organisation=deposit.organisation, name=deposit.name)
    generator = Generator.objects.select_for_update().get(organisation=deposit.organisation, name=deposit.name)
    if generator.withdrawn is not None:
        raise GateRefused(f"{generator} was withdrawn in the meantime")
    sha = revision_sha({path: digest for path, (_, digest) in deposit.files.items()})
    generator.revisions.filter(latest=True).update(latest=False)
    revision = generator.revisions.filter(sha=sha).first()
    if revision is None:
        revision = generator.revisions.create(
            sha=sha,
            verdict=verdict,
            overridden_by=who if override else "",
            overridden_because=override,
            **fields_of(package, verdict),
        )
        RevisionFile.objects.bulk_create(
            RevisionFile(revision=revision, path=path, size=size, sha256=digest)
            for path, (size, digest) in deposit.files.items()
        )
        RevisionTag.objects.bulk_create(RevisionTag(revision=revision, tag=tag) for tag in revision.summary["tags"])
    else:  # one that was published before becomes the newest again
        generator.revisions.filter(pk=revision.pk).update(latest=True)
    locked.state, locked.verdict, locked.revision = Deposit.State.PUBLISHED, verdict, revision
    locked.save()
    LogEntry.add(who, "published", generator, sha=sha, **({"override": override} if override else {}))
    return revision


def withdraw_generator(generator: Generator, who: str, reason: str) -> bool:
    """Mark a generator as withdrawn, then delete the content that no other has; False if it was withdrawn before."""
    with transaction.atomic():
        marked = Generator.objects.filter(pk=generator.pk, withdrawn__isnull=True).update(
            withdrawn=timezone.now(), withdrawn_by=who, withdrawn_because=reason
        )
        if not marked:
            return False
        files = RevisionFile.objects.filter(revision__generator=generator)
        digests = {file.path: file.sha256 for file in files.filter(revision__latest=True)}
        LogEntry.add(who, "withdrawn", generator, reason=reason, files=digests)
    with content_stays():
        delete_unused(set(files.values_list("sha256", flat=True)))
    return True


def delete_unused(digests: set[str]) -> None:
    """Delete content that only withdrawn generators have; inside `content_stays`."""
    here = RevisionFile.objects.filter(sha256__in=digests, revision__generator__withdrawn__isnull=True)
    for sha256 in digests - set(here.values_list("sha256", flat=True)):
        default_storage.delete(content_name(sha256))


def fields_of(package: Package, verdict: dict[str, Any]) -> dict[str, Any]:
    """What lists, filters and ranking need of a package; raises GateRefused for a card that cannot be kept."""
    try:
        head = storable(read_head(package.folder / CARD))
    except ValueError as error:
        raise GateRefused(f"{CARD}: its head cannot be used: {error}") from None
    audit = package.audit
    score, real = compared(audit)
    license_name = str(head.get("license", ""))[:64]
    measures = {name: getattr(score, name) for name in ("precision", "recall", "density", "coverage")}
    return {
        "weights_sha256": package.config.weights_sha256,
        "key_fingerprint": verdict.get("key_fingerprint", ""),
        "family": package.config.architecture,
        "resolution": package.config.resolution,
        "license": license_name,
        "findings": list(package.findings.findings),
        "fid": score.fid.value if score.fid else None,
        "recall": score.recall,
        "coverage": score.coverage,
        "summary": storable(
            {
                "tags": sorted(tags_of(package, head.get("tags"), license_name)),
                "card": head,
                "site": package.config.name,
                "films": audit.counts.get("films in training"),
                "patients": audit.counts.get("patients in training"),
                "images_seen": package.config.images_seen,
                "privacy": audit.privacy_words,
                "privacy_statement": audit.judgement.statement,
                "quality": audit.judgement.quality,
                "quality_statement": audit.judgement.quality_statement,
                "fid": score.fid.model_dump() if score.fid else None,
                "kid": score.kid.model_dump() if score.kid else None,
                **measures,
                "real_films": figures(real),
                "image_count": score.image_count,
                "detection_limit": audit.detection_limit,
                "extractor": score.extractor,
                "extractor_sha256": score.extractor_sha256,
                "explained": package.explanation is not None,
                "reader_study": package.study.model_dump(mode="json", exclude={"format_version"})
                if package.study
                else None,
            }
        ),
    }


def tags_of(package: Package, given: Any, license_name: str) -> set[str]:
    """The words by which a package is found: those of its card, and those that follow from its records."""
    made = {package.config.architecture, f"{package.config.resolution}px", f"license:{license_name}"}
    named = {tag for tag in given[:MOST_TAGS] if isinstance(tag, str)} if isinstance(given, list) else set()
    return {tag[:100] for tag in named | made | set(package.findings.findings) if tag}


def storable(value: Any) -> Any:
    """A value as JSON that every database keeps: no NaN, NUL or half a surrogate pair; dates become text.

    Raises:
        ValueError: it has too many parts, as one whose YAML refers to itself many times over.
    """
    left = MOST_PARTS

    def kept(part: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it has more than {MOST_PARTS} parts")
        if isinstance(part, Mapping):
            return {_text(name): kept(inner) for name, inner in part.items()}
        if isinstance(part, list | tuple | set):
            return [kept(inner) for inner in part]
        if part is None or isinstance(part, bool) or (isinstance(part, int) and abs(part) < 2**63):
            return part
        if isinstance(part, float):
            return part if math.isfinite(part) else None
        return _text(part)

    try:
        return kept(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _text(value: object) -> str:
    return str(value).replace("\0", "").encode(errors="replace").decode()
