"""`keystore cluster create`, `start` and `stop`: a cluster on this machine, made of real processes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from keystore.agents.identity import Role
from keystore.agents.router_client import RouterClient
from keystore.cli import exits
from keystore.cli.cluster_output import key_column
from keystore.control.clusters import MemberRecord, list_clusters
from keystore.control.creation import ClusterFiles
from keystore.control.database import open_database
from keystore.control.due import Due
from keystore.control.founding import create_local_cluster, local_cluster
from keystore.control.local_hosts import LocalHosts
from keystore.control.plane import Plane
from keystore.control.requests import OPERATION_JOB
from keystore.control.rolling import Done, StepDown, Touch
from keystore.errors import NodeUnreachableError
from keystore.kms.connect import connector
from tests.agents.running import wait_until
from tests.cli.running import PROGRAM, TIMEOUT_S, Run, environment, keystore
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


class Shell:
    """Runs commands on the clusters of one control database; at the end its hosts are ended."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'control.db'}"
        self._made: list[str] = []

    def __call__(self, *arguments: str) -> Run:
        return keystore("cluster", *arguments, "--database", self.url, "--json")

    def create(self, name: str, *arguments: str) -> Run:
        self._made.append(name)
        return self("create", name, "--directory", str(self.folder / name), *arguments)

    def end(self) -> None:
        for name in self._made:
            self("stop", name)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def rotate(shell: Shell) -> None:
    """Carry a rotation out as a control process does."""
    ordered = shell("rotate", "orders", "--no-wait").json["operation"]
    with closing(open_database(shell.url)) as database:
        plane = Plane(database, connector())
        actions = [plane.operator.advance(ordered, lambda connection: None) for _ in range(4)]
        plane.jobs.conclude(Due(OPERATION_JOB, str(ordered), 0), actions[-1], lambda connection: None)
    assert actions == [Touch(0, "n2"), StepDown(1, "n2"), Touch(2, "n1"), Done()]


def router_knows(shell: Shell) -> str:
    """Return who the router takes for the primary; it forwards to that one."""
    address = shell("status", "orders").json["router"]
    files = ClusterFiles(shell.folder / "orders")
    with RouterClient(address, files.tls(Role.CLIENT, "client"), "router") as client:
        assert client.list_files() == []
        assert [member.name for member in client.topology().members] == ["n1", "n2"]
        return client.topology().primary


def stop_beside_a_slow_node(shell: Shell) -> None:
    """Stop the cluster; the command must not return before the last node has ended."""
    hosts = shell.folder / "orders" / "hosts"
    pids = [pid_of(hosts / name / f"{name}.ready") for name in ("n1", "n2", "router")]
    os.kill(pids[0], signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(shell, "stop", "orders")
        try:
            wait_until(lambda: not list(hosts.glob("*.ready")), "the hosts to take no order any more")
            assert not stopping.done()
        finally:
            os.kill(pids[0], signal.SIGCONT)
        assert stopping.result().code == exits.OK
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def pid_of(ready_file: Path) -> int:
    return int(json.loads(ready_file.read_text())["pid"])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_cluster_is_made_stopped_and_started(shell: Shell, cmk: str, other_cmk: str) -> None:
    made = shell.create("orders", "--members", "2", "--cmk", cmk, "--platform-key", other_cmk)
    assert made.code == exits.OK, made
    assert [member["serves"] for member in made.json["members"]] == [True, True]
    assert (made.json["primary"], made.json["key"], made.json["customer_keys"]) == ("n1", cmk, True)
    addresses = [made.json["router"], *(member["address"] for member in made.json["members"])]
    assert router_knows(shell) == "n1"
    rotate(shell)
    assert router_knows(shell) == shell("status", "orders").json["primary"] == "n2"

    stop_beside_a_slow_node(shell)
    stopped = shell("status", "orders")
    assert stopped.code == exits.ERROR
    assert [member["serves"] for member in stopped.json["members"]] == [False, False]
    advice = keystore("cluster", "status", "orders", "--database", shell.url).err
    assert "`keystore cluster start orders` starts what does not run" in advice
    assert f"{shell.folder}/orders/hosts/MEMBER/MEMBER.log" in advice
    assert (shell.folder / "orders/hosts/n1/n1.log").exists()
    assert "n1 does not serve" in shell("rotate", "orders", "--no-wait").json["error"]["message"]

    started = shell("start", "orders")
    assert started.code == exits.OK, started
    assert [started.json["router"], *(member["address"] for member in started.json["members"])] == addresses
    assert router_knows(shell) == "n2"
    assert shell("start", "orders").code == exits.OK

    before = names(shell.folder)
    assert shell("create", "orders", "--platform-key", cmk).code == exits.EXISTS
    assert names(shell.folder) == before


def test_what_cannot_be_made_leaves_nothing(shell: Shell, tmp_path: Path, cmk: str) -> None:
    (tmp_path / "taken").mkdir()
    refused = {
        ("taken", cmk): exits.EXISTS,
        ("absent/cluster", cmk): exits.NOT_THERE,
        ("Orders", cmk): exits.USAGE,
        ("orders", f"local://{tmp_path}/no-key"): exits.KEY_INVALID,
        ("orders", "no key"): exits.USAGE,
    }
    before = names(tmp_path)
    for (place, key), code in refused.items():
        name = place.partition("/")[0]
        run = shell("create", name, "--directory", str(tmp_path / place), "--platform-key", key)
        assert run.code == code, run
        assert shell("status", name).code == exits.NOT_THERE
    assert names(tmp_path) == before | {"control.db"}


def test_an_order_outlives_who_watches_it(shell: Shell, cmk: str) -> None:
    assert shell.create("orders", "--members", "1", "--platform-key", cmk).code == exits.OK
    command = (*PROGRAM, "cluster", "rotate", "orders", "--database", shell.url)
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        assert "nobody has begun yet" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        _, told = watching.communicate(timeout=TIMEOUT_S)
    assert watching.returncode == exits.INTERRUPTED
    assert "the order stands" in told
    shown = keystore("cluster", "status", "orders", "--database", shell.url).out
    assert "rotate: pending" in shown
    assert "next `keystore control serve` on this database carries it out" in shown
    assert shell("abandon", "orders").json["state"] == "abandoned"


def test_keys_of_google_can_be_told_apart_in_a_column() -> None:
    ring = "gcp://projects/a-project/locations/global/keyRings/a-ring/cryptoKeys"
    assert key_column(f"{ring}/orders-1/cryptoKeyVersions/2") == "gcp://a-project/global/a-ring/orders-1/2"
    assert key_column(f"{ring}/cryptoKeys/cryptoKeyVersions/1") == "gcp://a-project/global/a-ring/cryptoKeys/1"
    assert key_column("azure://vault/projects/1") == "azure://vault/projects/1"


class KilledRouter(LocalHosts):
    """Hosts of a cluster whose router is killed as soon as all serve."""

    def start(self, former: Sequence[MemberRecord]) -> list[MemberRecord]:
        started = super().start(former)
        for ready_file in (self._directory / "router.ready", self._directory / "router" / "router.ready"):
            os.kill(pid_of(ready_file), signal.SIGKILL)
        return started


def test_a_cluster_whose_router_dies_at_once_is_not_recorded(tmp_path: Path, cmk: str) -> None:
    place = tmp_path / "orders"
    new = local_cluster("orders", place, 1, cmk, None)
    with closing(open_database(f"sqlite:///{tmp_path / 'control.db'}")) as database:
        with pytest.raises(NodeUnreachableError):
            create_local_cluster(database, 1, connector(), new, KilledRouter(ClusterFiles(place)))
        assert list_clusters(database) == []
    assert not place.exists()
