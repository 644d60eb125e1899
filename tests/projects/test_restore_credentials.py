"""Credentials of a snapshot's day: they open it after they were replaced; where refused, the present ones do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystore.control.clusters import cluster_named
from keystore.control.database import open_database
from keystore.errors import ApiError, KmsPermissionError
from keystore.kms.connect import connector
from keystore.kms.given import GivenCredentials
from keystore.projects.backed_up import connect_to_node
from keystore.projects.configurations import save
from keystore.projects.connecting import ProjectKms
from keystore.projects.fields import read_body
from keystore.projects.settings_rows import Configuration, configuration_of
from keystore.projects.tables import credentials
from kms_emulator.embedded import KmsEmulator
from tests.key_files import new_key
from tests.projects.backup_rig import DAY_NS, BackupRig
from tests.projects.providers import NEEDED, Aws, leading_to
from tests.snapshots.test_restore_into import state_of


@pytest.fixture
def aws() -> Iterator[Aws]:
    with KmsEmulator(strict_auth=True) as kms, leading_to(kms):
        yield Aws(kms)


@pytest.fixture
def rig(tmp_path: Path, aws: Aws) -> Iterator[BackupRig]:
    database = open_database(f"sqlite:///{tmp_path / 'control.db'}")
    with BackupRig(tmp_path, database, None, new_key(tmp_path / "platform")) as rig:
        yield rig
    database.close()


def configure(rig: BackupRig, body: dict[str, Any]) -> Configuration:
    """Save a configuration, as the customer does, and have nodes that are made from now on use it."""
    save(rig.plane, rig.project, read_body({"awsKms": body}), "tests")
    with rig.database.write() as connection:
        found = configuration_of(connection, rig.project, "AWS")
    assert found is not None
    message = ProjectKms(rig.plane, rig.project).message([found.key_uri])
    rig.connect = connector(credentials=GivenCredentials.decode(message))
    return found


def other_user(aws: Aws, name: str = "second", denied: str = "") -> dict[str, str]:
    """Make another user who may do the same, but for decrypting under one key, and return its fields."""
    allow = {"Effect": "Allow", "Action": list(NEEDED["AWS"]), "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": f"arn:aws:kms:*:*:key/{denied}"}
    statements = [allow, deny] if denied else [allow]
    user = aws.kms.users.put(name, policy={"Version": "2012-10-17", "Statement": statements})
    return {"accessKeyID": user.access_key_id, "secretAccessKey": user.secret_access_key}


def decrypts(aws: Aws, key: str) -> list[str]:
    """Return who had something decrypted under a key."""
    return [call.access_key_id for call in aws.kms.calls(operation="Decrypt", outcome="OK") if key in call.key]


@pytest.mark.row("R73", "R74", "R78", "R89")
def test_a_snapshot_is_opened_with_the_credentials_of_its_day_then_with_the_present_ones(
    rig: BackupRig, aws: Aws
) -> None:
    old = configure(rig, aws.block())
    old_key, old_user = aws.key, aws.user.access_key_id
    shop = rig.deploy("shop", old.key_uri)
    rig.write(shop, b"then")
    row = rig.take(shop)
    assert row.credential_id == old.credential_id
    second = other_user(aws)
    new = configure(rig, {**aws.new_key(), **second})
    assert new.credential_id != old.credential_id
    rig.give(shop, new.key_uri)
    rig.node(shop).change_cmk(new.key_uri)
    rig.alter(shop, state="IDLE")  # that was the change that waited
    rig.write(shop, b"now")
    before = len(decrypts(aws, old_key))
    done = rig.restore(row, shop)
    assert (done.state, done.credential) == ("completed", old.credential_id)
    assert rig.read(shop) == b"then"
    assert decrypts(aws, old_key)[before:] == [old_user] * 2
    aws.grant()
    before = len(decrypts(aws, old_key))
    done = rig.restore(row, shop)
    assert (done.state, done.credential) == ("completed", new.credential_id), "which were used is recorded"
    assert decrypts(aws, old_key)[before:] == [second["accessKeyID"]] * 2
    other_user(aws, denied=old_key)  # nobody may decrypt under that key any more, and under any other
    rig.write(shop, b"now")
    untouched = state_of(rig.node(shop).directory)
    with pytest.raises(ApiError, match="kms:Decrypt") as refused:
        rig.restore(row, shop)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION")
    assert (state_of(rig.node(shop).directory), rig.read(shop)) == (untouched, b"now")
    other_user(aws)
    assert rig.restore(row, shop).state == "completed"
    assert rig.take(shop).credential_id == new.credential_id
    kept = {path: path.read_bytes() for path in rig.folder.rglob("*") if path.is_file()}
    assert any(path.is_relative_to(rig.place_of(shop)) for path in kept)
    for secret in (aws.user.secret_access_key, second["secretAccessKey"]):
        assert not [path for path, content in kept.items() if secret.encode() in content]
    with rig.database.read() as connection:
        assert old.credential_id in set(connection.scalars(credentials.select()))
    rig.set(shop, backup_enabled=False)
    rig.go_on(8 * DAY_NS)
    assert rig.snapshots(shop) == []
    with rig.database.read() as connection:
        assert set(connection.scalars(credentials.select())) == {new.credential_id}, "they go with the last snapshot"


@pytest.mark.row("R78", "N9")
def test_a_snapshot_goes_to_another_project_with_the_credentials_of_its_own(rig: BackupRig, aws: Aws) -> None:
    here = configure(rig, aws.block())
    shop, key = rig.deploy("shop", here.key_uri), aws.key
    rig.write(shop, b"of the shop")
    row = rig.take(shop)
    with rig.another_project("elsewhere"):
        there = configure(rig, {**aws.block(), **aws.new_key(), **other_user(aws, "elsewhere", denied=key)})
        target = rig.deploy("target", there.key_uri)
    rig.write(target, b"own")
    before = len(decrypts(aws, key))
    done = rig.restore(row, target)
    assert (done.state, done.credential) == ("completed", here.credential_id)
    assert rig.read(target) == b"of the shop"
    assert decrypts(aws, key)[before:] == [aws.user.access_key_id] * 2
    with connect_to_node(cluster_named(rig.database, target), "n1") as node, pytest.raises(KmsPermissionError):
        node.restore_into(*row.place, only_check=True)  # it has them no longer

    aws.kms.users.remove("atlas")
    with pytest.raises(ApiError, match="kms:Decrypt"):
        rig.restore(row, target)
    other_user(aws, "elsewhere")  # whose project it goes to may be let in, too
    done = rig.restore(row, target)
    assert (done.state, done.credential) == ("completed", there.credential_id)


@pytest.mark.row("R73")
def test_other_credentials_must_let_nodes_in_that_are_under_the_former_key(rig: BackupRig, aws: Aws) -> None:
    old = configure(rig, aws.block())
    rig.deploy("shop", old.key_uri)
    denied, new_key = other_user(aws, denied=aws.key), aws.new_key()
    with pytest.raises(ApiError, match=f"clusters are under {old.key_uri} until they have moved") as refused:
        configure(rig, {**new_key, **denied})
    assert (refused.value.code, refused.value.parameters) == ("NO_PERMISSION_TO_ENCRYPT_DECRYPT", ("kms:Decrypt",))
    with rig.database.read() as connection:
        assert configuration_of(connection, rig.project, "AWS") == old
    other_user(aws)
    assert configure(rig, {**new_key, **denied}).credential_id != old.credential_id
    other_user(aws, denied=aws.key)  # what is not so yet counts no less: nodes have not moved
    with pytest.raises(ApiError, match="until they have moved"):
        configure(rig, {**new_key, **other_user(aws, "third", denied=aws.key)})
    aws.client.disable_key(KeyId=aws.key)  # which no credentials change
    assert configure(rig, other_user(aws, "third")).key_uri.endswith(new_key["customerMasterKeyID"])
