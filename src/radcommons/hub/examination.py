"""The gate's verdict on a deposit: what the hub knows goes in, and what it keeps comes out."""

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage

from radcommons.hub.gate_process import examine_apart
from radcommons.hub.gate_settings import GateRules
from radcommons.hub.models import Deposit, Reference, Revision
from radcommons.hub.publishing import storable
from radcommons.hub.staging import staged
from radcommons.records import KnownDeposit
from radcommons.settings import preset_path

RULES_FILE = "gate.toml"  # in the hub's folder: the operator's rules instead of the shipped ones


class NotExamined(Exception):
    """The examination did not come to its end; it is tried again."""


def verdict_of(deposit: Deposit) -> dict[str, Any]:
    """Examine the staged package: the verdict, as every database keeps it, with `passed` and, for people, `reasons`."""
    with tempfile.TemporaryDirectory(prefix="keys-") as folder:
        keys = []
        for key in deposit.organisation.keys.filter(withdrawn__isnull=True):
            keys.append(Path(folder) / f"{key.fingerprint}.pem")
            keys[-1].write_text(key.pem, encoding="ascii")
        verdict = examine_apart(
            staged(deposit),
            public_keys=keys,
            references=[Path(default_storage.path(reference.file)) for reference in Reference.objects.all()],
            rules=rules(),
            known=known(deposit),
        )
    if verdict.status == "not examined":
        raise NotExamined(verdict.statement)
    reasons = [f"{line.rule}: {line.found}" + (f"; {line.remedy}" if line.remedy else "") for line in verdict.broken]
    return dict(storable({**verdict.model_dump(mode="json"), "passed": verdict.passed, "reasons": reasons}))


def rules() -> GateRules:
    """The rules of this hub's gate."""
    own: Path = settings.RADCOMMONS_DATA / RULES_FILE
    return GateRules.load(own if own.is_file() else preset_path("gate", "default"))


def known(deposit: Deposit) -> list[KnownDeposit]:
    """What the hub has already, but for earlier revisions of the same generator."""
    others = Revision.objects.filter(generator__withdrawn__isnull=True)
    others = others.exclude(generator__organisation=deposit.organisation, generator__name=deposit.name)
    names = ("generator__organisation__name", "generator__name")
    return [
        KnownDeposit(name=f"{organisation}/{name}", weights_sha256=weights_sha256, fingerprint=fingerprint)
        for organisation, name, weights_sha256, fingerprint in others.values_list(
            *names, "weights_sha256", "verdict__fingerprint"
        )
    ]
