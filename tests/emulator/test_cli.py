"""The command line from end to end: every command against a real server, its JSON, its exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from keystore_api.aws_kms.v1 import aws_kms_pb2
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

import keystore.kms.uri
from tests.emulator.running import Running, run_cli

URI_FORMS = {
    "aws": r"aws://us-east-1/[0-9a-f-]{36}",
    "azure": r"azure://local-vault/cmk-[0-9a-f]{8}/[0-9a-f]{32}",
    "gcp": r"gcp://projects/local-project/locations/global/keyRings/local-ring/cryptoKeys/cmk-[0-9a-f]{8}"
    r"/cryptoKeyVersions/1",
}
STATES = {
    "aws": ("Enabled", "Disabled", "PendingDeletion", "Disabled"),
    "azure": ("Enabled", "Disabled", "Deleted", "Enabled"),
    "gcp": ("ENABLED", "DISABLED", "DESTROY_SCHEDULED", "DISABLED"),
}


class Cli:
    """Runs commands against one server."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def text(self, *arguments: str, code: int = 0) -> str:
        done = run_cli(*arguments, endpoint=self.endpoint)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        done = run_cli(*arguments, "--json", endpoint=self.endpoint)
        assert (done.returncode, done.stderr) == (code, ""), done.stdout
        return json.loads(done.stdout)


@pytest.fixture
def cli(running: Running) -> Cli:
    return Cli(running.server.endpoint)


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_life_of_a_key(cli: Cli, provider: str) -> None:
    enabled, disabled, scheduled, cancelled = STATES[provider]
    uri = cli.text("key", "create", "--provider", provider).strip()
    assert re.fullmatch(URI_FORMS[provider], uri)
    assert keystore.kms.uri.parse(uri).provider == provider
    assert [row["uri"] for row in cli.json("key", "list", "--provider", provider)["keys"]] == [uri]
    assert cli.json("key", "disable", uri)["state"] == disabled
    assert cli.json("key", "enable", uri)["state"] == enabled
    rotated = cli.json("key", "rotate", uri)
    assert (rotated["state"], rotated["uri"] == uri) == (enabled, provider == "aws")
    gone = cli.json("key", "schedule-deletion", uri)
    assert (gone["state"], bool(gone["ends_at"])) == (scheduled, True)
    cli.text("key", "disable", uri, code=3 if provider == "azure" else 5)
    assert cli.json("key", "cancel-deletion", uri)["state"] == cancelled
    listed = [line.split() for line in cli.text("key", "list", "--provider", provider).splitlines()]
    assert [cancelled, "-", uri] in listed


def test_created_keys_are_where_they_were_asked_for(cli: Cli) -> None:
    aws = cli.json("key", "create", "--provider", "aws", "--region", "eu-west-1", "--alias", "app")
    assert aws["uri"].startswith("aws://eu-west-1/")
    assert aws["key_id"].startswith("arn:aws:kms:eu-west-1:")
    azure = cli.json("key", "create", "--provider", "azure", "--vault", "contoso", "--name", "mine")
    assert azure["uri"] == f"azure://contoso/mine/{azure['key_version']}"
    assert azure["key_id"] == f"https://contoso.vault.azure.net/keys/mine/{azure['key_version']}"
    place = ["--project", "p", "--location", "europe", "--key-ring", "r", "--name", "k"]
    gcp = cli.json("key", "create", "--provider", "gcp", *place)
    assert gcp["uri"] == "gcp://projects/p/locations/europe/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    assert cli.json("key", "create", "--provider", "gcp", *place, code=6)["error"]["cloud_code"] == "ALREADY_EXISTS"
    assert cli.json("key", "list")["keys"] == []
    assert len(cli.json("key", "list", "--region", "eu-west-1", "--vault", "contoso", *place[:6])["keys"]) == 3


def test_other_forms_of_uris(cli: Cli) -> None:
    azure = cli.json("key", "create", "--provider", "azure")
    assert cli.json("key", "disable", azure["key_id"])["uri"] == azure["uri"]
    gcp = cli.json("key", "create", "--provider", "gcp")
    assert cli.json("key", "disable", f"gcp://{gcp['key_id']}")["uri"] == gcp["uri"]
    aws = cli.json("key", "create", "--provider", "aws")
    assert cli.json("key", "disable", f"aws://us-east-1/{aws['key_id']}")["uri"] == aws["uri"]


def test_what_the_clouds_call_keys(cli: Cli) -> None:
    aws = cli.json("key", "create", "--provider", "aws", "--alias", "app")
    key_id = aws["uri"].rpartition("/")[2]
    alias_arn = aws["key_id"].replace(f"key/{key_id}", "alias/app")
    for name in ("aws://us-east-1/alias/app", "alias/app", key_id, aws["key_id"], alias_arn):
        assert cli.json("key", "disable", name)["uri"] == aws["uri"]
        assert cli.json("key", "enable", name)["state"] == "Enabled"
    assert cli.json("key", "rotate", "alias/app")["uri"] == aws["uri"]
    cli.text("key", "disable", "alias/app", "--region", "eu-west-1", code=3)
    azure = cli.json("key", "create", "--provider", "azure", "--name", "mine")
    path = f"/keys/mine/{azure['key_version']}"
    for name in (f"https://127.0.0.1:4712{path}", f"https://local-vault.vault.localhost{path}"):
        assert cli.json("key", "disable", name)["uri"] == azure["uri"]
    cli.text("key", "schedule-deletion", azure["key_id"])
    deleted = "https://local-vault.vault.azure.net/deletedkeys/mine"
    assert cli.json("key", "cancel-deletion", deleted)["uri"] == azure["uri"]
    gcp = cli.json("key", "create", "--provider", "gcp")
    resource = gcp["uri"].removeprefix("gcp://")
    for name in (resource, gcp["key_id"], f"//cloudkms.googleapis.com/{resource}"):
        assert cli.json("key", "disable", name)["uri"] == gcp["uri"]


def test_a_list_is_not_logged_and_meets_no_fault(cli: Cli) -> None:
    for provider in ("aws", "azure", "gcp"):
        cli.text("key", "create", "--provider", provider)
    before = cli.json("calls")["total"]
    cli.text("fault", "add", "unavailable")
    assert len(cli.json("key", "list")["keys"]) == 3
    assert cli.json("calls")["total"] == before
    assert [(fault["seen"], fault["met"]) for fault in cli.json("fault", "list")["faults"]] == [(0, 0)]
    cli.text("fault", "remove", "--all")


def test_filters_that_can_find_nothing_are_refused_with_what_there_is(cli: Cli) -> None:
    cli.text("key", "create", "--provider", "aws")
    wrong = cli.text("calls", "--operation", "Decrpyt", code=2)
    assert "no cloud has an operation 'Decrpyt'; did you mean Decrypt" in wrong
    assert "aws has no operation 'WrapKey'" in cli.text("calls", "--provider", "aws", "--operation", "WrapKey", code=2)
    assert "there are aws, azure, gcp" in cli.text("calls", "--provider", "amazon", code=2)
    wrong = cli.text("calls", "--outcome", "Throttling_Exception", code=2)
    assert "did you mean ThrottlingException" in wrong
    assert "calls have ended in OK" in wrong
    for right in ("ThrottlingException", "KeyNotFound", "NOT_FOUND", "Hung"):
        assert cli.json("calls", "--outcome", right)["calls"] == []
    cli.text("fault", "add", "error", "--code", "OddException")
    assert cli.json("calls", "--outcome", "OddException")["calls"] == []
    cli.text("fault", "remove", "--all")


def test_applications_and_vaults(cli: Cli) -> None:
    made = cli.text("application", "put", "--permission", "get", "--role", "Key Vault Reader")
    tenant, client_id, secret = (line.partition("=")[2] for line in made.splitlines())
    assert len(secret) > 30
    assert cli.json("application", "list")["applications"][0]["client_id"] == client_id
    assert client_id in cli.text("application", "list")
    again = cli.text("application", "put", client_id, "--secret", "s", "--secret-expires", "2100-01-01T00:00:00Z")
    assert again == f"AZURE_TENANT_ID={tenant}\nAZURE_CLIENT_ID={client_id}\n"
    listed = cli.json("vault", "list")["vaults"]
    assert [(vault["access"], vault["roles"]) for vault in listed] == [
        ({client_id: "get"}, {client_id: "Key Vault Reader"})
    ]
    vault = cli.json("vault", "put", "local-vault", "--by-roles", "--network", "10.0.0.0/8", "--retention-days", "7")
    assert (vault["by_roles"], vault["networks"], vault["retention_days"]) == (True, ["10.0.0.0/8"], 7)
    assert "10.0.0.0/8" in cli.text("vault", "list")
    vault = cli.json("vault", "put", "local-vault", "--anywhere", "--by-policies", "--purge-protection")
    assert (vault["by_roles"], vault["restricted"], vault["purge_protection"]) == (False, False, True)
    assert cli.json("application", "remove", client_id) == {"removed": client_id}
    cli.text("application", "remove", client_id, code=3)
    cli.text("application", "put", "--permission", "fly", code=2)
    cli.text("application", "put", "--secret", "s", "--secret-expires", "soon", code=2)
    cli.text("vault", "put", "local-vault", "--anywhere", "--network", "10.0.0.0/8", code=2)
    cli.text("vault", "put", "a_b", code=2)


@pytest.mark.parametrize("uri", ["nonsense", "aws://", "azure://vault", "gcp://projects/p", "local:///file"])
def test_bad_uris_are_explained(cli: Cli, uri: str) -> None:
    assert "names no key. Its form is aws://" in cli.text("key", "disable", uri, code=2)


def test_options_that_do_not_fit(cli: Cli) -> None:
    uri = cli.text("key", "create", "--provider", "gcp").strip()
    assert "is a key of gcp, not of aws" in cli.text("key", "disable", uri, "--provider", "aws", code=2)
    assert "--days is for aws" in cli.text("key", "schedule-deletion", uri, "--days", "7", code=2)
    aws = cli.text("key", "create", "--provider", "aws").strip()
    cli.text("key", "schedule-deletion", aws, "--days", "6", code=2)
    assert cli.json("key", "schedule-deletion", aws, "--days", "7")["state"] == "PendingDeletion"


def test_unknown_keys(cli: Cli) -> None:
    missing = cli.json("key", "disable", "aws://us-east-1/00000000-0000-4000-8000-000000000000", code=3)
    assert missing["error"]["cloud_code"] == "NotFoundException"
    cli.text("key", "disable", "azure://contoso/none", code=3)
    cli.text("key", "disable", "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k", code=3)


def test_unreachable_server_is_explained() -> None:
    done = run_cli("key", "list", endpoint="127.0.0.1:1")
    assert done.returncode == 4
    assert "no emulator answers at 127.0.0.1:1. Start one with: kms-emulator serve" in done.stderr
    assert run_cli("clock", "get", endpoint="nonsense").returncode == 2


def test_clock_calls_and_reset(cli: Cli, running: Running) -> None:
    uri = cli.text("key", "create", "--provider", "aws").strip()
    with grpc.insecure_channel(running.server.endpoint) as channel:
        request = aws_kms_pb2.EncryptRequest(key_id=uri.rpartition("/")[2], plaintext=b"k" * 32)
        AwsKmsStub(channel).Encrypt(request)
    [call] = cli.json("calls", "--operation", "Encrypt")["calls"]
    assert (call["plaintext_bytes"], call["outcome"], call["provider"]) == (32, "OK", "aws")
    assert "Encrypt" in cli.text("calls")
    cli.text("key", "schedule-deletion", uri)
    assert cli.json("clock", "advance", "30d")["offset_s"] == 30 * 86_400
    cli.text("key", "enable", uri, code=3)
    frozen = cli.json("clock", "set", "2100-01-01T00:00:00Z", "--frozen")
    assert (frozen["now"], frozen["frozen"], frozen["offset_s"] > 0) == ("2100-01-01T00:00:00Z", True, True)
    assert cli.text("clock", "get") == "2100-01-01T00:00:00Z  (frozen)\n"
    cli.text("clock", "advance", "a while", code=2)
    cli.text("clock", "set", "tomorrow", code=2)
    assert cli.json("reset", "--yes") == {"reset": True}
    assert cli.json("calls") == {"calls": [], "total": 0, "dropped": 0}


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("sh", "export KEYSTORE_KMS_ENDPOINT={}"),
        ("fish", "set -gx KEYSTORE_KMS_ENDPOINT {};"),
        ("powershell", '$Env:KEYSTORE_KMS_ENDPOINT = "{}"'),
        ("dotenv", "KEYSTORE_KMS_ENDPOINT={}"),
    ],
)
def test_env_for_each_shell(cli: Cli, shell: str, line: str) -> None:
    assert line.format(cli.endpoint) in cli.text("env", "--shell", shell).splitlines()


def test_env_takes_the_next_port_for_aws(cli: Cli) -> None:
    found = cli.json("env", "--endpoint", "127.0.0.1:6000")
    assert found["AWS_ENDPOINT_URL_KMS"] == found["AWS_ENDPOINT_URL_STS"] == "http://127.0.0.1:6001"
    assert cli.json("env", "--aws-url", "http://localhost:7")["AWS_ENDPOINT_URL_KMS"] == "http://localhost:7"


def test_env_notes_that_it_found_nobody_to_ask(cli: Cli) -> None:
    done = run_cli("env", "--endpoint", "127.0.0.1:1")
    assert (done.returncode, "export AWS_ENDPOINT_URL_KMS=http://127.0.0.1:2" in done.stdout) == (0, True)
    assert "note: no emulator answers at 127.0.0.1:1" in done.stderr
    assert run_cli("env", "--endpoint", cli.endpoint).stderr == ""


def test_env_from_ready_file(cli: Cli, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps({"grpc": "127.0.0.1:5", "aws": "http://127.0.0.1:6"}))
    found = cli.json("env", "--ready-file", str(ready))
    assert (found["KMS_EMULATOR_ENDPOINT"], found["AWS_ENDPOINT_URL_KMS"]) == ("127.0.0.1:5", "http://127.0.0.1:6")
    ready.write_text(json.dumps({"grpc": "127.0.0.1:5", "aws": None}))
    assert "AWS_ENDPOINT_URL_KMS" not in cli.json("env", "--ready-file", str(ready))
    cli.text("env", "--ready-file", str(tmp_path / "none"), code=2)
    ready.write_text("{}")
    cli.text("env", "--ready-file", str(ready), code=2)


def test_help_names_the_exit_codes() -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    for code in range(8):
        assert f"\n {code}  " in done.stdout
