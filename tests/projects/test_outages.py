"""A deployment whose KMS is switched off, or whose key is disabled: what starts, what waits, and what comes back."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from keystore.control.cluster_keys import SameForAll
from keystore.control.jobs import ROTATION_INTERVAL_NS
from keystore.control.operation_rows import Kind, Operation, operations_of
from keystore.control.reports import report
from keystore.control.rolling import OperationState
from keystore.crypto.secret import SecretKey
from keystore.keys.files import Files
from keystore.keys.keyfile import load, unlock
from keystore.kms.connect import connector
from keystore.kms.protocol import KeyDescription, Kms, WrappedKey
from keystore.projects.conditions import Condition, DisabledBy, Life, State
from keystore.projects.deployments import create_deployment
from keystore.projects.settings_rows import configuration_of
from keystore.projects.shapes import Shape
from tests.agents.running import wait_until
from tests.emulator.running import Process
from tests.emulator_process import Emulator
from tests.projects.living import Living, living

CHECK_S, ROTATION_S = 900, ROTATION_INTERVAL_NS // 10**9
CONTENT = b"what a client wrote before the KMS was gone"
SHAPE = Shape("GCP", "EUROPE_WEST_1", "M10", size=2, provider="AWS")


class SwitchedKms:
    """An emulator with a place on disk, that is switched off and on again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = Process(folder, "--data-dir", str(folder / "kms"))
        self.channel = grpc.insecure_channel(self.process.endpoint)
        self.emulator = Emulator(self.process.endpoint, {"aws": str(self.process.ready["aws"])}, "", self.channel)

    def off(self) -> None:
        self.process.end(signal.SIGKILL)
        self.process.ready_file.unlink(missing_ok=True)

    def on(self) -> None:
        ports = [place.rpartition(":")[2] for place in (self.emulator.endpoint, self.emulator.url)]
        where = ("--port", ports[0], "--http-port", ports[1].rstrip("/"), "--https-port", "0")
        self.process = Process(self.folder, "--data-dir", str(self.folder / "kms"), *where)
        grpc.channel_ready_future(self.channel).result(30)

    def close(self) -> None:
        self.channel.close()
        if self.process.popen.poll() is None:
            self.off()


class Seen:
    """A client of a KMS, and what it was given to wrap: a `Kms`."""

    def __init__(self, kms: Kms, secrets: list[bytes]) -> None:
        self._kms, self._secrets = kms, secrets

    def describe(self) -> KeyDescription:
        return self._kms.describe()

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        self._secrets.append(bytes(secret.view()))
        return self._kms.wrap(secret, context)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        return self._kms.unwrap(wrapped, context)

    def close(self) -> None:
        self._kms.close()


class Outage:
    """A running deployment of two members under a key of a KMS that can be switched off."""

    def __init__(self, live: Living, kms: SwitchedKms, secrets: list[bytes]) -> None:
        self.live, self.kms, self.secrets = live, kms, secrets
        self.key = kms.emulator.create_key("aws")
        live.save_aws(self.key)
        with live.database.write() as connection:
            made = create_deployment(connection, live.owner, live.project_id, "orders", SHAPE, live.now_ns())
        self.id = made.id
        live.settle()
        assert self.condition() == Condition(Life.ALIVE)
        for name in ("n1", "n2"):
            with live.clients(self.id)[name] as client:
                client.write_file("db", "file", CONTENT)

    def condition(self) -> Condition:
        return self.live.get(self.id).condition

    def pass_time(self, seconds: float) -> None:
        self.live.advance(seconds)
        self.live.settle()

    def kill(self, name: str) -> None:
        """Kill the process of a member, and wait until its host has not brought it back."""
        former = self.live.hosts(self.id)[name].processes[name].pid
        os.kill(former, signal.SIGKILL)

        def failed() -> bool:
            found = self.live.hosts(self.id)[name].processes[name]
            return found.state == "failed" and found.pid != former and found.failures > 0

        wait_until(failed, f"{name} to fail")

    def read(self) -> set[bytes]:
        found = set()
        for client in self.live.clients(self.id).values():
            with client:
                found.add(b"".join(client.read_file("db", "file")))
        return found

    def validity(self) -> str:
        with self.live.database.read() as connection:
            found = configuration_of(connection, self.live.project_id, "AWS")
        assert found is not None
        return found.state

    def operations(self) -> list[Operation]:
        with self.live.database.read() as connection:
            return operations_of(connection, self.live.cluster(self.id).id)

    def master_keys(self) -> dict[str, bytes]:
        """Return the files of each member's keys."""
        root = self.live.machines.files(self.id).directory / "members"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*") if path.is_file()}

    def keys_in_memory(self) -> list[bytes]:
        """Return what nodes have in their memory only: their master keys and data keys."""
        found, files = [], self.live.machines.files(self.id)
        for name in ("n1", "n2"):
            path = files.node(name) / "keystore"
            loaded = load(Files(), path)
            with closing(connector(self.kms.emulator.endpoint)(loaded.head.wrapped.key_id)) as kms:
                master, keystore = unlock(loaded, kms, path)
            with master:
                found.append(bytes(master.key.view()))
            keys = [key for database in keystore.databases.values() for key in database.data_keys]
            assert keys
            found += [bytes(key.key.view()) for key in keys]
        return found

    def generations(self) -> list[int]:
        found = []
        for name in ("n1", "n2"):
            with self.live.clients(self.id)[name] as client:
                found.append(client.status().master_key.generation)
        return found


@contextmanager
def outage(folder: Path) -> Iterator[Outage]:
    secrets: list[bytes] = []
    with closing(SwitchedKms(folder)) as kms:
        reach = connector(kms.emulator.endpoint)
        keys = SameForAll(lambda uri: Seen(reach(uri), secrets))
        with living(f"sqlite:///{folder / 'control.db'}", folder, kms.emulator, keys) as live:
            yield Outage(live, kms, secrets)


@pytest.mark.row("R43", "R44", "N6")
def test_one_that_restarts_without_its_kms_is_disabled_until_the_kms_is_back(tmp_path: Path) -> None:
    with outage(tmp_path) as orders:
        live, secrets = orders.live, orders.keys_in_memory()
        orders.kms.off()
        orders.kill("n2")
        orders.pass_time(CHECK_S)
        assert orders.condition().state is State.IDLE  # a member serves
        assert orders.validity() == "unreachable"
        with live.clients(orders.id)["n1"] as client:
            assert b"".join(client.read_file("db", "file")) == CONTENT

        orders.kill("n1")
        orders.pass_time(CHECK_S)
        assert (orders.condition().state, orders.condition().disabled_by) == (State.DISABLED, DisabledBy.OUTAGE)
        assert "n1" in live.get(orders.id).reason
        assert live.events(orders.id).count("CLUSTER_INSTANCE_DISABLED") == 1
        for _ in range(3):  # trying again finds no other way to the key
            orders.pass_time(CHECK_S)
            states = live.states(orders.id)  # hosts try again by themselves, too
            assert {states["n1"], states["n2"]} <= {"failed", "starting"}
            assert orders.condition().state is State.DISABLED
        assert len(orders.secrets) >= SHAPE.size
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        for content in (path.read_bytes() for path in files):
            assert not [secret for secret in (*orders.secrets, *secrets) if secret in content]

        orders.kms.on()
        orders.pass_time(CHECK_S)
        assert orders.validity() == "valid"
        assert orders.condition().state is State.IDLE
        assert orders.read() == {CONTENT}
        assert live.events(orders.id)[-1] == "CLUSTER_INSTANCE_ENABLED"


@pytest.mark.row("N15")
@pytest.mark.parametrize("how", ["disabled", "unreachable"])
def test_a_rotation_that_comes_due_meanwhile_is_overdue_and_done_after_the_recovery(tmp_path: Path, how: str) -> None:
    with outage(tmp_path) as orders:
        live = orders.live
        if how == "disabled":
            orders.kms.emulator.disable(orders.key)
        else:
            orders.kms.off()
        orders.pass_time(CHECK_S)
        assert orders.condition().state is (State.DISABLED if how == "disabled" else State.IDLE)
        before = orders.master_keys()
        orders.pass_time(ROTATION_S)
        orders.pass_time(CHECK_S)
        (waiting,) = orders.operations()
        assert (waiting.kind, waiting.is_open) == (Kind.ROTATE, True)
        assert waiting.reason
        assert [step.attempts for step in waiting.steps] == [0] * len(waiting.steps)
        assert report(live.control, live.cluster(orders.id).name).overdue
        assert orders.master_keys() == before

        if how == "disabled":
            orders.kms.emulator.enable(orders.key)
        else:
            orders.kms.on()
        orders.pass_time(CHECK_S)
        orders.pass_time(CHECK_S)
        (done,) = orders.operations()
        assert done.state is OperationState.DONE, done.reason
        assert orders.generations() == [2, 2]
        assert orders.read() == {CONTENT}
        assert not report(live.control, live.cluster(orders.id).name).overdue
        assert orders.condition().state is State.IDLE
