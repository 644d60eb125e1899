"""The state of a key right now, at each cloud; and which texts name the key that wrapped something."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import KeyUriError
from keystore.format.wrapped import WrappedKey
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.kms.naming import KeyName
from keystore.kms.states import NOT_ASKED, UNREACHABLE, key_now, uri_of
from tests.emulator_process import Emulator


def wrapped_by(uri: str, endpoint: str | None = None) -> WrappedKey:
    with SecretKey.generate() as secret, closing(connector(endpoint)(uri)) as kms:
        return kms.wrap(secret, {"node": "n"})


@pytest.mark.parametrize(
    ("cloud", "words"),
    [
        ("aws", ("Enabled", "Disabled", "PendingDeletion")),
        ("azure", ("Enabled", "Disabled", "pending deletion")),
        ("gcp", ("ENABLED", "DISABLED", "DESTROY_SCHEDULED")),
    ],
)
def test_the_states_that_a_cloud_tells(emulator: Emulator, cloud: str, words: tuple[str, ...]) -> None:
    uri = emulator.create_key(cloud)
    wrapped, connect = wrapped_by(uri, emulator.endpoint), connector(emulator.endpoint)
    acts: tuple[Callable[[str], None], ...] = (lambda _: None, emulator.disable, emulator.schedule_deletion)
    for act, word in zip(acts, words, strict=True):
        act(uri)
        assert key_now(wrapped, connect).state == word


def test_a_key_file(tmp_path: Path) -> None:
    create_key_file(tmp_path / "cmk")
    wrapped = wrapped_by(f"local://{tmp_path / 'cmk'}")
    assert key_now(wrapped, connector()).state == "Enabled"
    (tmp_path / "cmk").unlink()
    now = key_now(wrapped, connector())
    assert now.state == "not found"
    assert str(tmp_path / "cmk") in now.problem


def test_what_cannot_be_asked() -> None:
    arn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    wrapped = WrappedKey("aws", "aws://us-east-1/alias/cmk", arn, b"sealed")
    assert key_now(wrapped, connector("127.0.0.1:1")).state == UNREACHABLE
    passphrase = WrappedKey("local", "local+passphrase:///mine", "", b"sealed")
    assert key_now(passphrase, connector()).state == NOT_ASKED
    damaged = WrappedKey("aws", "aws://us-east-1/alias/cmk", "no arn", b"sealed")
    assert key_now(damaged, connector()).state == NOT_ASKED


def test_the_key_behind_an_alias_of_that_day(emulator: Emulator) -> None:
    """An alias points elsewhere by now: the state is that of the key that wrapped."""
    uri = emulator.create_key("aws")
    wrapped = wrapped_by(uri, emulator.endpoint)
    elsewhere = WrappedKey("aws", "aws://us-east-1/alias/nowhere", wrapped.key_version, wrapped.ciphertext)
    assert key_now(elsewhere, connector(emulator.endpoint)).state == "Enabled"
    assert uri_of(elsewhere) == f"aws://us-east-1/{wrapped.key_version}"


ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AWS = WrappedKey("aws", "aws://eu-west-1/alias/cmk", ARN, b"x")
VERSION = "0123456789abcdef0123456789abcdef"
KID = f"https://vault.vault.azure.net/keys/cmk/{VERSION}"
AZURE = WrappedKey("azure", f"azure://vault/cmk/{VERSION}", KID, b"x")
NAME = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
GCP = WrappedKey("gcp", f"gcp://{NAME}", f"{NAME}/cryptoKeyVersions/3", b"x")


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        (ARN, AWS),
        (f"aws://eu-west-1/{ARN}", AWS),
        ("aws://eu-west-1/1234abcd-12ab-34cd-56ef-1234567890ab", AWS),
        ("aws://eu-west-1/alias/cmk", AWS),
        (KID, AZURE),
        (f"azure://vault/cmk/{VERSION}", AZURE),
        (f"azure://VAULT/CMK/{VERSION.upper()}", AZURE),
        (NAME, GCP),
        (f"gcp://{NAME}", GCP),
        (f"{NAME}/cryptoKeyVersions/3", GCP),
        ("local:///cmk", WrappedKey("local", "local:///cmk", "", b"x")),
    ],
)
def test_what_names_a_key(text: str, wrapped: WrappedKey) -> None:
    assert KeyName(text).names(wrapped)


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        ("aws://eu-west-2/1234abcd-12ab-34cd-56ef-1234567890ab", AWS),
        ("aws://eu-west-1/1234abcd-12ab-34cd-56ef-1234567890ac", AWS),
        ("aws://eu-west-1/alias/other", AWS),
        (f"azure://vault/cmk/{VERSION[::-1]}", AZURE),
        (f"azure://other/cmk/{VERSION}", AZURE),
        (f"{NAME}2", GCP),
        (f"{NAME}/cryptoKeyVersions/2", GCP),
        (f"gcp://{NAME}", AZURE),
        ("local:///other", WrappedKey("local", "local:///cmk", "", b"x")),
    ],
)
def test_what_names_another_key(text: str, wrapped: WrappedKey) -> None:
    assert not KeyName(text).names(wrapped)


@pytest.mark.parametrize("text", ["", "cmk", "arn:aws:s3:::bucket", "projects/p"])
def test_what_can_name_no_key(text: str) -> None:
    with pytest.raises(KeyUriError):
        KeyName(text)
