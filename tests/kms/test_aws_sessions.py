"""The session that clients of AWS share where credentials are given: made once, by the settings as they are, and
without the credentials.
"""

import gc
from pathlib import Path

import botocore.credentials
import pytest

from keystore.kms import aws_boto3, aws_sessions
from keystore.kms.credentials import AwsCredentials

REGION = "eu-west-3"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep this machine's settings out; return the file where others may be written."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "config"


def endpoint(key_id: str = "AKIDGIVEN") -> str:
    """Return where a client with given credentials would go."""
    wire = aws_boto3.open_wire(REGION, None, AwsCredentials(key_id, "the-secret"))
    wire.close()
    return str(wire._client.meta.endpoint_url)


def made() -> int:
    return aws_sessions._shared.cache_info().misses


def alive(key_id: str) -> int:
    """Return how many credentials of that name are in memory."""
    gc.collect()
    found = (each for each in gc.get_objects() if isinstance(each, botocore.credentials.Credentials))
    return sum(each.access_key == key_id for each in found)


def test_one_session_makes_the_clients_of_all_credentials() -> None:
    endpoint()
    before = made()
    assert [endpoint(f"AKID{number}") for number in range(5)] == [f"https://kms.{REGION}.amazonaws.com"] * 5
    assert made() == before


def test_credentials_go_with_their_client() -> None:
    wire = aws_boto3.open_wire(REGION, None, AwsCredentials("AKIDOFONECLIENT", "the-secret"))
    assert alive("AKIDOFONECLIENT") == 1
    wire.close()
    del wire
    assert alive("AKIDOFONECLIENT") == 0


def test_settings_that_are_changed_are_those_of_the_next_client(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint() == f"https://kms.{REGION}.amazonaws.com"
    config.write_text("[default]\nendpoint_url = https://kms.example.org\n[profile other]\nuse_fips_endpoint = true\n")
    assert endpoint() == "https://kms.example.org"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert endpoint() == f"https://kms-fips.{REGION}.amazonaws.com"
    config.unlink()
    monkeypatch.delenv("AWS_PROFILE")
    assert endpoint() == f"https://kms.{REGION}.amazonaws.com"
