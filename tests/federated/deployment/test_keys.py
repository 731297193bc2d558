"""Certificates and keys: who recognises whom, who may read them, and that none is overwritten."""

import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from radcommons.errors import KeyRefused, PathInUse, PathMissing, SettingRefused
from radcommons.federated.deployment.keys import (
    CA,
    CERTIFICATE,
    CLIENT_KEY,
    CLIENT_PUBLIC,
    SERVER_KEY,
    client_fingerprint,
    fingerprint,
    new_certificate,
    new_client_key,
    read_public_keys,
)


def handshake(folder: Path, ca: Path, name: str) -> None:
    """One TLS connection over a pair of sockets; raises what the client finds wrong."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / CERTIFICATE, folder / SERVER_KEY)
    client = ssl.create_default_context(cafile=str(ca))
    ours, theirs = socket.socketpair()

    def answer() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name):
            pass
    finally:
        answering.join()


def test_clients_recognise_the_server_by_its_names_and_addresses_only(tmp_path: Path) -> None:
    new_certificate(tmp_path / "a", ["federation.example.org", "10.0.0.7", "2001:db8::7"])
    new_certificate(tmp_path / "b", ["federation.example.org"])
    for name in ("federation.example.org", "10.0.0.7", "2001:db8::7", "localhost", "127.0.0.1"):
        handshake(tmp_path / "a", tmp_path / "a" / CA, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tmp_path / "a", tmp_path / "a" / CA, "example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path / "a", tmp_path / "b" / CA, "federation.example.org")


def test_the_certificate_of_a_server_signs_no_other(tmp_path: Path) -> None:
    new_certificate(tmp_path / "a", ["localhost"])
    server = x509.load_pem_x509_certificate((tmp_path / "a" / CERTIFICATE).read_bytes())
    assert server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert {path.name for path in (tmp_path / "a").iterdir()} == {CA, CERTIFICATE, SERVER_KEY}  # no key of the CA


def test_keys_are_for_their_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    new_client_key(tmp_path / "key")
    new_certificate(tmp_path / "server", ["localhost"])
    for path in (*(tmp_path / "key").iterdir(), *(tmp_path / "server").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "key" / CLIENT_KEY).read_bytes()
    for again in (lambda: new_client_key(tmp_path / "key"), lambda: new_certificate(tmp_path / "key", ["a"])):
        with pytest.raises(PathInUse, match="already holds something"):
            again()
    assert (tmp_path / "key" / CLIENT_KEY).read_bytes() == before


@pytest.mark.parametrize("host", ["", "https://a.example", "a b", "a/b", "münchen.example", "-", "a..b"])
def test_a_host_that_is_neither_a_name_nor_an_address_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingRefused, match="neither the name of a machine nor an IP address"):
        new_certificate(tmp_path / "keys", [host])
    assert not (tmp_path / "keys").exists()


def test_both_halves_of_a_key_have_one_fingerprint(tmp_path: Path) -> None:
    made = new_client_key(tmp_path / "key")
    (tmp_path / "clients").mkdir()
    shutil.copy(tmp_path / "key" / CLIENT_PUBLIC, tmp_path / "clients" / "site-a.pub")
    assert client_fingerprint(tmp_path / "key" / CLIENT_KEY) == made
    assert {name: fingerprint(key) for name, key in read_public_keys(tmp_path / "clients").items()} == {"site-a": made}


def test_what_is_not_a_public_key_of_one_client_is_refused(tmp_path: Path) -> None:
    new_client_key(tmp_path / "key")
    clients = tmp_path / "clients"
    with pytest.raises(PathMissing, match="holds no public key"):
        read_public_keys(clients)
    clients.mkdir()
    shutil.copy(tmp_path / "key" / CLIENT_KEY, clients / "a.pub")  # the private half
    with pytest.raises(KeyRefused, match=r"a\.pub is not a client's public key"):
        read_public_keys(clients)
    for name in ("a.pub", "b.pub"):
        shutil.copy(tmp_path / "key" / CLIENT_PUBLIC, clients / name)
    with pytest.raises(KeyRefused, match=r"b\.pub is the key of another client too"):
        read_public_keys(clients)


def test_what_is_not_a_private_key_is_refused(tmp_path: Path) -> None:
    new_client_key(tmp_path / "key")
    with pytest.raises(PathMissing, match="radcommons federate keys --client"):
        client_fingerprint(tmp_path / "absent")
    with pytest.raises(KeyRefused, match="is not a client's private key"):
        client_fingerprint(tmp_path / "key" / CLIENT_PUBLIC)
