"""Signatures of packages: keys on the elliptic curve P-256, in the format of OpenSSF model signing, without a network.

A signature names the digest of every file beside it, so that one changed, added or missing byte is found.
"""

import base64
import contextlib
import hashlib
import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from radcommons.errors import AnotherKey, ExtraMissing, KeyRefused, PackageRefused, PathInUse, PathMissing
from radcommons.files import write_whole
from radcommons.folders import alone_in, holds_other_than
from radcommons.packages.contents import REMEDY, SIGNATURE, names_in, require_contents
from radcommons.records import sha256_file

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing import hashing, signing, verifying
except ModuleNotFoundError:
    raise ExtraMissing("packages need", "hub") from None

logger = logging.getLogger(__name__)

PRIVATE, PUBLIC = "private.pem", "public.pem"
FOR_OTHERS = 0o077  # permissions that others have
CURVE = "secp256r1"  # another name of P-256


def new_keys(folder: Path) -> str:
    """Write a new pair of keys to a folder: `private.pem`, for its owner's eyes only, and `public.pem`.

    Returns:
        The fingerprint of the public key.
    Raises:
        PathInUse: the folder holds something: other keys, which are never overwritten, or files to be shared.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with alone_in(folder, private=True):
        if holds_other_than(folder):
            raise PathInUse(f"{folder} already holds something; keys need a folder of their own, choose another --out")
        write_whole(folder / PRIVATE, private)
        write_whole(folder / PUBLIC, public)
    return hashlib.sha256(public).hexdigest()


def fingerprint(public_key: Path) -> str:
    """SHA-256 of a public key, hexadecimal; raises PathMissing or KeyRefused."""
    content = _content(public_key)
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        what = "is a private key: keep it secret" if b"PRIVATE KEY" in content else "is not a public key"
        raise KeyRefused(f"{public_key} {what}; name the {PUBLIC} of 'radcommons keys new'") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != CURVE:
        raise KeyRefused(f"{public_key} is not a key on the curve P-256; make one with 'radcommons keys new'")
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def require_private(key: Path) -> None:
    """Raise PathMissing or KeyRefused unless a file is a private key that can sign; warn if others may read it."""
    try:
        found = serialization.load_pem_private_key(_content(key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # a public key, or one with a password, or something else
        found = None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or found.curve.name != CURVE:
        raise KeyRefused(
            f"{key} is not a private key on the curve P-256 without a password; "
            f"name the {PRIVATE} of 'radcommons keys new'"
        )
    if key.stat().st_mode & FOR_OTHERS:
        logger.warning("%s: others may read this private key, and sign in your name; run: chmod 600 %s", key, key)


def sign(folder: Path, private_key: Path) -> None:
    """Write the signature of all files of a package; raises PathMissing or KeyRefused."""
    require_private(private_key)
    signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
    signer.set_hashing_config(_all_files()).sign(folder, folder / SIGNATURE)


def verify(folder: Path, public_key: Path) -> None:
    """Check that a folder holds the files of a package, and that the owner of a key signed just these.

    Raises:
        PackageRefused: it is no package, the signature is of another key, or a file differs; the message says which.
        PathMissing, KeyRefused: of the folder or the key.
    """
    fingerprint(public_key)
    require_contents(folder)
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the library prints about signatures that name no key
            verifier.set_hashing_config(_all_files()).verify(folder, folder / SIGNATURE)
    except Exception as error:  # a damaged signature raises whatever its parser does
        reason = str(error)
        if "Key mismatch" in reason:
            raise AnotherKey(
                f"{folder} is signed with another key than {public_key}; ask the site for its key"
            ) from None
        if reason.startswith("Signature mismatch"):
            raise PackageRefused(f"{folder} is not what was signed; {_changes(folder)}; {REMEDY}") from None
        raise PackageRefused(f"{folder / SIGNATURE} is damaged or not by the owner of {public_key}; {REMEDY}") from None


def _changes(folder: Path) -> str:
    """Which files differ from those that the signature names, in words."""
    envelope = json.loads((folder / SIGNATURE).read_bytes())["dsseEnvelope"]
    named = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["resources"]
    signed = {file["name"]: file["digest"] for file in named}
    found = {name: sha256_file(folder / name) for name in names_in(folder) if name != SIGNATURE}
    kinds = {
        "changed": [name for name in signed.keys() & found.keys() if signed[name] != found[name]],
        "missing": signed.keys() - found.keys(),
        "added": found.keys() - signed.keys(),
    }
    return ", ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in kinds.items() if names)


class _AllFiles(hashing.Config):
    """Every file counts, whatever a signature says that it leaves out: such a file could be exchanged after signing."""

    def add_ignored_paths(self, *, model_path: hashing.PathLike, paths: Iterable[hashing.PathLike]) -> None:
        """Do nothing with the paths that a signature leaves out."""


def _all_files() -> hashing.Config:
    """Every file counts but the signature, those that git would ignore too; links are refused."""
    every = _AllFiles()  # type: ignore[no-untyped-call]
    return every.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _content(key: Path) -> bytes:
    if not key.is_file():
        raise PathMissing(f"{key} is not a file; make keys with 'radcommons keys new'")
    return key.read_bytes()
