"""Credentials of a snapshot's day: they open it after they were replaced; where refused, the present ones do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystore.control.database import open_database
from keystore.kms.connect import connector
from keystore.kms.given import GivenCredentials
from keystore.projects.configurations import save
from keystore.projects.connecting import ProjectKms
from keystore.projects.fields import read_body
from keystore.projects.settings_rows import Configuration, configuration_of
from keystore.projects.tables import credentials
from kms_emulator.embedded import KmsEmulator
from tests.key_files import new_key
from tests.projects.backup_rig import DAY_NS, BackupRig
from tests.projects.providers import NEEDED, Aws, leading_to


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


def other_user(aws: Aws) -> dict[str, str]:
    """Make another user who may do the same, and return its fields."""
    allow = {"Effect": "Allow", "Action": list(NEEDED["AWS"]), "Resource": "*"}
    user = aws.kms.users.put("second", policy={"Version": "2012-10-17", "Statement": [allow]})
    return {"accessKeyID": user.access_key_id, "secretAccessKey": user.secret_access_key}


def decrypts(aws: Aws, key: str) -> list[str]:
    """Return who had something decrypted under a key."""
    return [call.access_key_id for call in aws.kms.calls(operation="Decrypt", outcome="OK") if key in call.key]


@pytest.mark.row("R73", "R78")
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
    assert rig.take(shop).credential_id == new.credential_id
    with rig.database.read() as connection:
        assert old.credential_id in set(connection.scalars(credentials.select()))
    rig.set(shop, backup_enabled=False)
    rig.go_on(8 * DAY_NS)
    assert rig.snapshots(shop) == []
    with rig.database.read() as connection:
        assert set(connection.scalars(credentials.select())) == {new.credential_id}, "they go with the last snapshot"
