"""Public keys that this user trusts: files in a folder for each organisation of a hub.

The first key that a hub names for an organisation is kept. Who takes over the hub later cannot exchange it unseen.
"""

import os
from pathlib import Path

from radcommons.files import write_whole
from radcommons.packages.signatures import fingerprint

VARIABLE = "RADCOMMONS_HOME"


def folder_of_user() -> Path:
    """Where trusted keys and fetched generators are kept: ~/.radcommons, or RADCOMMONS_HOME."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".radcommons")


def keys_of(hub: str, organisation: str) -> Path:
    """The folder of an organisation's trusted keys, which may be absent.

    Args:
        hub: its host and port.
    """
    return folder_of_user() / "keys" / hub / organisation


def trusted(hub: str, organisation: str) -> list[Path]:
    """The files of an organisation's trusted keys."""
    return sorted(keys_of(hub, organisation).glob("*.pem"))


def trust(hub: str, organisation: str, public_key: Path) -> None:
    """Keep a public key as one of an organisation's."""
    folder = keys_of(hub, organisation)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{fingerprint(public_key)[:16]}.pem", public_key.read_bytes())
