"""Accounts as the command line makes them: the operator's one-time link, users, organisations, tokens, keys."""

import re
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from radcommons.errors import SettingRefused
from radcommons.extractors.reference_statistics import ReferenceStatistics
from radcommons.hub.models import RESERVED, LogEntry, Membership, Organisation, Reference, SigningKey, Token, slug
from radcommons.packages.signatures import fingerprint
from radcommons.records import sha256_file
from radcommons.web.accounts import first_account, invitation
from radcommons.web.second_factor import turn_off

COMMAND = "the command line"
OPERATOR = "operator"
USER_NAME = re.compile(r"[\w.@+-]{1,150}")  # as Django's own


def first_operator() -> str | None:
    """Path of the link with which the first operator sets a password; None if there is an operator."""
    return first_account(OPERATOR, lambda name: LogEntry.add(COMMAND, "operator made", name))


def add_user(username: str, organisation: str, *, title: str = "") -> str:
    """Make a user, and the organisation if it is new; returns the path of the invitation."""
    if not USER_NAME.fullmatch(username):
        raise SettingRefused(f"{username!r} is no name of a user: letters, digits and @ . + - _ only, at most 150")
    if not slug.regex.match(organisation) or organisation in RESERVED:
        raise SettingRefused(
            f"--organisation {organisation}: {slug.message}, and none of {', '.join(sorted(RESERVED))}"
        )
    with transaction.atomic():
        place, _ = Organisation.objects.get_or_create(name=organisation, defaults={"title": title})
        user, _ = get_user_model().objects.get_or_create(username=username, defaults={"password": make_password(None)})
        Membership.objects.get_or_create(organisation=place, user=user)
        LogEntry.add(COMMAND, "member added", place, user=username)
    return invitation(user)


def remove_user(username: str, organisation: str) -> None:
    """End a membership; the user's tokens for the organisation are of no use from then on."""
    gone, _ = Membership.objects.filter(organisation__name=organisation, user__username=username).delete()
    if not gone:
        raise SettingRefused(f"{username} is no member of {organisation}")
    LogEntry.add(COMMAND, "member removed", organisation, user=username)


def new_link(username: str) -> str:
    """Path of a link with which a user sets a new password."""
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise SettingRefused(f"there is no user {username}; add them with 'radcommons hub account add'")
    LogEntry.add(COMMAND, "link made", username)
    return invitation(user)


def reset_second_factor(username: str) -> None:
    """Let a user log in with the password alone, for one who has lost the app and the recovery codes."""
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise SettingRefused(f"there is no user {username}; see 'radcommons hub account list'")
    if not turn_off(user):
        raise SettingRefused(f"{username} has no second factor")
    LogEntry.add(COMMAND, "second factor reset", username)


def add_token(username: str, organisation: str, *, name: str, scope: str, days: int) -> str:
    """Make a token; its text is shown once."""
    membership = Membership.objects.filter(organisation__name=organisation, user__username=username).first()
    if membership is None:
        raise SettingRefused(f"{username} is no member of {organisation}; add them with 'radcommons hub account add'")
    _, text = Token.make(days=days, organisation=membership.organisation, user=membership.user, name=name, scope=scope)
    LogEntry.add(COMMAND, "token made", membership.organisation, user=username, name=name, scope=scope)
    return text


def add_key(organisation: str, public_key: Path) -> str:
    """Register a public key; signatures by it count for the organisation. Returns its fingerprint."""
    place = Organisation.objects.filter(name=organisation).first()
    if place is None:
        raise SettingRefused(f"there is no organisation {organisation}; add one with 'radcommons hub account add'")
    known = fingerprint(public_key)
    held = SigningKey.objects.filter(fingerprint=known).first()
    if held is not None and held.organisation != place:
        raise SettingRefused(f"{public_key} is the key of {held.organisation}; a key signs for one organisation")
    if held is None:
        SigningKey.objects.create(organisation=place, fingerprint=known, pem=public_key.read_text(encoding="ascii"))
        LogEntry.add(COMMAND, "key registered", place, fingerprint=known)
    return known


def revoke_token(number: int) -> None:
    """End a token, which `listed` names by its number."""
    token = Token.objects.select_related("organisation", "user").filter(pk=number).first()
    if token is None:
        raise SettingRefused(f"there is no token {number}; see 'radcommons hub account list'")
    if token.revoked is None:
        Token.objects.filter(pk=number).update(revoked=timezone.now())
        LogEntry.add(COMMAND, "token revoked", token.organisation, user=token.user.get_username(), name=token.name)


def withdraw_key(fingerprint: str) -> None:
    """End a key for new deposits, by the beginning of its fingerprint; what it signed before can still be checked."""
    found = list(SigningKey.objects.filter(fingerprint__startswith=fingerprint))
    if len(found) != 1:
        raise SettingRefused(f"{len(found)} keys begin with {fingerprint}; see 'radcommons hub account list'")
    if found[0].withdrawn is None:
        SigningKey.objects.filter(pk=found[0].pk).update(withdrawn=timezone.now())
        LogEntry.add(COMMAND, "key withdrawn", found[0].organisation, fingerprint=found[0].fingerprint)


def listed() -> list[dict[str, Any]]:
    """Every organisation with its members, tokens and keys, for the operator."""
    return [
        {
            "organisation": place.name,
            "members": sorted(place.members.values_list("username", flat=True)),
            "tokens": [
                {
                    "number": token.pk,
                    "user": token.user.get_username(),
                    "name": token.name,
                    "scope": token.scope,
                    "expires": token.expires.date().isoformat(),
                    "last used": token.last_used.date().isoformat() if token.last_used else None,
                    "revoked": token.revoked is not None,
                }
                for token in place.tokens.select_related("user").order_by("pk")
            ],
            "keys": [
                {"fingerprint": key.fingerprint, "withdrawn": key.withdrawn is not None}
                for key in place.keys.order_by("pk")
            ],
        }
        for place in Organisation.objects.order_by("name")
    ]


def add_reference(path: Path, name: str) -> Reference:
    """Register reference statistics, a file of 'radcommons reference'; the gate compares deposits with them."""
    if not slug.regex.match(name):
        raise SettingRefused(f"--name {name}: {slug.message}")
    if Reference.objects.filter(name=name).exists():
        raise SettingRefused(f"--name {name}: there are statistics of that name; choose another")
    record = ReferenceStatistics.load(path).record
    with path.open("rb") as file:
        kept = default_storage.save(f"references/{name}.npz", File(file))
    reference = Reference.objects.create(
        name=name,
        extractor=record.extractor,
        extractor_sha256=record.extractor_sha256,
        resolution=max(side.side for side in record.sides),
        file=kept,
        sha256=sha256_file(path),
    )
    LogEntry.add(COMMAND, "reference registered", name, films=record.films, sha256=reference.sha256)
    return reference
