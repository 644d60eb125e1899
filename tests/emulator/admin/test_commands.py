"""`kms-emulator state|metrics|user` against a running emulator."""

import json
from pathlib import Path

import pytest

from kms_emulator.cli.exits import NOT_FOUND, UNREACHABLE, USAGE
from kms_emulator.embedded import KmsEmulator
from tests.emulator.running import run_cli


def run(emulator: KmsEmulator, *arguments: str, code: int = 0) -> str:
    done = run_cli(*arguments, endpoint=emulator.grpc_endpoint)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def test_state_and_metrics(kms_emulator: KmsEmulator) -> None:
    client = kms_emulator.boto3_client("kms")
    key_id = client.create_key()["KeyMetadata"]["KeyId"]
    client.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    text = run(kms_emulator, "state")
    assert f"us-east-1/{key_id}  aes-256  enabled  1         us-east-1/alias/app" in text
    assert json.loads(run(kms_emulator, "state", "--json"))["calls"] == 2
    assert 'operation="CreateKey",outcome="OK"} 1' in run(kms_emulator, "metrics")
    assert "kms_emulator_keys" in json.loads(run(kms_emulator, "metrics", "--json"))["text"]


def test_users(kms_emulator: KmsEmulator, tmp_path: Path) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    lines = run(kms_emulator, "user", "put", "alice", "--policy-file", str(tmp_path / "policy.json")).splitlines()
    assert lines[0] == "arn:aws:iam::111122223333:user/alice"
    key_id, secret = (line.partition("=")[2] for line in lines[1:])
    client = kms_emulator.boto3_client("kms", aws_access_key_id=key_id, aws_secret_access_key=secret)
    client.create_key()
    calls = json.loads(run(kms_emulator, "calls", "--caller", key_id, "--json"))["calls"]
    assert [(call["operation"], call["caller"]) for call in calls] == [("CreateKey", lines[0])]
    assert key_id in run(kms_emulator, "user", "list")
    assert json.loads(run(kms_emulator, "user", "list", "--json"))["users"][0]["name"] == "alice"
    assert run(kms_emulator, "user", "remove", "alice") == "User alice was removed.\n"
    run(kms_emulator, "user", "remove", "alice", code=NOT_FOUND)
    run(kms_emulator, "user", "put", "a b", code=USAGE)
    run(kms_emulator, "user", "put", "a", "--policy-file", str(tmp_path / "none"), code=USAGE)


def test_a_misspelt_operation_is_refused(kms_emulator: KmsEmulator) -> None:
    assert "did you mean Decrypt" in run(kms_emulator, "fault", "add", "throttle", "--operation", "Decrpyt", code=USAGE)
    assert kms_emulator.faults.list() == []


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_the_uri_of_a_new_key_names_it_everywhere(kms_emulator: KmsEmulator, provider: str) -> None:
    uri = run(kms_emulator, "key", "create", "--provider", provider).strip()
    other = run(kms_emulator, "key", "create", "--provider", provider).strip()
    run(kms_emulator, "key", "disable", uri)
    calls = json.loads(run(kms_emulator, "calls", "--key", uri, "--json"))["calls"]
    (name,) = {call["key"].partition("/cryptoKeyVersions/")[0] for call in calls}
    assert not other.endswith(name.rpartition("/")[2])

    assert run(kms_emulator, "guard", "add", uri, "node").startswith(f"node uses {uri}")

    run(kms_emulator, "fault", "add", "unavailable", "--key", uri, "--count", "1")
    run(kms_emulator, "key", "enable", other)
    run(kms_emulator, "key", "enable", uri, code=UNREACHABLE)
    assert [fault["met"] for fault in kms_emulator.faults.list()] == [1]


def test_an_alias_in_a_uri_is_one_of_its_region(kms_emulator: KmsEmulator) -> None:
    uri = "aws://eu-west-1/alias/app"
    run(kms_emulator, "key", "create", "--provider", "aws", "--region", "eu-west-1", "--alias", "app")
    run(kms_emulator, "guard", "add", uri, "node")
    run(kms_emulator, "guard", "add", "aws://us-east-1/alias/app", "node", code=NOT_FOUND)
