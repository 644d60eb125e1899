"""Two transactions at once on PostgreSQL, where neither sees what the other has not committed: no update is lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.errors import ApiError, ControlConflictError
from keystore.kms.connect import connect
from keystore.kms.local import create_key_file
from keystore.kms.protocol import Kms, KmsConnector
from keystore.projects.access import ORGANIZATION, Role
from keystore.projects.api_keys import create_key, delete_key
from keystore.projects.backed_up import local_places
from keystore.projects.conditions import DisabledBy
from keystore.projects.configurations import save
from keystore.projects.deployment_rows import deployments_of
from keystore.projects.deployments import create_deployment, set_paused
from keystore.projects.fields import Settings, read_body
from keystore.projects.grants import principals_with
from keystore.projects.keyed_deployments import disable_deployments, enable_deployments
from keystore.projects.plane import ProjectPlane
from keystore.projects.sealing import Sealer
from keystore.projects.settings_rows import (
    configurations_of,
    insert_credentials,
    retire_credentials,
    seal_credentials,
    store,
)
from keystore.projects.shapes import Shape
from keystore.projects.tables import credentials
from keystore.projects.validation import Validation
from tests.control.postgres import Postgres
from tests.projects.beside import beside
from tests.projects.founding import FOUNDED_NS, Founded, add_configuration, found_project
from tests.projects.made import make_deployment
from tests.projects.validating import StandingClock

ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    return postgres.create_database()


@pytest.fixture
def founded(database: Database) -> Founded:
    return found_project(database)


def plane_of(database: Database, directory: Path, connect: KmsConnector) -> ProjectPlane:
    sealer = Sealer(f"local://{directory / 'platform'}", connect)
    return ProjectPlane(database, StandingClock(), sealer, local_places(directory / "backups"))


def written(database: Database, act: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    def call() -> None:
        with database.write() as connection:
            act(connection, *arguments)

    return call


@pytest.mark.parametrize("act", [disable_deployments, enable_deployments])
def test_a_pause_is_not_lost_to_what_a_check_does_to_the_cluster(
    database: Database, founded: Founded, act: Callable[..., Any]
) -> None:
    with database.write() as connection:
        make_deployment(connection, founded.project_id, "one", "AWS")
        if act is enable_deployments:
            disable_deployments(connection, founded.project_id, "AWS", "why", FOUNDED_NS)
    more = ("why",) if act is disable_deployments else ()
    checked = written(database, act, founded.project_id, "AWS", *more, FOUNDED_NS)
    with beside(database, checked) as (connection, _):
        set_paused(connection, founded.caller, founded.project_id, "one", paused=True, now_ns=FOUNDED_NS)
    with database.read() as connection:
        (found,) = deployments_of(connection, founded.project_id)
    assert found.condition.paused
    wanted = DisabledBy.VALIDATION if act is disable_deployments else DisabledBy.OUTAGE
    assert found.condition.disabled_by is wanted


def test_a_key_is_not_removed_beside_the_making_of_a_cluster_that_uses_it(
    database: Database, founded: Founded, tmp_path: Path
) -> None:
    add_configuration(database, founded.project_id)
    plane = plane_of(database, tmp_path, connect)
    body = read_body({"awsKms": {"enabled": False}})
    with beside(database, lambda: save(plane, founded.project_id, body, "key")) as (connection, other):
        shape = Shape("AWS", "US_EAST_1", "M10", provider="AWS")
        create_deployment(connection, founded.caller, founded.project_id, "one", shape, FOUNDED_NS)
    assert isinstance(other.raised, ApiError)
    assert other.raised.code == "CANNOT_DISABLE_ENCRYPTION_AT_REST"
    with database.read() as connection:
        assert list(configurations_of(connection, founded.project_id)) == ["AWS"]


def test_two_owners_who_delete_each_other_do_not_both(database: Database, founded: Founded) -> None:
    where, now_ns = (ORGANIZATION, founded.organization_id), FOUNDED_NS
    with database.write() as connection:
        second = create_key(connection, founded.organization_id, "second", *where, [Role.ORG_OWNER], "test", now_ns)
    with beside(database, written(database, delete_key, founded.caller, second.id, now_ns)) as (connection, other):
        delete_key(connection, founded.caller, founded.caller.id, now_ns)
    assert isinstance(other.raised, ApiError)
    assert other.raised.code == "CANNOT_DELETE_LAST_OWNER"
    with database.read() as connection:
        assert principals_with(connection, "key", founded.organization_id, [Role.ORG_OWNER]) == [second.id]


def test_credentials_that_others_replaced_meanwhile_are_a_conflict(
    database: Database, founded: Founded, tmp_path: Path
) -> None:
    add_configuration(database, founded.project_id)
    with database.write() as connection:
        (before,) = configurations_of(connection, founded.project_id).values()
        others = insert_credentials(connection, founded.project_id, "AWS", b"other", FOUNDED_NS)
        store(connection, replace(before, credential_id=others, revision=2), is_new=False)
        retire_credentials(connection, before.credential_id, FOUNDED_NS)
    with pytest.raises(ControlConflictError, match="meanwhile"):
        Validation(plane_of(database, tmp_path, connect)).settings(before)


def test_no_transaction_waits_for_the_platform_key(database: Database, founded: Founded, tmp_path: Path) -> None:
    create_key_file(tmp_path / "platform")
    settings = Settings("AWS", {"customerMasterKeyID": ARN, "region": "US_EAST_1"}, {"secretAccessKey": "secret"})
    sealed = seal_credentials(plane_of(database, tmp_path, connect).sealer, founded.project_id, settings)
    add_configuration(database, founded.project_id)
    with database.write() as connection:
        (before,) = configurations_of(connection, founded.project_id).values()
        store(connection, replace(before, public=settings.public), is_new=False)
        mine = credentials.c.id == before.credential_id
        connection.execute(credentials.update().where(mine).values(sealed=sealed))
    waiting: list[int] = []

    def connecting(key_uri: str) -> Kms:
        open_now = sa.text("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        with database.read() as connection:
            waiting.append(int(connection.scalar(open_now) or 0))
        return connect(key_uri)

    body = read_body({"awsKms": {"region": "EU_WEST_1"}})
    with pytest.raises(ApiError):
        save(plane_of(database, tmp_path, connecting), founded.project_id, body, "key")
    assert waiting == [0]
