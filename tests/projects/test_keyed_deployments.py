"""What happens to the deployments of a project when the key of a provider goes and comes back, and where it moves."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.due import Due, DueTable, finish
from keystore.control.founding import record_cluster
from keystore.projects.applying import Applier
from keystore.projects.change_order import Kind
from keystore.projects.codes import Code
from keystore.projects.conditions import Condition, DisabledBy, Life, State
from keystore.projects.deployment_rows import (
    SUPERVISE_JOB,
    deployment_of,
    deployments_of,
    insert_change,
    open_changes,
    store_cluster,
    wake,
)
from keystore.projects.deployments import create_deployment
from keystore.projects.events import list_events
from keystore.projects.keyed_deployments import (
    condition_after_look,
    deployments_using,
    disable_deployments,
    enable_deployments,
    moving_deployments,
    submit_key_change,
)
from keystore.projects.shapes import Shape
from keystore.projects.tables import deployments
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.living import guard, living
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


def statements(database: Database, count: int) -> tuple[int, int]:
    """Return how many statements it takes to stop so many deployments, and to start them again."""
    sent = [0]

    def count_one(*_: object) -> None:
        sent[0] += 1

    taken = list[int]()
    with database.write() as connection:
        project_id = make_project(connection, f"with {count}")
        for number in range(count):
            make_deployment(connection, project_id, f"c{number}", "AWS")
        sa.event.listen(connection, "before_cursor_execute", count_one)
        assert len(disable_deployments(connection, project_id, "AWS", "the key is gone", 1)) == count
        taken.append(sent[0])
        assert len(enable_deployments(connection, project_id, "AWS", 2)) == count
        taken.append(sent[0])
    return taken[0], taken[1]


def states(connection: sa.Connection, project_id: str) -> dict[str, State]:
    found = deployments_of(connection, project_id)
    stored = dict(connection.execute(sa.select(deployments.c.id, deployments.c.state)).all())
    assert all(stored[each.id] == each.condition.state for each in found)
    return {each.name: each.condition.state for each in found}


@pytest.mark.row("R39", "N5")
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


@pytest.mark.row("R39", "N5")
def test_a_change_that_waits_in_the_queue_makes_nobody_depend_on_its_provider(database: Database) -> None:
    with database.write() as connection:
        project_id = make_many(connection)
        found = {each.name: each for each in deployments_of(connection, project_id)}
        insert_change(connection, found["none"].id, Kind.UPDATE, {"provider": "AWS"}, "alice", 4)
        assert disable_deployments(connection, project_id, "AWS", "key is disabled", 5) == ["aws-1", "aws-2"]
        assert states(connection, project_id)["none"] is State.UPDATING
        for provider in ("NONE", "GCP"):
            insert_change(connection, found["aws-1"].id, Kind.UPDATE, {"provider": provider}, "alice", 6)
        assert enable_deployments(connection, project_id, "GCP", 7) == []
        assert disable_deployments(connection, project_id, "GCP", "key is disabled", 8) == ["gcp"]
        assert deployment_of(connection, found["aws-1"].id).reason.endswith("key is disabled")
        assert enable_deployments(connection, project_id, "AWS", 9) == ["aws-1", "aws-2", "paused"]


def test_one_whose_change_to_a_key_is_given_up_is_not_kept_down_by_that_key(tmp_path: Path, emulator: Emulator) -> None:
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        with live.database.write() as connection:
            made = make_deployment(connection, live.project_id, "orders")
            insert_change(connection, made.id, Kind.UPDATE, {"provider": "AWS"}, "alice", 1)

        def lose_the_key(*_: object) -> str:
            with live.database.write() as connection:
                assert disable_deployments(connection, live.project_id, "AWS", "key is disabled", 2) == ["orders"]
            raise Code.ENCRYPTION_AT_REST_SETTINGS_INVALID.error()

        applier = Applier(live.looks.means, {Kind.UPDATE: (lose_the_key, lambda *_: None)})
        for _ in range(2):
            applier.advance(made.id, guard)
        with live.database.write() as connection:
            condition_after_look(connection, made.id, 1, "", 3)
        found = live.get(made.id)
        assert (found.shape.provider, found.condition) == ("NONE", Condition(Life.ALIVE))


def test_one_that_is_under_a_key_stays_so_when_turning_it_on_again_is_given_up(
    tmp_path: Path, emulator: Emulator
) -> None:
    """As where turning it off, which was ordered before, was abandoned."""
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        with live.database.write() as connection:
            made = make_deployment(connection, live.project_id, "orders", "AWS")
            cluster = live.looks.means.machines.cluster(made.id, ["n1"], "aws://us-east-1/a-key")
            store_cluster(connection, made.id, record_cluster(connection, cluster, 0))
            insert_change(connection, made.id, Kind.UPDATE, {"provider": "AWS"}, "alice", 1)

        def refuse(*_: object) -> str:
            raise Code.ENCRYPTION_AT_REST_SETTINGS_INVALID.error()

        applier = Applier(live.looks.means, {Kind.UPDATE: (refuse, lambda *_: None)})
        for _ in range(2):
            applier.advance(made.id, guard)
        with live.database.write() as connection:
            assert open_changes(connection, made.id) == []
            assert disable_deployments(connection, live.project_id, "AWS", "key is disabled", 2) == ["orders"]


def test_a_conversion_that_is_abandoned_before_any_member_leaves_no_provider(
    tmp_path: Path, emulator: Emulator
) -> None:
    key = emulator.create_key("aws")
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        live.save_aws(key)
        shape = Shape("GCP", "EUROPE_WEST_1", "M10", size=1)
        with live.database.write() as connection:
            made = create_deployment(connection, live.owner, live.project_id, "plain", shape, live.now_ns())
        live.settle()
        emulator.disable(key)
        with live.database.write() as connection:
            insert_change(connection, made.id, Kind.UPDATE, {"provider": "AWS"}, "alice", live.now_ns())
        live.settle()
        assert live.get(made.id).shape.provider == "AWS"
        live.control.requests.abandon(made.id)
        live.advance(60)
        live.settle()
        found = live.get(made.id)
        assert (found.shape.provider, found.condition) == ("NONE", Condition(Life.ALIVE))
        assert set(live.states(made.id).values()) == {"running"}


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


def test_many_deployments_are_stopped_and_started_by_as_many_statements_as_one(database: Database) -> None:
    assert statements(database, 30) == statements(database, 1)
