"""Generators that are named where they lie: hub://HOST/ORG/NAME@REVISION, or hf://ORG/NAME@REVISION.

They are fetched once, checked, and kept for the next time.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from radcommons.errors import PackageRefused, SettingRefused
from radcommons.files import full_disk_is_clear
from radcommons.progress import Track, silent

HUGGING_FACE = "https://huggingface.co"
SCHEME = re.compile(r"(hub|hf):/{1,2}(?=[^/])")  # a Path makes one slash of two
HOST = r"(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)/"
NAME = r"(?P<generator>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[A-Za-z0-9][\w.-]{0,99}))?"
FORMS = "write hub://HOST/ORG/NAME or hf://ORG/NAME, with @REVISION for one that never changes"
WHOLE_REVISION = re.compile("[0-9a-f]{40}")
MAIN = "main"
LOCAL_HOSTS = ("localhost", "127.0.0.1")  # which need no TLS


@dataclass(frozen=True, slots=True)
class Reference:
    """A revision of a generator of a hub."""

    address: str
    generator: str
    revision: str = MAIN


def parse(text: str, hub: str | None = None) -> Reference:
    """What a reference, or ORG/NAME[@REVISION] of the hub at an address, names; raises SettingRefused."""
    scheme = SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    found = re.fullmatch(HOST + NAME if scheme and scheme[1] == "hub" else NAME, rest, re.ASCII)
    if found is None:
        raise SettingRefused(f"'{text}' names no generator; {FORMS}")
    if scheme is None and not hub:
        raise SettingRefused(f"'{text}' names no hub; give its address with --hub, or {FORMS}")
    named = found.groupdict()
    if host := named.get("host"):
        hub = f"http{'' if host.split(':')[0] in LOCAL_HOSTS else 's'}://{host}"
    elif scheme:
        hub = os.environ.get("HF_ENDPOINT", HUGGING_FACE)
    assert hub is not None
    return Reference(hub, named["generator"], named["revision"] or MAIN)


def is_reference(text: str | Path) -> bool:
    """Whether a text names a generator that lies elsewhere, and not a folder."""
    return SCHEME.match(str(text)) is not None


def local_folder(reference: Path | str, track: Track = silent) -> Path:
    """The folder on this machine of what a user named: fetched if it lies elsewhere, with the errors of `fetched`."""
    return fetched(str(reference), track) if is_reference(reference) else Path(reference)


def pinned(reference: str) -> str:
    """The same reference with the revision that it means on this machine."""
    scheme = SCHEME.match(reference)
    assert scheme is not None
    return f"{scheme[1]}://{reference[scheme.end() :].partition('@')[0]}@{fetched(reference).name}"


_here: dict[Reference, Path] = {}  # in one process a name means one revision


def fetched(text: str, track: Track = silent) -> Path:
    """The folder on this machine of a reference, fetched if it is not here yet; its signature is checked each time.

    One whose @REVISION is whole and which is here needs no network; a withdrawal since then is not noticed.

    Raises:
        SettingRefused: it is no reference.
        HubRefused: the hub does not answer, or has no such generator, or it was withdrawn.
        PackageRefused: it is damaged, or not signed by a trusted key.
    """
    asked = parse(text)
    if asked not in _here:
        _here[asked] = _fetch(asked, track)
    return _here[asked]


def fetch_all(hub: str, findings: Sequence[str] = (), track: Track = silent) -> dict[str, Path]:
    """Fetch every generator that a hub lists, the revision of today; returns folders by pinned reference.

    Args:
        hub: its address.
        findings: that a generator must know.
    """
    from radcommons.packages.hub_client import MOST_LISTED, Hub

    client = Hub(hub)
    listed = client.search(findings=tuple(findings), limit=MOST_LISTED)
    host = hub.rstrip("/").partition("://")[2]
    wanted = [f"hub://{host}/{one['id']}@{one['sha']}" for one in listed]
    return {reference: fetched(reference, track) for reference in wanted}


def _fetch(asked: Reference, track: Track) -> Path:
    from radcommons.packages.hub_client import Hub  # these need the extra 'hub'
    from radcommons.packages.trusted_keys import folder_of_user

    hub = Hub(asked.address)
    known = WHOLE_REVISION.fullmatch(asked.revision)
    sha = asked.revision if known else hub.show(asked.generator, asked.revision)["sha"]
    place = folder_of_user() / "generators" / hub.name / asked.generator / sha
    with full_disk_is_clear(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f"{sha}.lock")):  # another process may be fetching it: wait for it
        if not place.is_dir():
            unfinished = place.with_name(f"{sha}.partial")
            hub.pull(asked.generator, unfinished, revision=sha, track=track)
            unfinished.rename(place)
    try:
        hub.verify(asked.generator, place)
    except PackageRefused as error:
        raise PackageRefused(f"{error} (or delete {place}, and it is fetched again)") from None
    return place
