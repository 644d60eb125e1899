"""The emulator's certificate authority, and the certificate under which it serves HTTPS and gRPC over TLS.

Both are made when the emulator starts. The authority's certificate lies in a directory for clients to trust; with a
directory of the caller's own its key is kept there too, readable to its owner only, so that the next start is trusted
again. The server's key is written only for as long as OpenSSL needs to read it. No key is ever logged.
"""

import datetime
import ipaddress
import os
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kms_emulator.trust import BUNDLE_FILE, write_bundle

CA_FILE, CA_KEY_FILE = "ca.pem", "ca-key.pem"
VALID_DAYS = 397
"""LIMIT: days for which a server certificate is valid; some clients refuse longer ones."""

CA_VALID_DAYS = 3650
HOST_NAMES = (
    "localhost",
    "cloudkms.localhost",
    "vault.localhost",
    "managedhsm.localhost",
    "*.vault.localhost",
    "*.managedhsm.localhost",
)
"""Names that the certificate is good for, besides the addresses that are served.

In the order in which clients compare them: gRPC prints an error for a wildcard that it meets before its own name.
"""


class TlsError(Exception):
    """The directory of the certificates cannot be used."""


@dataclass(frozen=True)
class Tls:
    """What HTTPS and gRPC over TLS are served with, and `ca_path`, the certificate that clients trust, as PEM."""

    ca_path: Path
    context: ssl.SSLContext
    key_pem: bytes = field(repr=False)
    certificate_pem: bytes = field(repr=False)


def make_tls(directory: Path | None, hosts: tuple[str, ...]) -> Tls:
    """Return a context for `hosts` (names and addresses) and `HOST_NAMES`, under an authority in `directory`.

    Without a directory a temporary one is made; whoever serves removes it (`remove_temporary`).

    Raises:
        TlsError: the directory cannot be written, or holds an authority that cannot be read.
    """
    try:
        if directory is None:
            kept = Path(tempfile.mkdtemp(prefix="kms-emulator-tls-"))
            authority, key = _new_authority()
        else:
            kept = directory
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            authority, key = _kept_authority(kept)
        ca_path = kept / CA_FILE
        ca_path.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        write_bundle(ca_path)
        own_key, certificate = _certificate(authority, key, hosts)
        return Tls(ca_path, _context(own_key, certificate, kept), own_key, certificate)
    except OSError as error:
        raise TlsError(f"TLS directory {directory or tempfile.gettempdir()} cannot be used: {error.strerror}") from None


def remove_temporary(tls: Tls) -> None:
    """Remove what `make_tls` made without a directory, and the key files that were put beside the certificate."""
    with suppress(OSError):
        for path in (tls.ca_path, tls.ca_path.with_name(BUNDLE_FILE), *tls.ca_path.parent.glob("gcp-*.json")):
            path.unlink()
        tls.ca_path.parent.rmdir()


def _kept_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the directory's authority; it gets a new one if it has none."""
    key_path = directory / CA_KEY_FILE
    if not key_path.exists():
        authority, key = _new_authority()
        _write_key(key_path, _key_pem(key))
        return authority, key
    try:
        authority = x509.load_pem_x509_certificate((directory / CA_FILE).read_bytes())
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except (ValueError, TypeError):
        raise TlsError(f"{directory} holds no authority that can be read; name another --tls-dir") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != authority.public_key():
        raise TlsError(f"{directory}: {CA_KEY_FILE} is not the key of {CA_FILE}; name another --tls-dir")
    return authority, loaded


def _new_authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("KMS emulator, for tests only")
    usage = _usage(signs_certificates=True)
    built = (
        _builder(name, name, key.public_key(), CA_VALID_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return built.sign(key, hashes.SHA256()), key


def _certificate(
    authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, hosts: tuple[str, ...]
) -> tuple[bytes, bytes]:
    """Return a fresh key of the server and its certificate, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    built = (
        _builder(_name("localhost"), authority.subject, key.public_key(), VALID_DAYS)
        .add_extension(x509.SubjectAlternativeName([*map(_general_name, _all_names(hosts))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    certificate = built.sign(authority_key, hashes.SHA256())
    return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def _context(key_pem: bytes, certificate_pem: bytes, directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    # ssl reads files only.
    path = directory / f".server-{os.getpid()}.pem"
    try:
        _write_key(path, key_pem + certificate_pem)
        context.load_cert_chain(path)
    finally:
        path.unlink(missing_ok=True)
    return context


def _all_names(hosts: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys((*HOST_NAMES, *hosts)))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write_key(path: Path, pem: bytes) -> None:
    """Write a private key that only its owner can read."""
    with suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
