"""kill -9 amid the changes of several callers: every acknowledged one is there afterwards, in the clear and sealed."""

import copy
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from tests.emulator.running import WAIT_MAX_S, process, wait_until

CHANGES_MAX, WRITERS = 100_000, 4
"""LIMIT: changes of one writer, if nobody kills the server."""
STEPS = ("describe", "tag", "rotate", "alias", "disable", "describe", "enable", "untag", "rotate", "schedule", "cancel")


@dataclass
class Known:
    """What the server said of one key."""

    state: str = "enabled"
    description: str = ""
    tag: str | None = None
    versions: int = 1
    aliases: list[str] = field(default_factory=list)
    sealed: list[bytes] = field(default_factory=list, compare=False)


class Writer(threading.Thread):
    """Makes changes, one after another, until the server is gone.

    `before` is what was acknowledged of each key, `after` what it would be if the change that is under way was done.
    """

    def __init__(self, endpoint: str, number: int) -> None:
        super().__init__(daemon=True)
        self.endpoint, self.number = endpoint, number
        self.before: dict[str, Known] = {}
        self.after: dict[str, Known] = {}
        self.acknowledged = 0
        self.end = ""

    def run(self) -> None:
        with grpc.insecure_channel(self.endpoint) as channel:
            aws = AwsKmsStub(channel)
            try:
                while self.acknowledged < CHANGES_MAX:
                    self.one_key(aws)
            except grpc.RpcError as error:
                self.end = str(error)

    def one_key(self, aws: AwsKmsStub) -> None:
        key_id = aws.CreateKey(pb.CreateKeyRequest(), timeout=WAIT_MAX_S).key_metadata.key_id
        self.before[key_id], self.after[key_id] = Known(), Known()
        self.acknowledged += 1
        for number, step in enumerate(STEPS):
            known = self.after[key_id]
            if known.state == "enabled":
                request = pb.EncryptRequest(key_id=key_id, plaintext=b"secret")
                known.sealed.append(aws.Encrypt(request, timeout=WAIT_MAX_S).ciphertext_blob)
            self.change(aws, key_id, step, f"{self.number}-{len(self.before)}-{number}")
            self.before[key_id] = copy.deepcopy(known)
            self.acknowledged += 1

    def change(self, aws: AwsKmsStub, key_id: str, step: str, text: str) -> None:
        """Note what shall be, then ask for it."""
        known = self.after[key_id]
        if step == "describe":
            known.description = text
            aws.UpdateKeyDescription(
                pb.UpdateKeyDescriptionRequest(key_id=key_id, description=text), timeout=WAIT_MAX_S
            )
        elif step == "tag":
            known.tag = text
            tags = [pb.Tag(tag_key="tag", tag_value=text)]
            aws.TagResource(pb.TagResourceRequest(key_id=key_id, tags=tags), timeout=WAIT_MAX_S)
        elif step == "untag":
            known.tag = None
            aws.UntagResource(pb.UntagResourceRequest(key_id=key_id, tag_keys=["tag"]), timeout=WAIT_MAX_S)
        elif step == "rotate":
            known.versions += 1
            aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id), timeout=WAIT_MAX_S)
        elif step == "alias":
            known.aliases.append(f"us-east-1/alias/{text}")
            request = pb.CreateAliasRequest(alias_name=f"alias/{text}", target_key_id=key_id)
            aws.CreateAlias(request, timeout=WAIT_MAX_S)
        elif step == "enable":
            known.state = "enabled"
            aws.EnableKey(pb.EnableKeyRequest(key_id=key_id), timeout=WAIT_MAX_S)
        elif step == "schedule":
            known.state = "deletion-scheduled"
            aws.ScheduleKeyDeletion(pb.ScheduleKeyDeletionRequest(key_id=key_id), timeout=WAIT_MAX_S)
        elif step == "cancel":
            known.state = "disabled"
            aws.CancelKeyDeletion(pb.CancelKeyDeletionRequest(key_id=key_id), timeout=WAIT_MAX_S)
        else:
            known.state = "disabled"
            aws.DisableKey(pb.DisableKeyRequest(key_id=key_id), timeout=WAIT_MAX_S)


def seen(key: admin_pb2.Key) -> Known:
    tag = key.attributes.get("tag:tag")
    return Known(key.state, key.attributes["description"], tag, len(key.versions), list(key.aliases))


@pytest.mark.parametrize(("passphrase", "killed_after"), [("", 1), ("", 500), ("correct horse battery staple", 500)])
def test_every_acknowledged_change_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str, killed_after: int
) -> None:
    monkeypatch.setenv("KMS_EMULATOR_PASSPHRASE", passphrase)
    data = ["--data-dir", str(tmp_path / "data")]
    with process(tmp_path, *data) as emulator:
        writers = [Writer(emulator.endpoint, number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        while (so_far := acknowledged_by(writers)) < killed_after:
            wait_until(lambda: acknowledged_by(writers) > so_far or any_ended(writers))
            assert not any_ended(writers), [writer.end for writer in writers]
        assert emulator.end(signal.SIGKILL)[0] == -signal.SIGKILL
        for writer in writers:
            writer.join(WAIT_MAX_S)
    emulator.ready_file.unlink()
    with process(tmp_path, *data) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        state = AdminStub(channel).GetState(admin_pb2.GetStateRequest(), timeout=WAIT_MAX_S)
        found = {key.name.partition("/")[2]: seen(key) for key in state.keys}
        for writer in writers:
            check(writer, found, AwsKmsStub(channel))
        acknowledged = sum(len(writer.before) for writer in writers)
        assert acknowledged <= len(found) <= acknowledged + WRITERS


def acknowledged_by(writers: list[Writer]) -> int:
    return sum(writer.acknowledged for writer in writers)


def any_ended(writers: list[Writer]) -> bool:
    return any(writer.end for writer in writers)


def check(writer: Writer, found: dict[str, Known], aws: AwsKmsStub) -> None:
    for key_id, before in writer.before.items():
        assert found[key_id] in (before, writer.after[key_id])
        if found[key_id].state == "deletion-scheduled":
            aws.CancelKeyDeletion(pb.CancelKeyDeletionRequest(key_id=key_id))
        aws.EnableKey(pb.EnableKeyRequest(key_id=key_id))
        for sealed in before.sealed:
            assert aws.Decrypt(pb.DecryptRequest(ciphertext_blob=sealed)).plaintext == b"secret"
