import json
import logging
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from model_signing import hashing, signing

from radcommons.errors import KeyRefused, PackageRefused, PathInUse, PathMissing
from radcommons.packages.signatures import fingerprint, new_keys, sign, verify


def write_private(path: Path, key: object, *, password: bytes | None = None) -> Path:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
    path.chmod(0o600)
    return path


def test_only_the_owner_reads_the_private_key(tmp_path: Path) -> None:
    new_keys(tmp_path / "keys")
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["private.pem", "public.pem"]
    assert (tmp_path / "keys" / "private.pem").stat().st_mode & 0o077 == 0


def test_keys_are_never_overwritten_nor_put_beside_what_is_shared(tmp_path: Path, package) -> None:
    made = new_keys(tmp_path / "own")
    for folder in (tmp_path / "own", package.folder):
        with pytest.raises(PathInUse, match="already holds something; keys need a folder of their own"):
            new_keys(folder)
    assert fingerprint(tmp_path / "own" / "public.pem") == made
    assert not (package.folder / "private.pem").exists()


def test_two_pairs_differ(tmp_path: Path) -> None:
    assert new_keys(tmp_path / "a") != new_keys(tmp_path / "b")


def test_what_was_signed_is_verified_wherever_it_lies(
    package, keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(package.folder, keys.public)
    shutil.copytree(package.folder, tmp_path / "elsewhere" / "renamed")
    monkeypatch.chdir(tmp_path / "elsewhere")
    verify(Path("renamed"), keys.public)


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "config.json", "findings.json", "audit.json", "generator.safetensors"]
)
def test_one_changed_byte_is_found_and_named(package, keys, name: str) -> None:
    path = package.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PackageRefused, match=f"is not what was signed; changed: {name}; ask the site for it again"):
        verify(package.folder, keys.public)


def test_added_and_missing_files_are_found_and_named(package, keys) -> None:
    samples = package.folder / "samples"
    shutil.copyfile(samples / "Effusion.png", samples / "Mass.png")
    with pytest.raises(PackageRefused, match=r"is not what was signed; added: samples/Mass\.png"):
        verify(package.folder, keys.public)
    (samples / "Mass.png").rename(samples / "Effusion.png")
    (samples / "overview.png").unlink()
    with pytest.raises(PackageRefused, match=r"is not what was signed; missing: samples/overview\.png"):
        verify(package.folder, keys.public)


def test_what_git_ignores_is_not_ignored(package, keys) -> None:
    (package.folder / ".gitignore").write_text("*")
    with pytest.raises(PackageRefused, match=r"'\.gitignore' does not belong in a package"):
        verify(package.folder, keys.public)


def test_a_link_is_refused_before_it_is_read(package, keys) -> None:
    (package.folder / "LICENSE").unlink()
    (package.folder / "LICENSE").symlink_to("/dev/zero")
    with pytest.raises(PackageRefused, match="'LICENSE' is no ordinary file"):
        verify(package.folder, keys.public)


def test_a_signer_cannot_leave_out_a_file_to_exchange_it_later(package, keys) -> None:
    (package.folder / "model.sig").unlink()
    (
        signing.Config()
        .use_elliptic_key_signer(private_key=keys.private)
        .set_hashing_config(hashing.Config().set_ignored_paths(paths=["model.sig", "README.md"]))
        .sign(package.folder, package.folder / "model.sig")
    )
    with pytest.raises(PackageRefused, match=r"is not what was signed; added: README\.md"):
        verify(package.folder, keys.public)


def test_the_signature_of_another_site_is_refused(package, tmp_path: Path) -> None:
    new_keys(tmp_path / "other")
    with pytest.raises(PackageRefused, match="is signed with another key than"):
        verify(package.folder, tmp_path / "other" / "public.pem")


def edited_signature(package, change: dict[str, object]) -> None:
    path = package.folder / "model.sig"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_a_signature_that_names_another_sites_key_is_not_by_it(package, tmp_path: Path) -> None:
    other = new_keys(tmp_path / "other")
    edited_signature(package, {"verificationMaterial": {"publicKey": {"hint": other}, "tlogEntries": []}})
    with pytest.raises(PackageRefused, match=r"model\.sig is damaged or not by the owner of"):
        verify(package.folder, tmp_path / "other" / "public.pem")


def test_a_signature_that_names_no_key_is_checked_by_the_key_and_prints_nothing(
    package, keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_keys(tmp_path / "other")
    edited_signature(package, {"verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []}})
    verify(package.folder, keys.public)
    with pytest.raises(PackageRefused, match=r"model\.sig is damaged or not by the owner of"):
        verify(package.folder, tmp_path / "other" / "public.pem")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"dsseEnvelope": 1}'])
def test_a_damaged_signature_is_refused(package, keys, content: bytes) -> None:
    (package.folder / "model.sig").write_bytes(content)
    with pytest.raises(PackageRefused, match=r"model\.sig is damaged or not by the owner of"):
        verify(package.folder, keys.public)


def test_a_changed_list_of_files_in_the_signature_is_refused(package, keys) -> None:
    bundle = json.loads((package.folder / "model.sig").read_text())
    envelope = bundle["dsseEnvelope"]
    edited_signature(package, {"dsseEnvelope": {**envelope, "payload": envelope["payload"][:-8] + "AAAAAAA="}})
    with pytest.raises(PackageRefused, match=r"model\.sig is damaged or not by the owner of"):
        verify(package.folder, keys.public)


def test_a_package_without_signature_is_refused(package, keys) -> None:
    (package.folder / "model.sig").unlink()
    with pytest.raises(PackageRefused, match=r"model\.sig is missing"):
        verify(package.folder, keys.public)


def test_a_private_key_in_place_of_the_public_one_is_called_so(package, keys) -> None:
    with pytest.raises(KeyRefused, match=r"is a private key: keep it secret; name the public\.pem"):
        verify(package.folder, keys.private)


def test_what_is_no_public_key_of_the_curve_is_refused(package, tmp_path: Path) -> None:
    (tmp_path / "note.pem").write_text("hello")
    with pytest.raises(KeyRefused, match="is not a public key"):
        fingerprint(tmp_path / "note.pem")
    for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / "other.pem").write_bytes(public)
        with pytest.raises(KeyRefused, match="is not a key on the curve P-256"):
            verify(package.folder, tmp_path / "other.pem")
    with pytest.raises(PathMissing, match="is not a file; make keys with 'radcommons keys new'"):
        fingerprint(tmp_path / "none.pem")


def test_what_is_no_private_key_of_the_curve_does_not_sign(package, keys, tmp_path: Path) -> None:
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    refused = [
        keys.public,
        write_private(tmp_path / "p384.pem", p384),
        write_private(tmp_path / "ed25519.pem", ed25519.Ed25519PrivateKey.generate()),
        write_private(tmp_path / "password.pem", p256, password=b"secret"),
    ]
    (tmp_path / "note.pem").write_text("hello")
    for path in (*refused, tmp_path / "note.pem"):
        with pytest.raises(KeyRefused, match="is not a private key on the curve P-256 without a password"):
            sign(package.folder, path)


def test_a_private_key_that_others_may_read_is_warned_about(
    package, keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        sign(package.folder, keys.private)
        assert caplog.messages == []
        shared = tmp_path / "shared.pem"
        shutil.copyfile(keys.private, shared)
        shared.chmod(0o640)
        sign(package.folder, shared)
    (said,) = caplog.messages
    assert "others may read this private key" in said and "chmod 600" in said
