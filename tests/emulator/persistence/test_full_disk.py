"""A data directory that cannot be written: clients are told why, nothing acknowledged is lost, and it goes on later."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from botocore.exceptions import ClientError
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.core import Core
from kms_emulator.storage.directory import DataDir
from tests.emulator.aws_http.clients import client
from tests.emulator.running import Running

FULL = "database or disk is full; the change did not happen"
KEYS_MAX = 200
SECRET = b"passphrase"


class Disk:
    """A running emulator over a sealed data directory whose file may not grow."""

    def __init__(self, folder: Path) -> None:
        self.data = DataDir(folder, SECRET)
        self.running = Running(Core(self.data.store), http=True)
        self.url = self.running.server.url or ""
        self.kms = client(self.url)
        self.limit(30)

    def limit(self, pages: int) -> None:
        assert self.data.store._db is not None
        self.data.store._db.execute(f"PRAGMA max_page_count={pages}")

    def fill(self) -> tuple[list[str], ClientError]:
        """Make keys until that fails; return those that were acknowledged, and the error."""
        made: list[str] = []
        for _ in range(KEYS_MAX):
            try:
                made.append(self.kms.create_key(Description="x" * 4000)["KeyMetadata"]["KeyId"])
            except ClientError as error:
                return made, error
        pytest.fail("the disk was never full")


@contextmanager
def full_disk(folder: Path) -> Iterator[Disk]:
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.running.stop()
        disk.data.close()


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with full_disk(tmp_path) as disk:
        made, error = disk.fill()
        text = f"{tmp_path}/keys.sqlite: {FULL}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert error.response["Error"] == {"Code": "InternalError", "Message": text}
        assert [record.getMessage() for record in caplog.records] == [f"aws CreateKey failed: {text}"]
        assert sorted(key["KeyId"] for key in disk.kms.list_keys()["Keys"]) == sorted(made)
        disk.limit(10_000)
        made.append(disk.kms.create_key()["KeyMetadata"]["KeyId"])
    with DataDir(tmp_path, SECRET) as data:
        kept = [key.name.removeprefix("us-east-1/") for key in Core(data.store).registry.keys("aws")]
    assert sorted(kept) == sorted(made)


def test_admin_is_told_the_same_over_both_wires(tmp_path: Path) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["kms:Encrypt"] * 900, "Resource": "*"}],
    }
    with full_disk(tmp_path) as disk:
        disk.fill()
        admin = AdminStub(disk.running.channel)
        with pytest.raises(grpc.RpcError) as caught:
            admin.PutUser(admin_pb2.PutUserRequest(name="alice", policy=json.dumps(policy)))
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert (caught.value.details() or "").endswith(FULL)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                f"{disk.url}/_emulator/users", json.dumps({"name": "alice", "policy": policy}).encode()
            )
        with refused.value as answer:
            assert (answer.code, json.load(answer)["message"].endswith(FULL)) == (500, True)
        assert admin.ListUsers(admin_pb2.ListUsersRequest()).users == []
