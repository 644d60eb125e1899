"""The credentials of the snapshot's day, then the present ones, on the very key that the snapshot names (N9)."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keystore.errors import KeyDisabledError, KmsCredentialsError, KmsPermissionError
from keystore.kms import credentials_file
from keystore.kms.connect import Connector, connector
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.restoring_into import restore_into
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import manifest_name
from keystore.snapshots.unlocking import UsedCredentials
from kms_emulator.embedded import KmsEmulator
from tests.snapshots.conftest import contents

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
NOTHING: dict[str, object] = {"Version": "2012-10-17", "Statement": [{**EVERYTHING["Statement"][0], "Effect": "Deny"}]}  # type: ignore[dict-item]


class World:
    """A key at AWS; alice, who took a snapshot under it, and bob, who is there today."""

    def __init__(self, emulator: KmsEmulator, place: Path) -> None:
        self.emulator, self.place = emulator, place
        self.secrets: list[str] = []
        with closing(emulator.boto3_client()) as client:
            self.key = f"aws://us-east-1/{client.create_key()['KeyMetadata']['KeyId']}"
        sections = [self._section(name) for name in ("alice", "bob")]
        (place / "credentials.toml").write_text("\n".join(sections))
        self.target = DirectoryPlace(place / "snapshots")
        (place / "source").write_bytes(b"content" * 1000)
        with Node.init(place / "node", self.key, self.connect("alice")) as node:
            node.import_file("d", "f", place / "source", page_size=4096)
            self.snapshot_id = snapshot(node, self.target).snapshot_id

    def _section(self, name: str) -> str:
        user = self.emulator.users.put(name, policy=EVERYTHING)
        self.secrets.append(user.secret_access_key)
        return (
            f'[{name}]\nprovider = "aws"\naccess_key_id = "{user.access_key_id}"\n'
            f'secret_access_key = "{user.secret_access_key}"\n'
        )

    def connect(self, present: str) -> Connector:
        """Return a connector whose present credentials are those of a user, and that knows all of the file."""
        file = credentials_file.load(self.place / "credentials.toml", present)
        return connector(self.emulator.aws_endpoint, credentials=file)

    def forget(self, name: str) -> None:
        """Take a section out of the file."""
        path = self.place / "credentials.toml"
        path.write_text("\n".join(part for part in path.read_text().split("\n\n") if not part.startswith(f"[{name}]")))

    def callers(self) -> list[str]:
        """Return who called Decrypt on the key, and the emulator's answers."""
        calls = self.emulator.calls(operation="Decrypt", key=parse(self.key).key)
        return [call.caller.rpartition("/")[2] for call in calls]

    def restore(self, present: str, name: str = "restored") -> UsedCredentials:
        made = restore(self.target, self.snapshot_id, self.place / name, self.connect(present))
        assert contents(self.place / name, self.connect("bob"), self.place / "out") == {("d", "f"): b"content" * 1000}
        return made.credentials


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.delenv(credentials_file.ENVIRONMENT, raising=False)
    monkeypatch.delenv(credentials_file.CHOSEN, raising=False)
    with KmsEmulator() as emulator:
        yield World(emulator, tmp_path)


def test_the_manifest_names_them_and_holds_no_secret(world: World) -> None:
    assert read_manifest(world.target, world.snapshot_id).head.credential == "alice"
    data = world.target.get(manifest_name(world.snapshot_id), 1 << 20)
    assert b"alice" in data
    for secret in world.secrets:
        assert secret.encode() not in data


@pytest.mark.row("R78")
def test_those_of_its_day_come_first(world: World) -> None:
    before = len(world.callers())
    assert world.restore("bob") == UsedCredentials("alice", recorded=True)
    assert world.callers()[before] == "alice"


@pytest.mark.parametrize("gone", ["no permission any more", "revoked", "not in the file"])
def test_the_present_ones_open_what_those_of_its_day_cannot(world: World, gone: str) -> None:
    if gone == "no permission any more":
        world.emulator.users.put("alice", policy=NOTHING)
    elif gone == "revoked":
        world.emulator.users.remove("alice")
    else:
        world.forget("alice")
    assert world.restore("bob") == UsedCredentials("bob", recorded=False)
    assert world.callers()[-1] == "bob"


def test_it_holds_for_a_restore_into_a_node_too(world: World) -> None:
    world.emulator.users.put("alice", policy=NOTHING)
    with (
        Node.open(world.place / "node", world.connect("bob")) as node,
        restore_into(node, world.target, world.snapshot_id, world.connect("bob")) as restoring,
    ):
        assert restoring.run().credentials == UsedCredentials("bob", recorded=False)


def test_where_neither_may_the_present_refusal_is_told(world: World) -> None:
    world.emulator.users.put("alice", policy=NOTHING)
    world.emulator.users.put("bob", policy=NOTHING)
    with pytest.raises(KmsPermissionError, match="bob"):
        world.restore("bob")
    world.emulator.users.remove("bob")
    with pytest.raises(KmsCredentialsError, match="Renew the credentials"):
        world.restore("bob")
    assert not (world.place / "restored").exists()


def test_a_key_that_is_disabled_is_not_asked_for_again_with_others(world: World) -> None:
    """What the KMS says of the key holds for everybody."""
    with closing(world.emulator.boto3_client()) as client:
        client.disable_key(KeyId=parse(world.key).key)
    before = len(world.callers())
    with pytest.raises(KeyDisabledError):
        world.restore("bob")
    assert world.callers()[before:] == ["alice"]


def test_the_same_ones_are_asked_once(world: World) -> None:
    assert world.restore("alice") == UsedCredentials("alice", recorded=True)


def test_without_a_file_it_is_what_the_environment_gives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    user = world.emulator.users.get("bob")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", user.secret_access_key)
    plain = connector(world.emulator.aws_endpoint)
    made = restore(world.target, world.snapshot_id, world.place / "r", plain)
    assert made.credentials == UsedCredentials("", recorded=False)
    with Node.open(world.place / "r", plain) as node:
        assert node.credential == ""
        taken = snapshot(node, world.target)
    assert read_manifest(world.target, taken.snapshot_id).head.credential == ""
