"""Certificates: what the authority issues, and what a process refuses before it sends anything."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keystore.agents import certificates
from keystore.agents.identity import Identity, Role
from keystore.agents.tls import CA_FILE, CA_KEY_FILE, IDENTITY_FILE, ClusterCa
from keystore.errors import CertificateError, InputError, PathTakenError


@pytest.fixture
def authority(tmp_path: Path) -> ClusterCa:
    return ClusterCa.create(tmp_path / "authority", "orders")


def test_an_identity_is_issued_and_read_back(authority: ClusterCa, tmp_path: Path) -> None:
    issued = authority.issue(tmp_path / "node-1", Role.NODE, "node-1")
    loaded = certificates.load(tmp_path / "node-1")
    assert issued == loaded.identity == Identity("orders", Role.NODE, "node-1")
    assert issued.uri == "keystore://orders/node/node-1"


def test_private_keys_are_their_owners_only_and_in_no_repr(authority: ClusterCa, tmp_path: Path) -> None:
    authority.issue(tmp_path / "node-1", Role.NODE, "node-1")
    for path in (tmp_path / "authority" / CA_KEY_FILE, tmp_path / "node-1" / IDENTITY_FILE):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "PRIVATE KEY" not in repr(certificates.load(tmp_path / "node-1"))
    assert not (tmp_path / "node-1" / CA_KEY_FILE).exists()


def test_an_authority_that_was_opened_again_is_the_same(authority: ClusterCa, tmp_path: Path) -> None:
    again = ClusterCa.open(tmp_path / "authority")
    assert again.cluster == "orders"
    again.issue(tmp_path / "node-1", Role.NODE, "node-1")
    authority.issue(tmp_path / "node-2", Role.NODE, "node-2")
    assert (tmp_path / "node-1" / CA_FILE).read_bytes() == (tmp_path / "node-2" / CA_FILE).read_bytes()


def test_an_authority_is_not_made_over_another(authority: ClusterCa, tmp_path: Path) -> None:
    before = (tmp_path / "authority" / CA_KEY_FILE).read_bytes()
    with pytest.raises(PathTakenError):
        ClusterCa.create(tmp_path / "authority", "orders")
    assert (tmp_path / "authority" / CA_KEY_FILE).read_bytes() == before


@pytest.mark.parametrize("name", ["", "Node", "a/b", "-a", "a-", "a.b", "ü", "a" * 64, "a\n"])
def test_names_that_cannot_stand_in_a_certificate_are_refused(authority: ClusterCa, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="Nothing was changed"):
        authority.issue(tmp_path / "node", Role.NODE, name)
    assert not (tmp_path / "node").exists()
    with pytest.raises(InputError):
        ClusterCa.create(tmp_path / "other", name)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("file", [CA_FILE, CA_KEY_FILE])
def test_an_authority_without_its_files_is_refused(authority: ClusterCa, tmp_path: Path, file: str) -> None:
    (tmp_path / "authority" / file).unlink()
    with pytest.raises(CertificateError, match=file):
        ClusterCa.open(tmp_path / "authority")


def _missing(place: Path, other: Path) -> None:
    (place / IDENTITY_FILE).unlink()


def _cut(place: Path, other: Path) -> None:
    content = (place / IDENTITY_FILE).read_bytes()
    (place / IDENTITY_FILE).write_bytes(content[: len(content) // 2])


def _foreign_authority(place: Path, other: Path) -> None:
    (place / CA_FILE).write_bytes((other / CA_FILE).read_bytes())


def _foreign_identity(place: Path, other: Path) -> None:
    (place / IDENTITY_FILE).write_bytes((other / IDENTITY_FILE).read_bytes())


def _key_of_another(place: Path, other: Path) -> None:
    ours, theirs = ((each / IDENTITY_FILE).read_text() for each in (place, other))
    begin = "-----BEGIN CERTIFICATE-----"
    (place / IDENTITY_FILE).write_text(theirs.partition(begin)[0] + begin + ours.partition(begin)[2])


def _authority_as_identity(place: Path, other: Path) -> None:
    authority = place.parent / "authority"
    (place / IDENTITY_FILE).write_bytes((authority / CA_KEY_FILE).read_bytes() + (authority / CA_FILE).read_bytes())


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (_missing, "cannot be read"),
        (_cut, "not in PEM"),
        (_foreign_authority, "was not issued by"),
        (_foreign_identity, "was not issued by"),
        (_key_of_another, "is not that of the certificate"),
        (_authority_as_identity, "does not name one process"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused_with_the_reason(
    authority: ClusterCa, tmp_path: Path, spoil: Callable[[Path, Path], None], found: str
) -> None:
    place, other = tmp_path / "node-1", tmp_path / "other"
    authority.issue(place, Role.NODE, "node-1")
    ClusterCa.create(tmp_path / "foreign", "orders").issue(other, Role.NODE, "node-1")
    spoil(place, other)
    with pytest.raises(CertificateError, match=found) as refused:
        certificates.load(place)
    assert "PRIVATE KEY" not in str(refused.value)


def test_an_expired_certificate_is_refused_with_its_end(authority: ClusterCa, tmp_path: Path) -> None:
    issued = datetime(2024, 1, 1, tzinfo=UTC)
    authority.issue(tmp_path / "node-1", Role.NODE, "node-1", lifetime=timedelta(days=1), now=issued)
    assert certificates.load(tmp_path / "node-1", now=issued).identity.name == "node-1"
    with pytest.raises(CertificateError, match="expired at 2024-01-02"):
        certificates.load(tmp_path / "node-1")


def test_a_certificate_of_the_future_is_refused(authority: ClusterCa, tmp_path: Path) -> None:
    authority.issue(tmp_path / "node-1", Role.NODE, "node-1")
    with pytest.raises(CertificateError, match="is not valid before"):
        certificates.load(tmp_path / "node-1", now=datetime(2024, 1, 1, tzinfo=UTC))
