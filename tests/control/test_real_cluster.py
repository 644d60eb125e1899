"""Clusters of real processes on each provider's shape: months of rotations, a KMS that is away, and bad input."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from keystore.agents.identity import Role
from keystore.agents.tls import ClusterCa
from keystore.cli import exits
from keystore.control.due import DueTable
from keystore.control.jobs import ROTATION_JOB, WAIT_NS_MAX
from keystore.control.operation_rows import Kind
from keystore.control.plane import Plane
from keystore.control.rolling import Act, OperationState, Touch
from keystore.errors import NodeUnreachableError
from keystore.kms.connect import connector
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import NodeProcess, wait_until
from tests.cli.running import Run, keystore
from tests.control.real_cluster import DAY_NS, NAMES, RealCluster
from tests.emulator_process import CLOUDS, Emulator

HOURS, HOUR_NS = 24, 3600 * 10**9
USED = {"aws": {"DescribeKey", "Encrypt", "Decrypt"}, "azure": {"GetKey", "Encrypt", "Decrypt"}}
USED["gcp"] = {"GetCryptoKey", "GetCryptoKeyVersion", "Encrypt", "Decrypt"}


@pytest.fixture
def kms() -> Iterator[KmsEmulator]:
    with KmsEmulator() as running:
        yield running


@pytest.fixture
def keys(kms: KmsEmulator) -> Iterator[Emulator]:
    """Makes keys, and switches them off and on, as the customer does."""
    with closing(grpc.insecure_channel(kms.grpc_endpoint)) as channel:
        yield Emulator(kms.grpc_endpoint, {"aws": ""}, "", channel)


@pytest.fixture
def make(kms: KmsEmulator, keys: Emulator, tmp_path: Path) -> Iterator[Callable[[str], RealCluster]]:
    """Makes the cluster of a test: with customer keys on, and its processes running."""
    made: list[RealCluster] = []

    def make_one(provider: str) -> RealCluster:
        url = f"sqlite:///{tmp_path / 'control.db'}"
        key, platform_key = keys.create_key(provider), keys.create_key("aws")
        cluster = RealCluster(tmp_path, url, kms.grpc_endpoint, key, platform_key)
        made.append(cluster)
        cluster.start_nodes()
        return cluster

    yield make_one
    for cluster in made:
        cluster.close()


def move(cluster: RealCluster, kms: KmsEmulator, by_ns: int) -> None:
    """Move the clocks of the control plane and of the KMS together."""
    kms.clock.advance(timedelta(microseconds=by_ns // 1000))
    cluster.clock.advance(by_ns)


@pytest.mark.row("R7", "R26", "R27", "R28", "R29", "R30")
@pytest.mark.parametrize("provider", CLOUDS)
def test_four_rotations_in_400_days(
    make: Callable[[str], RealCluster], kms: KmsEmulator, keys: Emulator, provider: str
) -> None:
    cluster = make(provider)
    cluster.start_control()
    due, idle = DueTable(cluster.database), cluster.idle_states()
    key, made = cluster.cluster.customer_key, len(keys.calls())
    end_ns = cluster.begun_ns + 400 * DAY_NS
    with cluster.writing() as writer:
        for _ in range(10):
            (job,) = due.open_jobs(ROTATION_JOB)
            count = len(cluster.history())
            move(cluster, kms, max(0, min(job.at_ns, end_ns) - cluster.clock.now_ns()))
            if job.at_ns > end_ns:
                break
            wait_until(lambda job=job: job not in due.open_jobs(ROTATION_JOB), "the rotation to be found due")  # type: ignore[misc]
            for operation in cluster.history()[count:]:
                cluster.wait_done(operation.id)
            writer.wait_more(1)
    found = cluster.history()
    assert [(each.kind, each.state) for each in found] == [(Kind.ROTATE, OperationState.DONE)] * 4
    days = [round((each.started_ns or 0) - cluster.begun_ns) / DAY_NS for each in found]
    assert [round(day, 1) for day in days] == [90, 180, 270, 360]
    assert cluster.generations() == dict.fromkeys(NAMES, 5)
    for operation in found:
        touches = [step for step in operation.steps if step.act is Act.TOUCH]
        assert [step.attempts for step in touches] == [1, 1, 1]
        times = [time for step in operation.steps for time in (step.started_ns or 0, step.finished_ns or 0)]
        assert times == sorted(times)
    assert cluster.idle_states() == idle
    assert cluster.cluster.customer_key == key
    calls = [call for call in keys.calls()[made:] if call.provider == provider]
    assert {call.operation for call in calls} <= USED[provider]
    assert {call.plaintext_bytes for call in calls if call.operation in ("Encrypt", "Decrypt")} == {32}
    assert {call.key_version for call in calls if call.operation == "Encrypt"} == {
        call.key_version for call in calls if call.operation == "Decrypt"
    }


@pytest.mark.row("R43", "R44")
def test_a_kms_that_is_away_for_a_day_stops_nothing_that_runs(
    make: Callable[[str], RealCluster], kms: KmsEmulator
) -> None:
    cluster = make("aws")
    cluster.start_control()
    with cluster.writing() as writer:
        kms.faults.add("unavailable")
        move(cluster, kms, 90 * DAY_NS)
        wait_until(lambda: bool(cluster.history()) and cluster.history()[0].reason != "", "the rotation to wait")
        for _ in range(HOURS // 4):
            tries = cluster.history()[0].tries
            move(cluster, kms, 4 * HOUR_NS)
            wait_until(lambda tries=tries: cluster.history()[0].tries > tries, "the next try")  # type: ignore[misc]
        writer.wait_more(5)
        waiting = cluster.history()[0]
        assert waiting.state is OperationState.RUNNING
        assert all(step.attempts == 0 for step in waiting.steps)
        assert status(cluster).json["rotation_overdue"]
        assert cluster.generations() == dict.fromkeys(NAMES, 1)

        cluster.kill_node("n3")
        restarted = NodeProcess(cluster.files.node("n3"), cluster.files.tls(Role.NODE, "n3"), env=cluster.env)
        code, said = restarted.wait_end()
        assert code == exits.UNREACHABLE
        assert "Unavailable" in said or "unavailable" in said
        with pytest.raises(NodeUnreachableError), cluster.client("n3") as client:
            client.status()

        kms.faults.clear()
        cluster.start_nodes(["n3"])
        move(cluster, kms, WAIT_NS_MAX)
        done = cluster.wait_done(waiting.id)
    assert done.state is OperationState.DONE
    assert cluster.generations() == dict.fromkeys(NAMES, 2)
    assert not status(cluster).json["rotation_overdue"]


@pytest.mark.row("R63", "R77", "R132")
@pytest.mark.parametrize("which", ["old", pytest.param("new", marks=pytest.mark.soak)])
def test_a_change_halts_midway_and_resumes(make: Callable[[str], RealCluster], keys: Emulator, which: str) -> None:
    cluster = make("azure")
    old, new = cluster.cluster.key_uri, keys.create_key("azure")
    lost = old if which == "old" else new
    with cluster.writing():
        ordered = orders(cluster, "change-cmk", "orders", new, "--no-wait").json["operation"]
        first = Plane(cluster.database, connector(cluster.endpoint)).operator.advance(ordered, lambda connection: None)
        assert first == Touch(0, "n2")
        keys.disable(lost)
        cluster.start_control()
        wait_until(lambda: cluster.operation(ordered).state is OperationState.HALTED, "the halt")
        assert "isabled" in cluster.operation(ordered).reason
        told = status(cluster).json
        assert told["banner"].startswith(f"The cluster moves to {new}")
        assert [member["key"] for member in told["members"]] == [old, new, old]
        assert all(member["serves"] for member in told["members"])
        keys.enable(lost)
        resumed = orders(cluster, "resume", "orders")
    assert (resumed.code, resumed.json["state"]) == (0, "done")
    assert cluster.cluster.customer_key == new
    assert status(cluster).json["banner"] == ""
    encrypted = len([call for call in keys.calls(old.rpartition("/")[2]) if call.operation == "Encrypt"])
    keys.disable(old)
    for name in NAMES:
        cluster.kill_node(name)
    cluster.start_nodes()
    assert cluster.generations() == dict.fromkeys(NAMES, 2)
    assert encrypted == len([call for call in keys.calls(old.rpartition("/")[2]) if call.operation == "Encrypt"])


@pytest.mark.row("R121", "R137")
def test_bad_input_changes_nothing(make: Callable[[str], RealCluster], keys: Emulator) -> None:
    cluster = make("azure")
    key = cluster.cluster.key_uri
    version = key.rpartition("/")[2]
    refused = {
        f"azure://other-vault/key/{version}": exits.USAGE,
        "https://local-vault.vault.azure.net/keys/key": exits.USAGE,
        f"http://local-vault.vault.azure.net/keys/key/{version}": exits.USAGE,
        "key": exits.USAGE,
        key: exits.USAGE,
        f"azure://local-vault/absent/{version}": exits.KEY_INVALID,
    }
    for uri, code in refused.items():
        run = orders(cluster, "change-cmk", "orders", uri, "--no-wait")
        assert run.code == code, run
        assert "othing was" in run.out
    assert orders(cluster, "rotate", "invoices", "--no-wait").code == exits.NOT_THERE
    assert orders(cluster, "convert", "orders", "--on", key, "--no-wait").code == exits.ERROR

    twice = NodeProcess(cluster.files.node("n1"), cluster.files.tls(Role.NODE, "n1"), env=cluster.env)
    assert twice.wait_end()[0] == exits.LOCKED

    own = cluster.files.tls(Role.NODE, "n3")
    authority = ClusterCa.open(cluster.files.directory / "authority")
    cluster.kill_node("n3")
    authority.issue(own, Role.NODE, "n3", now=datetime.now(UTC) - timedelta(days=800))
    code, said = NodeProcess(cluster.files.node("n3"), own, env=cluster.env).wait_end()
    assert code == exits.NO_CERTIFICATE
    assert "expired" in said
    ClusterCa.create(cluster.folder / "former", "orders").issue(own, Role.NODE, "n3")
    cluster.start_nodes(["n3"])
    foreign = orders(cluster, "rotate", "orders", "--no-wait")
    assert foreign.code in (exits.NO_CERTIFICATE, exits.UNREACHABLE)
    assert "n3 does not serve" in foreign.out
    cluster.kill_node("n3")
    authority.issue(own, Role.NODE, "n3")
    cluster.start_nodes(["n3"])

    cluster.kill_node("n2")
    down = orders(cluster, "rotate", "orders", "--no-wait")
    assert down.code == exits.UNREACHABLE
    assert "n2 does not serve" in down.out
    assert cluster.history() == []
    cluster.start_nodes(["n2"])

    assert orders(cluster, "rotate", "orders", "--no-wait").code == exits.OK
    second = orders(cluster, "rotate", "orders", "--no-wait")
    assert second.code == exits.LOCKED
    assert len(cluster.history()) == 1
    assert cluster.generations() == dict.fromkeys(NAMES, 1)


def orders(cluster: RealCluster, *arguments: str) -> Run:
    return keystore("cluster", *arguments, "--database", cluster.url, "--kms-endpoint", cluster.endpoint, "--json")


def status(cluster: RealCluster) -> Run:
    return orders(cluster, "status", "orders")
