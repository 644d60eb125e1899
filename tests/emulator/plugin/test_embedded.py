"""`KmsEmulator` in plain Python: sync and async, its clock, faults, calls and state, and what it refuses."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from kms_emulator.embedded import KmsEmulator
from kms_emulator.seeding.errors import SeedError
from kms_emulator.storage.errors import DataDirKeyError

EXAMPLE = Path(__file__).parents[3] / "docs" / "seed-example.yaml"


def test_unmodified_client_in_a_with_block() -> None:
    with KmsEmulator() as kms:
        client = kms.boto3_client("kms")
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        sealed = client.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
        assert client.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
        assert kms.aws_endpoint.startswith("http://127.0.0.1:")
        assert [(call.operation, call.outcome) for call in kms.calls()] == [
            ("CreateKey", "OK"),
            ("Encrypt", "OK"),
            ("Decrypt", "OK"),
        ]
        assert [call.plaintext_bytes for call in kms.calls(operation="Decrypt", provider="aws")] == [6]
        [key] = kms.state()["keys"]
        assert (key["name"], key["state"]) == (f"us-east-1/{key_id}", "enabled")
        kms.reset()
        assert (kms.calls(), kms.state()["keys"]) == ([], [])


def test_async_with_leaves_the_callers_loop_free() -> None:
    async def use() -> int:
        async with KmsEmulator() as kms:
            client = kms.boto3_client("kms")
            # Blocks this loop: the emulator answers from its own.
            client.create_key()
            await asyncio.gather(*(asyncio.to_thread(client.create_key) for _ in range(5)))
            return len(kms.calls(operation="CreateKey"))

    assert asyncio.run(use()) == 6


def test_two_at_once_share_nothing() -> None:
    with KmsEmulator() as one, KmsEmulator() as other:
        one.boto3_client().create_key()
        assert one.aws_endpoint != other.aws_endpoint
        assert (len(one.state()["keys"]), len(other.state()["keys"])) == (1, 0)


def test_clock_moves_what_time_moves() -> None:
    with KmsEmulator() as kms:
        client = kms.boto3_client("kms")
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
        before = kms.clock.freeze()
        assert kms.clock.advance(days=6) == before + timedelta(days=6)
        assert client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        kms.clock.advance(timedelta(days=1, minutes=1))
        with pytest.raises(client.exceptions.NotFoundException):
            client.describe_key(KeyId=key_id)
        assert kms.clock.set(datetime(2030, 1, 1, tzinfo=UTC), frozen=True) == datetime(2030, 1, 1, tzinfo=UTC)
        assert kms.clock.now() == datetime(2030, 1, 1, tzinfo=UTC)
        assert kms.clock.restore() < datetime(2100, 1, 1, tzinfo=UTC)
        with pytest.raises(ValueError, match="zero or more"):
            kms.clock.advance(days=-1)


def test_time_is_told_as_on_the_command_line_and_never_guessed() -> None:
    with KmsEmulator() as kms:
        began = kms.clock.freeze()
        assert kms.clock.advance("30d") == began + timedelta(days=30)
        with pytest.raises(ValueError, match=r"'a while' is not a length of time such as 90s, 15m, 24h or 30d"):
            kms.clock.advance("a while")
        with pytest.raises(ValueError, match="year 9999"):
            kms.clock.advance("999999999999d")
        with pytest.raises(ValueError, match="no zone"):
            kms.clock.set(datetime(2030, 1, 1))
        for name in ("from_time", "until_time"):
            with pytest.raises(ValueError, match="no zone"):
                kms.faults.add("close", **{name: datetime(2030, 1, 1)})
        assert (kms.clock.now(), kms.faults.list()) == (began + timedelta(days=30), [])
        there = timezone(timedelta(hours=2))
        assert kms.clock.set(datetime(2030, 1, 1, 2, tzinfo=there), frozen=True) == datetime(2030, 1, 1, tzinfo=UTC)


def test_faults_are_listed_and_removed() -> None:
    with KmsEmulator() as kms:
        number = kms.faults.add(
            "throttle", operation="Encrypt", first=2, count=3, until_time=datetime(2090, 1, 1, tzinfo=UTC)
        )
        [fault] = kms.faults.list()
        assert (fault["number"], fault["kind"], fault["count"]) == (number, "throttle", 3)
        assert (fault["until_time"], fault["seen"], fault["met"]) == ("2090-01-01T00:00:00Z", 0, 0)
        kms.faults.remove(number)
        with pytest.raises(ValueError, match="there is no fault"):
            kms.faults.remove(number)
        for wrong in ({"kind": "earthquake"}, {"kind": "close", "colour": "red"}, {"kind": "latency"}):
            with pytest.raises(ValueError, match=r"kind|colour|delay"):
                kms.faults.add(**wrong)
        kms.faults.add("latency", delay=timedelta(milliseconds=1))
        kms.faults.clear()
        assert kms.faults.list() == []


def test_a_fault_for_an_operation_that_no_cloud_has_is_refused() -> None:
    with KmsEmulator() as kms:
        for fields, text in (
            ({"operation": "Decrpyt"}, "did you mean Decrypt"),
            ({"operation": "decrypt", "provider": "aws"}, "did you mean Decrypt"),
            ({"operation": "ListRoles"}, "no cloud has an operation 'ListRoles'"),
            ({"operation": "WrapKey", "provider": "gcp"}, "gcp has no operation 'WrapKey'"),
        ):
            with pytest.raises(ValueError, match=text):
                kms.faults.add("throttle", **fields)
        assert kms.faults.list() == []
        kms.faults.add("close", operation="WrapKey", provider="azure")


POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"}]}


@pytest.mark.parametrize("policy", [POLICY, json.dumps(POLICY)])
def test_users_are_held_to_their_policies(policy: dict[str, Any] | str) -> None:
    with KmsEmulator(strict_auth=True) as kms:
        alice = kms.users.put("alice", policy=policy)
        assert (alice.arn, alice.secret_access_key in repr(alice)) == ("arn:aws:iam::111122223333:user/alice", False)
        assert kms.users.put("alice") == alice
        for client in (kms.boto3_client(user=alice), kms.boto3_client("kms", user="alice")):
            client.create_key()
            with pytest.raises(client.exceptions.ClientError, match="AccessDeniedException"):
                client.list_keys()
        with pytest.raises(client.exceptions.ClientError, match="UnrecognizedClientException"):
            kms.boto3_client().list_keys()
        assert {call.caller for call in kms.calls(operation="CreateKey")} == {alice.arn}
        kms.users.remove("alice")
        with pytest.raises(client.exceptions.ClientError, match="UnrecognizedClientException"):
            client.create_key()
        with pytest.raises(ValueError, match="there is no user alice"):
            kms.users.remove("alice")
        with pytest.raises(ValueError, match="there is no user alice"):
            kms.boto3_client(user="alice")
        with pytest.raises(ValueError, match="policy"):
            kms.users.put("bob", policy={"Statement": 1})
        assert kms.state()["users"] == []


def test_users_take_a_given_access_key_and_lose_their_policy() -> None:
    with KmsEmulator() as kms:
        alice = kms.users.put("alice", policy=POLICY, access_key_id="AKIA" + "B" * 16, secret_access_key="chosen")
        assert (alice.access_key_id, alice.secret_access_key) == ("AKIA" + "B" * 16, "chosen")
        client = kms.boto3_client(user=alice)
        client.create_key()
        nothing: tuple[dict[str, Any], str] = ({}, " { } ")
        for none in nothing:
            kms.users.put("alice", policy=POLICY)
            client.create_key()
            kms.users.put("alice", policy=none)
            with pytest.raises(client.exceptions.ClientError, match="AccessDeniedException"):
                client.create_key()
        [user] = kms.state()["users"]
        assert (user["policy"], user["access_key_ids"]) == ("", [alice.access_key_id])
        with pytest.raises(ValueError, match="belong together"):
            kms.users.put("alice", access_key_id="AKIA" + "C" * 16)


def test_none_is_a_filter_that_is_not_set() -> None:
    with KmsEmulator() as kms:
        kms.boto3_client().create_key()
        assert len(kms.calls(outcome=None, operation=None, provider=None, key=None, caller=None)) == 1


def test_seed_file_and_reset() -> None:
    with KmsEmulator(seed_file=EXAMPLE) as kms:
        client = kms.boto3_client("kms", region_name="eu-west-1")
        sealed = client.encrypt(KeyId="alias/app", Plaintext=b"secret")["CiphertextBlob"]
        client.disable_key(KeyId="1234abcd-12ab-34cd-56ef-1234567890ab")
        kms.reset()
        assert client.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"


def test_seed_number_repeats() -> None:
    ids = []
    for _ in range(2):
        with KmsEmulator(seed=7) as kms:
            ids.append(kms.boto3_client().create_key()["KeyMetadata"]["KeyId"])
    assert ids[0] == ids[1]


def test_data_dir_outlives_it(tmp_path: Path) -> None:
    with KmsEmulator(data_dir=tmp_path) as kms:
        key_id = kms.boto3_client().create_key()["KeyMetadata"]["KeyId"]
    with KmsEmulator(data_dir=tmp_path) as kms:
        assert kms.boto3_client().describe_key(KeyId=key_id)["KeyMetadata"]["Enabled"]
    with pytest.raises(ValueError, match="exclude each other"):
        KmsEmulator(data_dir=tmp_path, seed=1)
    with pytest.raises(ValueError, match="name one"):
        KmsEmulator(data_key=b"key")
    with pytest.raises(DataDirKeyError, match="in the clear"), KmsEmulator(data_dir=tmp_path, data_key=b"key"):
        pass


def test_failed_start_leaves_nothing_running(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(SeedError, match="cannot be read"), KmsEmulator(data_dir=tmp_path, seed_file=tmp_path / "none"):
        pass
    assert threading.active_count() <= before
    with KmsEmulator(data_dir=tmp_path):
        pass


def test_misuse_is_explained() -> None:
    kms = KmsEmulator()
    for use in (lambda: kms.aws_endpoint, kms.calls, kms.reset, kms.clock.now):
        with pytest.raises(RuntimeError, match="not running"):
            use()
    with kms, pytest.raises(RuntimeError, match="already"):
        kms.start()
    with pytest.raises(RuntimeError, match="not running"):
        kms.reset()
    kms.stop()


def test_environment_points_other_processes_here() -> None:
    code = "import boto3; print(boto3.client('kms').create_key()['KeyMetadata']['KeyState'])"
    with KmsEmulator() as kms:
        variables = os.environ | kms.environment()
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert (done.stdout, len(kms.calls(operation="CreateKey"))) == ("Enabled\n", 1)
