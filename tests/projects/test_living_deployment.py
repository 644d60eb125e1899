"""A deployment from its making to its end, with real processes: what its key, its queue and its owner do to it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from keystore.control.operation_rows import operations_of
from keystore.errors import ApiError, KeystoreError, NodeUnreachableError
from keystore.projects.alert_configs import create_provider_configs
from keystore.projects.alert_types import needs_rotation
from keystore.projects.alerts import evaluate_rotation_alert, list_alerts
from keystore.projects.change_order import ChangeState
from keystore.projects.conditions import State
from keystore.projects.configurations import save
from keystore.projects.deployment_rows import changes_of, deployment_of, open_changes
from keystore.projects.deployments import (
    create_deployment,
    delete_deployment,
    replace_member,
    schedule_patch,
    set_paused,
    submit_change,
)
from keystore.projects.events import list_events
from keystore.projects.fields import read_body
from keystore.projects.keyed_deployments import (
    disable_deployments,
    enable_deployments,
    moving_deployments,
    submit_key_change,
)
from keystore.projects.metering import Charge, usage
from keystore.projects.node_addresses import addresses_of, project_addresses
from keystore.projects.settings_rows import configuration_of
from keystore.projects.shapes import Shape
from keystore.projects.tables import configurations
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.living import Living, living
from tests.projects.made import make_configuration

CONTENT = b"what a client wrote"
SHAPE = Shape("GCP", "EUROPE_WEST_1", "M10", size=2, provider="AWS")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Iterator[Living]:
    """A project with a key, and processes for what is deployed in it."""
    directory = tmp_path_factory.mktemp("living")
    with living(f"sqlite:///{directory / 'control.db'}", directory, emulator) as made:
        yield made


@pytest.fixture(scope="module")
def key(live: Living, emulator: Emulator) -> str:
    uri = emulator.create_key("aws")
    with live.database.write() as connection:
        make_configuration(connection, live.project_id, "AWS", uri)
    return uri


@pytest.fixture(scope="module")
def orders(live: Living, key: str) -> str:
    """A running deployment of two members with customer keys; its id."""
    with live.database.write() as connection:
        made = create_deployment(connection, live.owner, live.project_id, "orders", SHAPE, live.now_ns())
        assert made.condition.state is State.CREATING
    live.settle()
    assert live.get(made.id).condition.state is State.IDLE, open_reasons(live, made.id)
    write(live, made.id, CONTENT)
    return made.id


def open_reasons(live: Living, deployment_id: str) -> list[str]:
    with live.database.read() as connection:
        return [change.reason for change in open_changes(connection, deployment_id)]


def write(live: Living, deployment_id: str, content: bytes) -> None:
    """Write a file to every member, as a database that replicates does."""
    for name, client in live.clients(deployment_id).items():
        with client:
            if name != "router":
                client.write_file("db", "file", content)


def read(live: Living, deployment_id: str) -> dict[str, bytes]:
    """Return the file as each member and the router have it."""
    found = {}
    for name, client in live.clients(deployment_id).items():
        with client:
            found[name] = b"".join(client.read_file("db", "file"))
    return found


def refusals(live: Living, deployment_id: str) -> dict[str, type[KeystoreError]]:
    """Try to read and write everywhere, and return what came instead."""
    found: dict[str, type[KeystoreError]] = {}
    for name, client in live.clients(deployment_id).items():
        with client, pytest.raises(KeystoreError) as caught:
            b"".join(client.read_file("db", "file"))
        with client, pytest.raises(type(caught.value)):
            client.write_file("db", "file", b"")
        found[name] = type(caught.value)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def data_files(live: Living, deployment_id: str) -> dict[str, bytes]:
    root = live.machines.files(deployment_id).directory / "members"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.store")}


def operations(emulator: Emulator, key: str) -> list[str]:
    """Return how often a key wrapped and unwrapped."""
    identity = key.rpartition("/")[2]
    used = [call for call in emulator.calls() if identity in call.key and call.operation in ("Encrypt", "Decrypt")]
    return [call.operation for call in used]


def disable(live: Living) -> list[str]:
    with live.database.write() as connection:
        return disable_deployments(connection, live.project_id, "AWS", "the key is disabled", live.now_ns())


def enable(live: Living) -> list[str]:
    with live.database.write() as connection:
        return enable_deployments(connection, live.project_id, "AWS", live.now_ns())


def submit(live: Living, deployment_id: str, **change: object) -> None:
    with live.database.write() as connection:
        submit_change(connection, live.owner, deployment_of(connection, deployment_id), change, live.now_ns())


@pytest.mark.row("R13", "R20", "R25")
def test_it_runs_under_the_projects_key_from_the_first_write_on(
    live: Living, orders: str, key: str, emulator: Emulator
) -> None:
    assert set(live.states(orders).values()) == {"running"}
    assert live.events(orders)[0] == "CLUSTER_CREATED"
    assert set(read(live, orders).values()) == {CONTENT}
    assert live.cluster(orders).customer_key == key
    used = [call for call in emulator.calls(key.rpartition("/")[2]) if call.operation == "Encrypt"]
    assert len(used) == SHAPE.size  # one for each member, at its making: it had no other key before
    for name, client in live.clients(orders).items():
        with client:
            if name != "router":
                master_key = client.status().master_key
                assert (master_key.key_id, master_key.generation) == (key, 1)
    for path in live.machines.files(orders).directory.rglob("*"):
        assert not path.is_file() or CONTENT not in path.read_bytes(), path


@pytest.mark.row("R47", "R49", "R50", "R51", "R52", "R57", "N5")
def test_its_key_goes_and_comes_back(live: Living, orders: str, key: str, emulator: Emulator) -> None:
    hosts = live.hosts(orders)
    emulator.disable(key)
    assert disable(live) == ["orders"]
    live.settle()
    down = live.get(orders)
    assert (down.condition.state, down.reason) == (
        State.DISABLED,
        "invalid Encryption at Rest settings: the key is disabled",
    )
    assert set(live.states(orders).values()) == {"stopped"}
    assert set(refusals(live, orders).values()) == {NodeUnreachableError}
    assert {name: host.host_id for name, host in live.hosts(orders).items()} == {
        name: host.host_id for name, host in hosts.items()
    }
    assert [host.pid for host in live.hosts(orders).values()] == [host.pid for host in hosts.values()]

    before, called = data_files(live, orders), Counter(operations(emulator, key))
    submit(live, orders, disk_gb=40)
    submit(live, orders, tier="M30")
    submit(live, orders, disk_gb=80, tier="M40", version="7.0.2")
    with live.database.write() as connection:
        schedule_patch(connection, live.owner, live.project_id, "orders", "7.0.4", live.now_ns())
    live.settle()
    waiting = live.get(orders)
    assert (waiting.shape.version, waiting.shape.disk_gb, waiting.shape.tier) == ("7.0.4", 10, "M10")
    assert waiting.condition.state is State.DISABLED
    patched = live.hosts(orders)
    assert {name: host.host_id for name, host in patched.items()} == {
        name: host.host_id for name, host in hosts.items()
    }
    assert all(patched[name].pid != hosts[name].pid for name in hosts)  # a patch may start a host anew
    assert set(live.states(orders).values()) == {"stopped"}
    assert Counter(operations(emulator, key)) == called
    with live.database.read() as connection:
        assert len(open_changes(connection, orders)) == 3
        lines = [line for line in usage(connection, live.project_id) if line.deployment_id == orders]
    assert {line.kind for line in lines if line.to_ns is None} == set(Charge)
    assert data_files(live, orders) == before

    emulator.enable(key)
    assert enable(live) == ["orders"]
    live.settle()
    back = live.get(orders)
    assert back.condition.state is State.IDLE
    assert (back.shape.disk_gb, back.shape.tier, back.shape.version) == (80, "M40", "7.0.4")
    assert set(live.states(orders).values()) == {"running"}
    assert set(read(live, orders).values()) == {CONTENT}
    assert Counter(operations(emulator, key)) - called == {"Decrypt": SHAPE.size}
    with live.database.read() as connection:
        applied = [change for change in changes_of(connection, orders) if change.kind == "update"]
    assert [change.state for change in applied] == [ChangeState.APPLIED] * 3
    assert [change.applied_ns for change in applied] == sorted(change.applied_ns or 0 for change in applied)
    told = live.events(orders)
    assert told.index("CLUSTER_INSTANCE_DISABLED") < told.index("CLUSTER_INSTANCE_RESTARTED")
    assert told.index("CLUSTER_INSTANCE_RESTARTED") < told.index("CLUSTER_INSTANCE_ENABLED")


@pytest.mark.row("R130", "N1")
def test_a_pause_ends_every_process_and_a_revoked_key_keeps_it_down(
    live: Living, orders: str, key: str, emulator: Emulator
) -> None:
    with live.database.write() as connection:
        set_paused(connection, live.owner, live.project_id, "orders", paused=True, now_ns=live.now_ns())
        with pytest.raises(ApiError) as refused:
            submit_change(connection, live.owner, deployment_of(connection, orders), {"disk_gb": 90}, live.now_ns())
    assert refused.value.code == "CANNOT_UPDATE_PAUSED_CLUSTER"
    live.settle()
    assert live.get(orders).condition.state is State.PAUSED
    assert set(live.states(orders).values()) == {"stopped"}
    assert set(refusals(live, orders).values()) == {NodeUnreachableError}

    emulator.disable(key)
    with live.database.write() as connection:
        set_paused(connection, live.owner, live.project_id, "orders", paused=False, now_ns=live.now_ns())
    live.settle()
    revoked = live.get(orders)
    assert revoked.condition.state is State.DISABLED
    assert key.rpartition("/")[2] in revoked.reason
    states = live.states(orders)  # hosts try again by themselves, too
    assert {states["n1"], states["n2"]} <= {"failed", "starting"}
    assert set(refusals(live, orders).values()) == {NodeUnreachableError}
    emulator.enable(key)
    live.advance(900)
    live.settle()
    assert live.get(orders).condition.state is State.IDLE
    assert set(read(live, orders).values()) == {CONTENT}


def rotation_alerts(live: Living) -> list[str]:
    with live.database.read() as connection:
        found = list_alerts(connection, live.project_id)
    return [alert.state for alert in found if alert.type == needs_rotation("AWS")]


def rotated_ns(live: Living) -> int:
    with live.database.read() as connection:
        return connection.scalar(sa.select(configurations.c.rotated_ns)) or 0


def change_key(live: Living, key: str) -> None:
    """Make a key the project's, and have its deployments move to it."""
    with live.database.write() as connection:
        connection.execute(configurations.update().values(key_uri=key))
        assert submit_key_change(connection, live.project_id, "AWS", key, "owner", live.now_ns()) == ["orders"]
        assert moving_deployments(connection, live.project_id, "AWS") == ["orders"]


@pytest.mark.row("R33", "R34", "R77")
def test_a_new_key_of_the_project_reaches_every_member_and_the_banner_stays_until_then(
    live: Living, orders: str, key: str, emulator: Emulator
) -> None:
    new = emulator.create_key("aws")
    with live.database.write() as connection:
        create_provider_configs(connection, live.project_id, "AWS", 0)
        evaluate_rotation_alert(connection, connection.execute(sa.select(configurations)).one(), live.now_ns())
    assert rotation_alerts(live) == ["OPEN"]
    change_key(live, new)
    emulator.disable(key)
    live.settle()
    live.advance(20)
    live.settle()
    begun_ns = live.now_ns()
    assert (rotated_ns(live), rotation_alerts(live)) == (0, ["OPEN"])  # until the last node has moved
    assert live.get(orders).condition.state is State.UPDATING
    assert "isabled" in open_reasons(live, orders)[0]
    assert set(live.states(orders).values()) == {"running"}
    assert live.cluster(orders).customer_key == key
    emulator.enable(key)
    live.advance(900)
    live.settle()
    live.advance(60)
    live.settle()
    with live.database.read() as connection:
        assert moving_deployments(connection, live.project_id, "AWS") == []
    assert begun_ns < rotated_ns(live) <= live.now_ns()
    assert rotation_alerts(live) == ["CLOSED"]
    assert live.cluster(orders).customer_key == new
    assert live.get(orders).condition.state is State.IDLE
    emulator.disable(key)  # no live node needs it any more
    assert set(read(live, orders).values()) == {CONTENT}

    before, third = rotated_ns(live), emulator.create_key("aws")
    change_key(live, third)
    emulator.disable(third)
    live.finish_operations()
    live.control.requests.abandon(orders)
    live.finish_operations()
    with live.database.read() as connection:
        assert moving_deployments(connection, live.project_id, "AWS") == []
    assert (live.cluster(orders).customer_key, rotated_ns(live)) == (new, before)  # for that one was not completed
    with live.database.write() as connection:
        connection.execute(configurations.update().values(key_uri=new))


def remove_key(live: Living) -> None:
    save(live.plane, live.project_id, read_body({"awsKms": {"enabled": False}}), "owner")


@pytest.mark.row("R9", "R21", "R122", "R123")
def test_customer_keys_go_off_and_on_again_and_are_charged_while_they_are_on(live: Living, orders: str) -> None:
    key_uri, platform_key = live.cluster(orders).customer_key or "", live.machines.platform_key
    for provider in ("NONE", "AWS"):
        submit(live, orders, provider=provider)
        with pytest.raises(ApiError, match="orders") as refused:
            remove_key(live)
        assert refused.value.code == "CANNOT_DISABLE_ENCRYPTION_AT_REST"
        with live.database.read() as connection:
            assert moving_deployments(connection, live.project_id, "AWS") == ["orders"]
        live.finish_operations()
        assert live.get(orders).shape.provider == provider, open_reasons(live, orders)
        with live.database.read() as connection:
            assert moving_deployments(connection, live.project_id, "AWS") == []
        assert (live.cluster(orders).customer_key is None) == (provider == "NONE")
        assert set(read(live, orders).values()) == {CONTENT}
        for name, client in live.clients(orders).items():
            with client:
                if name != "router":
                    status = client.status()
                    found = (status.master_key.key_id, status.volume_key_id)
                    assert found == ((platform_key, "") if provider == "NONE" else (key_uri, platform_key))
        if provider == "NONE":
            remove_key(live)
            with live.database.write() as connection:
                assert configuration_of(connection, live.project_id, "AWS") is None
                make_configuration(connection, live.project_id, "AWS", key_uri)
    with live.database.read() as connection:
        for operation in operations_of(connection, live.cluster(orders).id)[-2:]:
            times = [time for step in operation.steps for time in (step.started_ns or 0, step.finished_ns or 0)]
            assert times == sorted(times)  # one node after the other
    with live.api() as api:
        charged = api.get(f"/groups/{live.project_id}/usage").body["results"]
    off, on = [line for line in charged if (line["clusterId"], line["kind"]) == (orders, "ADVANCED_SECURITY")]
    assert off["start"] < off["end"] <= on["start"]
    assert "end" not in on


@pytest.mark.row("R116")
def test_members_come_with_an_address_of_their_own_and_give_it_back(live: Living, orders: str) -> None:
    with live.database.read() as connection:
        before = addresses_of(connection, orders)
    submit(live, orders, size=3)
    live.settle()
    assert set(live.states(orders)) == {"n1", "n2", "n3", "router"}, open_reasons(live, orders)
    assert set(live.states(orders).values()) == {"running"}
    with live.database.write() as connection:
        grown = addresses_of(connection, orders)
        assert len(set(grown.values())) == 3
        replace_member(connection, live.owner, live.project_id, "orders", "n3", live.now_ns())
    live.settle()
    with live.database.read() as connection:
        replaced = addresses_of(connection, orders)
    assert replaced == {**grown, "n3": replaced["n3"]}
    assert replaced["n3"] != grown["n3"]
    environment = Path(f"/proc/{live.hosts(orders)['n3'].processes['n3'].pid}/environ").read_bytes()
    assert f"KEYSTORE_SOURCE_ADDRESS={replaced['n3']}".encode() in environment.split(b"\0")

    submit(live, orders, size=2)
    live.settle()
    assert set(live.states(orders)) == {"n1", "n2", "router"}
    assert not live.machines.files(orders).node("n3").exists()
    with live.database.read() as connection:
        assert addresses_of(connection, orders) == before
        released = {line.address for line in project_addresses(connection, live.project_id) if line.released_ns}
    assert released == {grown["n3"], replaced["n3"]}
    assert told_released(live, orders) == [[grown["n3"]], [replaced["n3"]]]


def told_released(live: Living, deployment_id: str) -> list[list[str]]:
    """Return the addresses that events said are not needed any more, the earliest first."""
    with live.database.read() as connection:
        found, _ = list_events(connection, deployment_id=deployment_id, types=["CLUSTER_IP_ADDRESSES_RELEASED"])
    return [list(event.detail["ipAddresses"]) for event in reversed(found)]


@pytest.mark.row("R116")
def test_a_deleted_one_leaves_no_process_no_file_and_no_address(live: Living, orders: str) -> None:
    hosts = live.hosts(orders)
    with live.database.read() as connection:
        had = addresses_of(connection, orders)
    disable(live)
    submit(live, orders, disk_gb=200)
    with live.database.write() as connection:
        delete_deployment(connection, live.owner, live.project_id, "orders", live.now_ns())
        with pytest.raises(ApiError, match="being deleted"):
            submit_change(connection, live.owner, deployment_of(connection, orders), {"disk_gb": 90}, live.now_ns())
    live.settle()
    gone = live.get(orders)
    assert gone.condition.state is State.TERMINATED
    assert not any(is_alive(host.pid) for host in hosts.values())
    assert not live.machines.files(orders).directory.exists()
    with live.database.read() as connection:
        assert addresses_of(connection, orders) == {}
    assert told_released(live, orders)[-1] == list(had.values())
    with live.database.read() as connection:
        assert open_changes(connection, orders) == []
        assert not [line for line in usage(connection, live.project_id) if line.to_ns is None]
    assert live.control.database is live.database
    with live.database.write() as connection:
        create_deployment(
            connection, live.owner, live.project_id, "orders", replace(SHAPE, tier="M0", provider="NONE"), 1
        )
