"""What a server and its clients know each other by: the server's certificate, and each client's pair of keys."""

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from radcommons.errors import ExtraMissing, KeyRefused, PathInUse, PathMissing, SettingRefused
from radcommons.files import write_whole
from radcommons.folders import alone_in, holds_other_than

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ModuleNotFoundError:
    raise ExtraMissing("federated training needs", "federated") from None

CA, CERTIFICATE, SERVER_KEY = "ca.pem", "server.pem", "server_key.pem"
CLIENT_KEY, CLIENT_PUBLIC = "client_key", "client_key.pub"
ALWAYS = ("localhost", "127.0.0.1", "::1")  # the server's own processes reach it by these
VALID_DAYS = 3 * 365
PEM = serialization.Encoding.PEM


def new_certificate(folder: Path, hosts: Sequence[str]) -> None:
    """Write a server's certificate, its key, and the certificate `ca.pem` by which clients recognise it.

    The key that signed the certificate is not kept, so nobody can make a second one that the clients would trust.

    Args:
        hosts: names and IP addresses by which clients reach the server.
    Raises:
        PathInUse: the folder holds something; keys are never overwritten.
        SettingRefused: a host is neither a name nor an IP address.
    """
    names = [_general_name(host) for host in dict.fromkeys([*hosts, *ALWAYS])]
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    ca_name, name = _name("RadCommons federation"), _name("RadCommons federation server")

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
            .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )

    ca = (
        certificate(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA384())
    )
    server = (
        certificate(name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder, {SERVER_KEY: private, CERTIFICATE: server.public_bytes(PEM), CA: ca.public_bytes(PEM)})


def new_client_key(folder: Path) -> str:
    """Write a client's pair of keys, OpenSSH, on the curve P-384; returns the fingerprint.

    Raises:
        PathInUse: the folder holds something; keys are never overwritten.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    _write(folder, {CLIENT_KEY: private, CLIENT_PUBLIC: public + b"\n"})
    return fingerprint(_pem(key.public_key()))


def read_public_keys(folder: Path) -> dict[str, bytes]:
    """The clients' public keys, in PEM, by the name of their file without .pub.

    Raises:
        PathMissing: there is no folder, or no public key in it.
        KeyRefused: a file is no public key on the curve P-384, or two clients have the same one.
    """
    files = sorted(folder.glob("*.pub")) if folder.is_dir() else []
    if not files:
        raise PathMissing(f"{folder} holds no public key of a client; put there each hospital's {CLIENT_PUBLIC}")
    keys: dict[str, bytes] = {}
    for path in files:
        try:
            key = serialization.load_ssh_public_key(path.read_bytes())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            raise KeyRefused(
                f"{path} is not a client's public key; ask for the {CLIENT_PUBLIC} of 'radcommons federate keys'"
            )
        pem = _pem(key)
        if pem in keys.values():
            raise KeyRefused(f"{path} is the key of another client too; each needs its own")
        keys[path.stem] = pem
    return keys


def client_fingerprint(private_key: Path) -> str:
    """Fingerprint of the public key that belongs to a client's private key; raises PathMissing or KeyRefused."""
    if not private_key.is_file():
        raise PathMissing(f"{private_key} is not a file; make it with 'radcommons federate keys --client'")
    try:
        key = serialization.load_ssh_private_key(private_key.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyRefused(
            f"{private_key} is not a client's private key without a password; "
            f"name the {CLIENT_KEY} of 'radcommons federate keys --client'"
        )
    return fingerprint(_pem(key.public_key()))


def fingerprint(public_key: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a public key in PEM."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    with alone_in(folder, private=True):
        if holds_other_than(folder):
            raise PathInUse(f"{folder} already holds something; keys need a folder of their own, choose another --out")
        for name, content in files.items():
            write_whole(folder / name, content)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(_require_name(host))
    except ValueError:
        raise SettingRefused(f"--host {host!r} is neither the name of a machine nor an IP address") from None


def _require_name(host: str) -> str:
    labels = host.removesuffix(".").split(".")
    if not host.isascii() or not all(label.replace("-", "").isalnum() for label in labels):
        raise ValueError(host)
    return host


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
