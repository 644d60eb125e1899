"""The authority of a cluster: a key of its own that signs the certificates of all its processes.

    authority = ClusterCa.create("/etc/keystore/authority", "orders")
    authority.issue("/etc/keystore/node-1", Role.NODE, "node-1")

A process is given a directory with two files: `ca.pem`, whom it trusts, and `identity.pem`, its own private key and
certificate, readable by its owner only. `identity.pem` is replaced as a whole by another `issue`, and is read again for
each new connection, so that a certificate is renewed without a restart (`keystore.agents.certificates`). `ca.pem` may
hold several authorities: to change the authority, let all trust both first.

Whoever has the authority's key can be any process of the cluster; it is kept where the control plane is, and no node,
router or host needs it.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keystore.agents.identity import Identity, Role, require_label
from keystore.durable import replace_file
from keystore.errors import CertificateError, InputError, PathTakenError

CA_FILE, CA_KEY_FILE, IDENTITY_FILE = "ca.pem", "ca-key.pem", "identity.pem"

LIFETIME = timedelta(days=397)
"""How long a certificate is valid unless the caller says otherwise."""
CA_LIFETIME = timedelta(days=3650)
CLOCKS_APART = timedelta(hours=1)
"""How far a certificate's beginning lies back, for machines whose clocks differ."""


class ClusterCa:
    """The authority of one cluster. Made by `create` and `open`."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, cluster: str) -> None:
        self._certificate, self._key, self.cluster = certificate, key, cluster

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        cluster: str,
        *,
        lifetime: timedelta = CA_LIFETIME,
        now: datetime | None = None,
    ) -> Self:
        """Make an authority in `directory`, which is made if missing and becomes its owner's only; durable on return.

        Raises:
            InputError: `cluster` cannot be a name, or the directory cannot be written.
            PathTakenError: there is one already; it is unchanged.
        """
        require_label(cluster, "cluster")
        place = Path(directory)
        if (place / CA_KEY_FILE).exists() or (place / CA_FILE).exists():
            raise PathTakenError(f"{place} has an authority already, which is unchanged; choose another directory.")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(cluster)
        certificate = (
            _builder(subject, subject, key.public_key(), lifetime, now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(place, {CA_FILE: _pem(certificate), CA_KEY_FILE: _key_pem(key)})
        return cls(certificate, key, cluster)

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Self:
        """Read the authority in `directory`.

        Raises:
            CertificateError: there is none, or it cannot be read.
        """
        place = Path(directory)
        try:
            certificate = x509.load_pem_x509_certificate((place / CA_FILE).read_bytes())
            key = serialization.load_pem_private_key((place / CA_KEY_FILE).read_bytes(), None)
        except OSError as error:
            raise _unusable(place, f"{error.filename} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise _unusable(place, "its files are not in PEM, or not what they are called") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise _unusable(place, f"{CA_KEY_FILE} is not the key of {CA_FILE}")
        cluster = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return cls(certificate, key, str(cluster))

    def issue(
        self,
        directory: str | os.PathLike[str],
        role: Role,
        name: str,
        *,
        lifetime: timedelta = LIFETIME,
        now: datetime | None = None,
    ) -> Identity:
        """Give a process its key and certificate, in `directory`; durable on return. A former one there is replaced.

        Raises:
            InputError: `name` cannot be one, or the directory cannot be written.
        """
        identity = Identity(self.cluster, Role(role), name)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.UniformResourceIdentifier(identity.uri), *map(x509.DNSName, identity.dns_names)]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(name), self._certificate.subject, key.public_key(), lifetime, now)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(authority_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        # CRASH: whom to trust comes first; an identity without it would be refused with a clear error.
        _write(Path(directory), {CA_FILE: _pem(self._certificate), IDENTITY_FILE: _key_pem(key) + _pem(certificate)})
        return identity


def _unusable(place: Path, found: str) -> CertificateError:
    return CertificateError(f"the authority in {place} cannot be used: {found}. Nothing was changed; bring it back.")


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, lifetime: timedelta, now: datetime | None
) -> x509.CertificateBuilder:
    begin = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - CLOCKS_APART)
        .not_valid_after(begin + lifetime)
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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(directory: Path, contents: dict[str, bytes]) -> None:
    """Put files in place, each whole and for its owner only."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in contents.items():
            replace_file(directory / name, content)
    except OSError as error:
        raise InputError(
            f"certificates cannot be written to {directory}: {error.strerror}. What was there is unchanged, or one "
            "file of it is new; give write access, and try again."
        ) from None
