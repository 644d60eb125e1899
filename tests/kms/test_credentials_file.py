"""The credentials file: names for credentials, and no secret in any message."""

import json
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from keystore.errors import CredentialsFileError, KmsSetupError
from keystore.kms import credentials_file
from keystore.kms.connect import connector
from keystore.kms.credentials import AwsCredentials, AzureCredentials, GcpCredentials
from keystore.kms.credentials_file import load
from keystore.kms.protocol import reference_of

SECRET = "wJalrXUtnFEMIK7MDENG"
TEXT = f"""
[aws-old]
provider = "aws"
access_key_id = "AKIA1"
secret_access_key = "{SECRET}"

[aws-new]
provider = "aws"
access_key_id = "AKIA2"
secret_access_key = "{SECRET}"
session_token = "{SECRET}"

[vault]
provider = "azure"
tenant_id = "t"
client_id = "c"
client_secret = "{SECRET}"
authority = "https://login.example"

[google]
provider = "gcp"
service_account_file = "account.json"
"""
AWS_KEY, GCP_KEY = "aws://us-east-1/alias/k", "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "account.json").write_text(json.dumps({"type": "service_account", "private_key": SECRET}))
    (tmp_path / "credentials.toml").write_text(TEXT)
    return tmp_path / "credentials.toml"


def test_sections_are_read_and_chosen(path: Path) -> None:
    found = load(path, "aws-new, google")
    assert found is not None
    new, old, vault, google = (found.section(name) for name in ("aws-new", "aws-old", "vault", "google"))
    assert new is not None
    assert new.credentials == AwsCredentials("AKIA2", SECRET, SECRET)
    assert old is not None
    assert old.credentials == AwsCredentials("AKIA1", SECRET)
    assert vault is not None
    assert vault.credentials == AzureCredentials("t", "c", SECRET, authority="https://login.example")
    assert google is not None
    assert isinstance(google.credentials, GcpCredentials)
    assert google.credentials.service_account["private_key"] == SECRET
    assert (found.present("aws"), found.present("gcp"), found.present("azure")) == (new, google, None)
    assert found.section("none") is None
    assert SECRET not in repr((found, new, vault, google))


def test_it_is_where_the_environment_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load() is None
    monkeypatch.setenv(credentials_file.ENVIRONMENT, str(path))
    found = load()
    assert found is not None
    assert found.present("aws") is None
    monkeypatch.setenv(credentials_file.CHOSEN, "aws-old")
    found = load()
    assert found is not None
    present = found.present("aws")
    assert present is not None
    assert present.name == "aws-old"
    monkeypatch.delenv(credentials_file.ENVIRONMENT)
    with pytest.raises(CredentialsFileError, match="no file that has them"):
        load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"secret = '{SECRET}' and more", r"not TOML \(at line 1, column"),
        (f"secret = '{SECRET}'", "'secret' stands outside a section"),
        (f"[a]\nsecret = '{SECRET}'", "section 'a' needs a provider: aws, azure, gcp"),
        (f"[a]\nprovider = 'ibm'\nsecret = '{SECRET}'", "needs a provider"),
        (f"[a]\nprovider = 'aws'\nsecret_access_key = '{SECRET}'", "section 'a' lacks access_key_id"),
        (
            f"[a]\nprovider = 'aws'\naccess_key_id = 'x'\nsecret_access_key = '{SECRET}'\ntoken = '{SECRET}'",
            "section 'a' has token, which aws has not",
        ),
        (f"[a]\nprovider = 'aws'\naccess_key_id = 7\nsecret_access_key = '{SECRET}'", "access_key_id .* is not a text"),
        (
            f"[a]\nprovider = 'aws'\naccess_key_id = ''\nsecret_access_key = '{SECRET}'",
            "access_key_id .* is not a text",
        ),
        ("['a,b']\nprovider = 'aws'", "it has a comma"),
        ('["a\\u0007"]', "cannot be one"),
        ("[a]\nprovider = 'gcp'\nservice_account_file = 'none.json'", "none.json .* cannot be read"),
        ("[a]\nprovider = 'gcp'\nservice_account_file = 'credentials.toml'", "is not JSON"),
        ("[a]\nprovider = 'gcp'\nservice_account_file = 'list.json'", "is not the key of a service account"),
    ],
)
def test_what_cannot_be_used_is_told_without_a_secret(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    (path.parent / "list.json").write_text(f'["{SECRET}"]')
    with pytest.raises(CredentialsFileError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [("none", "no section 'none', but aws-new, aws-old"), ("aws-old,aws-new", "are both for aws")],
)
def test_a_choice_that_cannot_be_is_told(path: Path, chosen: str, message: str) -> None:
    with pytest.raises(CredentialsFileError, match=message):
        load(path, chosen)


@pytest.mark.parametrize("kind", ["missing", "directory", "not UTF-8", "too long"])
def test_a_file_that_cannot_be_read_is_told(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_file, "FILE_BYTES_MAX", 4096)
    if kind == "missing":
        path.unlink()
    elif kind == "directory":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(b"\xff" if kind == "not UTF-8" else b"#" * 5000)
    with pytest.raises(CredentialsFileError, match="cannot be used"):
        load(path)


def test_a_connector_knows_credentials_by_name(path: Path) -> None:
    connect = connector("http://127.0.0.1:9", credentials=load(path, "aws-new"))
    assert (reference_of(connect, AWS_KEY), reference_of(connect, GCP_KEY)) == ("aws-new", "")
    assert reference_of(lambda uri: connect(uri), AWS_KEY) == ""
    old = connect.by_reference(AWS_KEY, "aws-old")
    assert old is not None
    with closing(old):
        assert SECRET not in repr(vars(old))
    assert connect.by_reference(AWS_KEY, "vault") is None
    assert connect.by_reference("local:///cmk", "aws-old") is None
    assert connector().by_reference("local:///cmk", "aws-old") is None
    assert connect.reference("local:///cmk") == ""
    assert connect.by_reference(AWS_KEY, "forgotten") is None
    assert connector().by_reference(AWS_KEY, "aws-old") is None


def test_grpc_takes_no_credentials(path: Path) -> None:
    """By name they are passed over; in use they are a mistake."""
    connect = connector("127.0.0.1:9", credentials=load(path, "aws-new"))
    assert connect.by_reference(AWS_KEY, "aws-old") is None
    with pytest.raises(KmsSetupError, match="carries no credentials"):
        connect(AWS_KEY)
