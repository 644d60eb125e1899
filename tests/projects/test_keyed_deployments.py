"""What happens to the deployments of a project when the key of a provider goes and comes back, and where it moves."""

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.due import Due, DueTable, finish
from keystore.projects.change_order import Kind
from keystore.projects.conditions import Condition, DisabledBy, Life, State
from keystore.projects.deployment_rows import (
    SUPERVISE_JOB,
    deployment_of,
    deployments_of,
    insert_change,
    open_changes,
    wake,
)
from keystore.projects.events import list_events
from keystore.projects.keyed_deployments import (
    condition_after_look,
    deployments_using,
    disable_deployments,
    enable_deployments,
    moving_deployments,
    submit_key_change,
)
from keystore.projects.tables import deployments
from tests.projects.made import apply_all, make_deployment, make_project

PAUSED = Condition(Life.ALIVE, paused=True)
GONE = Condition(Life.GONE)


def make_many(connection: sa.Connection) -> str:
    """Make deployments of every kind in a project, and one more in another one."""
    project_id = make_project(connection)
    for name, provider, condition in (
        ("aws-1", "AWS", None),
        ("aws-2", "AWS", None),
        ("gcp", "GCP", None),
        ("none", "NONE", None),
        ("paused", "AWS", PAUSED),
        ("gone", "AWS", GONE),
    ):
        make_deployment(connection, project_id, name, provider, condition)
    make_deployment(connection, make_project(connection, "other"), "aws-1", "AWS")
    return project_id


def states(connection: sa.Connection, project_id: str) -> dict[str, State]:
    found = deployments_of(connection, project_id)
    stored = dict(connection.execute(sa.select(deployments.c.id, deployments.c.state)).all())
    assert all(stored[each.id] == each.condition.state for each in found)
    return {each.name: each.condition.state for each in found}


@pytest.mark.row("R39", "R46", "N5")
def test_every_deployment_of_the_provider_is_disabled_once_and_no_other(database: Database) -> None:
    with database.write() as connection:
        project_id = make_many(connection)
        before = states(connection, project_id)
        assert disable_deployments(connection, project_id, "AWS", "key is disabled", 5) == ["aws-1", "aws-2"]
        disabled = states(connection, project_id)
        assert disabled == {**before, "aws-1": State.DISABLED, "aws-2": State.DISABLED}
        found = {each.name: each for each in deployments_of(connection, project_id)}
        assert found["aws-1"].reason == "invalid Encryption at Rest settings: key is disabled"
        assert found["aws-1"].disabled_since_ns == 5
        assert not found["paused"].condition.is_to_run

        assert disable_deployments(connection, project_id, "AWS", "key is disabled", 6) == []
        assert states(connection, project_id) == disabled
        events, count = list_events(connection, types=["CLUSTER_INSTANCE_DISABLED"])
        assert count == 2
        assert [event.detail["cluster"] for event in events] == ["aws-2", "aws-1"]
        assert {event.at_ns for event in events} == {5}


@pytest.mark.row("R57")
def test_they_are_wanted_again_and_disabled_until_a_member_serves(database: Database) -> None:
    with database.write() as connection:
        project_id = make_many(connection)
        disable_deployments(connection, project_id, "AWS", "", 5)
        assert enable_deployments(connection, project_id, "GCP", 6) == []
        assert enable_deployments(connection, project_id, "AWS", 7) == ["aws-1", "aws-2", "paused"]
        assert enable_deployments(connection, project_id, "AWS", 8) == []
        found = {each.name: each for each in deployments_of(connection, project_id)}
        assert [found[name].condition.is_to_run for name in ("aws-1", "paused", "none")] == [True, False, True]
        assert (found["aws-1"].condition.state, found["aws-1"].disabled_since_ns) == (State.DISABLED, 5)

        condition_after_look(connection, found["aws-1"].id, 0, "no member serves", 9)
        assert deployment_of(connection, found["aws-1"].id).reason == "no member serves"
        condition_after_look(connection, found["aws-1"].id, 1, "", 10)
        back = deployment_of(connection, found["aws-1"].id)
        assert (back.condition.state, back.reason, back.disabled_since_ns) == (State.IDLE, "", None)
        assert list_events(connection, types=["CLUSTER_INSTANCE_ENABLED"])[1] == 1
        paused = condition_after_look(connection, found["paused"].id, 0, "", 10)
        assert paused.state is State.PAUSED


@pytest.mark.row("R44", "N6")
def test_one_of_which_no_member_serves_is_disabled_until_one_does(database: Database) -> None:
    with database.write() as connection:
        made = make_deployment(connection, make_project(connection), "orders", "AWS")
        assert condition_after_look(connection, made.id, 2, "n3 does not serve", 1) == made.condition
        down = condition_after_look(connection, made.id, 0, "the KMS does not answer", 2)
        assert (down.state, down.disabled_by, down.is_to_run) == (State.DISABLED, DisabledBy.OUTAGE, True)
        again = condition_after_look(connection, made.id, 0, "the KMS does not answer", 3)
        assert again == down
        assert deployment_of(connection, made.id).disabled_since_ns == 2
        assert list_events(connection, deployment_id=made.id)[1] == 1


@pytest.mark.row("R76", "R122")
def test_the_banner_is_there_from_the_order_until_the_last_deployment_has_moved(database: Database) -> None:
    with database.write() as connection:
        project_id = make_many(connection)
        assert submit_key_change(connection, project_id, "AWS", "aws://r/new", "alice", 5) == [
            "aws-1",
            "aws-2",
            "paused",
        ]
        assert moving_deployments(connection, project_id, "AWS") == ["aws-1", "aws-2", "paused"]
        assert moving_deployments(connection, project_id, "GCP") == []
        for found in deployments_using(connection, project_id, "AWS")[:2]:
            assert [change.kind for change in open_changes(connection, found.id)] == [Kind.KEY]
            apply_all(connection, found.id)
        assert moving_deployments(connection, project_id, "AWS") == ["paused"]
        none = next(each for each in deployments_of(connection, project_id) if each.name == "none")
        insert_change(connection, none.id, Kind.UPDATE, {"provider": "AZURE"}, "alice", 6)
        assert moving_deployments(connection, project_id, "AZURE") == ["none"]
        assert [each.name for each in deployments_using(connection, project_id, "AZURE")] == ["none"]


def test_a_reason_to_look_is_never_slept_through(database: Database) -> None:
    table = DueTable(database)
    with database.write() as connection:
        made = make_deployment(connection, make_project(connection), "orders")
    (first,) = _open(table)
    assert (first.subject, first.at_ns) == (made.id, 0)
    with database.write() as connection:
        finish(connection, first, 900)
        wake(connection, made.id, 100)
    (second,) = _open(table)
    assert second.at_ns == 100
    with database.write() as connection:
        finish(connection, second, 1000)
        wake(connection, made.id, 100)  # a row of that time is there already
        assert deployment_of(connection, made.id).wakes == 2
    assert [job.at_ns for job in _open(table)] == [101]


def _open(table: DueTable) -> list[Due]:
    return table.open_jobs(SUPERVISE_JOB)
