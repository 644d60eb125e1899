"""Which key may follow which, and what a key must be able to do before anything depends on it."""

from pathlib import Path

import pytest

from keystore.control.key_check import require_enabled, require_successor, require_usable
from keystore.errors import InputError, KeyDisabledError, KeyUriError, KmsError
from keystore.kms.connect import connector
from tests.emulator_process import CLOUDS, Emulator

VERSION = "0123456789abcdef0123456789abcdef"
AZURE = f"https://shop.vault.azure.net/keys/first/{VERSION}"
AWS = "aws://us-east-1/1234abcd-12ab-34cd-56ef-1234567890ab"
GCP = "gcp://projects/p/locations/global/keyRings/r/cryptoKeys/first"


@pytest.mark.parametrize(
    ("current", "new"),
    [
        (AZURE, AZURE.replace("first", "second")),
        (AZURE, AZURE.replace(VERSION, VERSION[::-1])),
        (AZURE, f"azure://Shop/second/{VERSION}"),
        (AWS, AWS.replace("us-east-1", "eu-west-1")),
        (AWS, "aws://us-east-1/alias/next"),
        (GCP, GCP.replace("first", "second")),
        (GCP, GCP + "/cryptoKeyVersions/2"),
        ("local:///etc/first", "local:///etc/second"),
    ],
)
def test_another_key_of_the_same_provider_may_follow(current: str, new: str) -> None:
    require_successor(current, new)


@pytest.mark.parametrize(
    ("current", "new", "says"),
    [
        (AZURE, AZURE.replace("shop", "other"), "is in the vault other.vault.azure.net"),
        (AZURE, f"azure://other/second/{VERSION}", "is in the vault other.vault.azure.net"),
        (AZURE, AWS, "is a key of aws"),
        (AZURE, "local:///etc/key", "is a key of local"),
        (AZURE, AZURE, "under already"),
        (AZURE, f"azure://shop/First/{VERSION}", "under already"),
        (AWS, AWS, "under already"),
        (AWS, f"aws://us-east-1/arn:aws:kms:us-east-1:111122223333:key/{AWS.rpartition('/')[2]}", "under already"),
        (GCP, GCP, "under already"),
    ],
)
def test_a_key_that_cannot_follow_is_refused(current: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        require_successor(current, new)
    assert "Nothing was changed" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.vault.azure.net/keys/first",
        f"https://shop.vault.azure.net/first/{VERSION}",
        AZURE.replace("/keys/", "/secrets/"),
        AZURE.replace("https", "http"),
        AZURE.replace("vault.azure.net", "vault.example.net"),
        AZURE + "?api-version=7.4",
        AZURE + "/more",
        AZURE + "/",
        "first",
        "",
    ],
)
def test_a_malformed_key_identifier_is_refused(text: str) -> None:
    with pytest.raises(KeyUriError, match="Nothing was changed"):
        require_successor(AZURE, text)


@pytest.mark.parametrize("provider", CLOUDS)
def test_a_key_is_described_and_wraps_a_probe(emulator: Emulator, provider: str) -> None:
    uri = emulator.create_key(provider)
    before = len(emulator.calls())
    require_usable(uri, connector(emulator.endpoint))
    calls = emulator.calls()[before:]
    assert len(calls) == 3
    assert [call.plaintext_bytes for call in calls if call.plaintext_bytes] == [32, 32]


@pytest.mark.parametrize("provider", CLOUDS)
def test_a_disabled_key_is_refused_by_its_state(emulator: Emulator, provider: str) -> None:
    uri = emulator.create_key(provider)
    emulator.disable(uri)
    with pytest.raises(KeyDisabledError, match="Nothing was changed"):
        require_enabled(uri, connector(emulator.endpoint))
    emulator.enable(uri)
    require_enabled(uri, connector(emulator.endpoint))


def test_a_missing_key_is_refused_and_a_passphrase_has_no_state(tmp_path: Path) -> None:
    with pytest.raises(KmsError):
        require_enabled(f"local://{tmp_path}/absent", connector())
    require_enabled("local+passphrase:///words", connector())
