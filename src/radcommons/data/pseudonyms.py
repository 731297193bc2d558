"""Replace patient and image identifiers with keyed pseudonyms; the key stays in the hospital, beside the store.

Pseudonyms are not anonymous: whoever has the key and a list of identifiers can compute them again.
"""

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from radcommons.errors import BadInput

KEY_BYTES: Final = 32
HEX_DIGITS: Final = 16


def pseudonym(identifier: str, *, key: bytes) -> str:
    """16 hexadecimal digits of HMAC-SHA256; 10^6 identifiers collide with probability 3e-8.

    The identifier may be a path with bytes that are not UTF-8, as Python reads it from a folder.
    """
    return hmac.digest(key, identifier.encode(errors="surrogateescape"), "sha256").hex()[:HEX_DIGITS]


def fingerprint(key: bytes) -> str:
    """16 hexadecimal digits that identify a key without disclosing it."""
    return hmac.digest(key, b"radcommons: fingerprint of a pseudonym key", "sha256").hex()[:HEX_DIGITS]


def phantom_fingerprint(*, site: str, seed: int) -> str:
    """The fingerprint of a simulated hospital, which has no key: patient i depends on the seed, the site and i only."""
    return fingerprint(f"phantom {seed} {site}".encode())


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`, 32 bytes in hexadecimal; if there is none, creates a random key atomically with mode 0600.

    If two processes call this at once, one creates the key and both return it. Raises BadInput for a damaged file.
    """
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # the other process was first
                path.hardlink_to(temporary)
        finally:
            temporary.unlink(missing_ok=True)
    return load_key(path)


def load_key(path: Path) -> bytes:
    """The key in `path`; raises BadInput if it cannot be read."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, OSError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"{path} is not a key of {KEY_BYTES} bytes in hexadecimal; restore it, or import to a new store")
    return key
