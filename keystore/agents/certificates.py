"""The certificates of one process, as its directory has them now: checked, and turned into what gRPC takes.

Invariants:
1. Both sides of every connection show a certificate of the cluster's authority. What is refused is refused before a
   request is sent, where the reason is ours: then the error can say it, which a torn connection cannot.
2. A server takes a renewed certificate for its next connection; while the files cannot be used it goes on with those
   before.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from keystore.agents.identity import Identity, Role, dns_name
from keystore.agents.tls import CA_FILE, IDENTITY_FILE
from keystore.errors import CertificateError, InputError

FILE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of a file of certificates."""


@dataclass(frozen=True)
class Certificates:
    """What a process shows, and whom it trusts."""

    identity: Identity
    trusted: bytes
    chain: bytes
    key: bytes = field(repr=False)


def load(directory: str | os.PathLike[str], now: datetime | None = None) -> Certificates:
    """Read the certificates of a process and check that they can be used.

    Raises:
        CertificateError: they are missing, damaged, expired, or not of the authority beside them.
    """
    place = Path(directory)
    trusted, own = _read(place / CA_FILE), _read(place / IDENTITY_FILE)
    try:
        authorities = x509.load_pem_x509_certificates(trusted)
        certificate, key = x509.load_pem_x509_certificate(own), serialization.load_pem_private_key(own, None)
    except (ValueError, TypeError):
        raise _refused(place, "its files are not in PEM, or not what they are called") from None
    if key.public_key() != certificate.public_key():
        raise _refused(place, f"the key in {IDENTITY_FILE} is not that of the certificate")
    if not any(_is_issued_by(certificate, authority) for authority in authorities):
        raise _refused(place, f"the certificate in {IDENTITY_FILE} was not issued by the authority in {CA_FILE}")
    today = now or datetime.now(UTC)
    if today < certificate.not_valid_before_utc:
        begin = certificate.not_valid_before_utc
        raise _refused(
            place, f"the certificate in {IDENTITY_FILE} is not valid before {begin:%F %T} UTC; see the clock"
        )
    if today > certificate.not_valid_after_utc:
        raise _refused(
            place, f"the certificate in {IDENTITY_FILE} expired at {certificate.not_valid_after_utc:%F %T} UTC"
        )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    return Certificates(_identity(place, certificate), trusted, chain, own)


def server_credentials(directory: Path, first: Certificates) -> grpc.ServerCredentials:
    """Return what a server shows and asks of its clients: `first`, and what the directory has at each connection."""
    lock, given = threading.Lock(), first

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Return what is new in the directory; None where gRPC is to go on with the former.

        gRPC replaces what it has at whatever is returned, and frees it while other connections are being made with it:
        the process dies, or worse. So it is given something only when there is something new.
        """
        nonlocal given
        with lock:
            try:
                found = load(directory)
            except CertificateError:
                return None
            if found == given:
                return None
            given = found
        return _configuration(found)

    # gRPC takes None from `fetch`, unlike its types.
    fetcher: Any = fetch
    return grpc.dynamic_ssl_server_credentials(_configuration(first), fetcher, require_client_authentication=True)


def open_channel(
    address: str, certificates: Certificates, role: Role, name: str | None, options: Sequence[tuple[str, object]] = ()
) -> grpc.Channel:
    """Return a channel to a server that must have `role`, and `name` if that is known; nothing is sent yet."""
    credentials = grpc.ssl_channel_credentials(certificates.trusted, certificates.key, certificates.chain)
    expected = ("grpc.ssl_target_name_override", dns_name(role, name))
    # No proxy: it would see who speaks to whom. No sharing: each channel takes the certificates of its own day.
    alone = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    return grpc.secure_channel(address, credentials, options=[expected, *alone, *options])


def peer(context: grpc.ServicerContext) -> Identity:
    """Return whom the verified certificate of a caller names.

    Raises:
        CertificateError: it names nobody of a cluster.
    """
    auth: Mapping[str, Any] = context.auth_context()
    uris = [name.decode(errors="replace") for name in auth.get("peer_uri", ())]
    try:
        (uri,) = uris
        return Identity.parse(uri)
    except (ValueError, InputError):
        raise CertificateError(
            f"the caller's certificate names {uris or 'nobody'}, and not one process of a cluster. Nothing was "
            "changed; use a certificate that the cluster's authority issued."
        ) from None


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.chain)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=certificates.trusted)


def _identity(place: Path, certificate: x509.Certificate) -> Identity:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        return Identity.parse(uri)
    except (x509.ExtensionNotFound, ValueError, InputError):
        raise _refused(place, f"the certificate in {IDENTITY_FILE} does not name one process of a cluster") from None


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(path.parent, f"{path.name} cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise _refused(path.parent, f"{path.name} has more than {FILE_BYTES_MAX} bytes")
    return content


def _refused(place: Path, found: str) -> CertificateError:
    return CertificateError(
        f"the certificates in {place} cannot be used: {found}. Nothing was sent; have the cluster's authority issue "
        "new ones."
    )
