"""`keystore node serve` as a process: when it serves, when it refuses and how it ends."""

import base64
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.cli import exits
from keystore.errors import KmsUnreachableError, NodeUnreachableError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.agents.running import AgentProcess, Cluster, NodeProcess, run_refused
from tests.emulator.running import process as emulator_process
from tests.emulator_process import CLOUDS, Emulator
from tests.key_files import new_key

CROWD, CONNECTIONS = 64, 8
"""Clients at once, and connections that each makes."""


@pytest.fixture
def directory(tmp_path: Path, cmk: str) -> Path:
    Node.init(tmp_path / "node-1", cmk, connector()).close()
    return tmp_path / "node-1"


@pytest.mark.parametrize("by_call", [False, True], ids=["SIGTERM", "Stop"])
def test_it_serves_until_it_is_stopped_and_keeps_what_was_written(
    directory: Path, cluster: Cluster, processes: list[AgentProcess], by_call: bool
) -> None:
    content = os.urandom(100_000)
    served = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(served)
    with NodeClient(served.wait_ready(), cluster.tls(Role.CLIENT), "node-1") as client:
        assert client.is_serving()
        assert client.status().pid == served.popen.pid
        client.write_file("db", "file", content)
        if by_call:
            with NodeClient(client.address, cluster.tls(Role.CONTROL), "node-1") as control:
                control.stop()
        code, printed = served.wait_end() if by_call else served.terminate()
        assert (code, served.ready_file.exists()) == (exits.OK, False), printed
        with pytest.raises(NodeUnreachableError):
            client.status()
    with Node.open(directory, connector()) as node:
        assert [file.byte_length for file in node.list_files()] == [len(content)]


def test_an_interrupt_ends_it_in_order(directory: Path, cluster: Cluster, processes: list[AgentProcess]) -> None:
    served = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(served)
    served.wait_ready()
    served.popen.send_signal(signal.SIGINT)
    code, printed = served.wait_end()
    assert (code, "has stopped" in printed) == (exits.OK, True)


def test_a_node_that_was_killed_serves_again_with_every_commit(
    directory: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    first = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(first)
    with NodeClient(first.wait_ready(), cluster.tls(Role.CLIENT), "node-1") as client:
        client.create_file("db", "pages", page_size=4096)
        for number in range(10):
            client.write_pages("db", "pages", {number: bytes([number]) * 4096})
    first.kill()
    first.ready_file.unlink()
    second = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(second)
    with NodeClient(second.wait_ready(), cluster.tls(Role.CLIENT), "node-1") as client:
        read = client.read_pages("db", "pages", range(10))
    assert read == {number: bytes([number]) * 4096 for number in range(10)}


def test_a_node_that_was_killed_in_a_conversion_goes_on_with_it(
    directory: Path, tmp_path: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    content, customer, platform = bytes(range(256)) * 8192, new_key(tmp_path / "c"), new_key(tmp_path / "p")
    first = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(first)
    address = first.wait_ready()
    with NodeClient(address, cluster.tls(Role.CLIENT), "node-1") as client:
        client.write_file("db", "file", content)
    with NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as control, pytest.raises(NodeUnreachableError):
        control.convert(customer, platform, 1, lambda done, total: first.kill())
    first.ready_file.unlink()
    second = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(second)
    address = second.wait_ready()
    with (
        NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as control,
        NodeClient(address, cluster.tls(Role.CLIENT), "node-1") as client,
    ):
        assert b"".join(client.read_file("db", "file")) == content
        control.convert(customer, platform, 1)
        status = control.status()
        assert (status.master_key.generation, status.is_converting, status.volume_key_id) == (2, False, platform)
        assert b"".join(client.read_file("db", "file")) == content
        assert control.convert(customer, platform, 1).already_done


@pytest.mark.row("R43", "R44")
@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_starts_only_if_its_key_unwraps_and_needs_no_kms_after_that(
    tmp_path: Path, cluster: Cluster, emulator: Emulator, processes: list[AgentProcess], cloud: str
) -> None:
    uri = emulator.create_key(cloud)
    Node.init(tmp_path / "node-1", uri, connector(emulator.endpoint)).close()
    tls, at = cluster.tls(Role.NODE, "node-1"), ("--kms-endpoint", emulator.endpoint)
    served = NodeProcess(tmp_path / "node-1", tls, *at)
    processes.append(served)
    with NodeClient(served.wait_ready(), cluster.tls(Role.CLIENT), "node-1") as client:
        emulator.disable(uri)
        before = len(emulator.calls())
        client.write_file("db", "file", b"content")
        assert b"".join(client.read_file("db", "file")) == b"content"
        assert len(emulator.calls()) == before
    assert served.terminate()[0] == exits.OK
    refused = run_refused("node", tmp_path / "node-1", tls, *at)
    assert refused.code == exits.KEY_INVALID
    assert "disabled" in refused.err.lower()
    emulator.enable(uri)
    Node.open(tmp_path / "node-1", connector(emulator.endpoint)).close()


@pytest.mark.row("R44")
def test_without_its_kms_it_does_not_start_and_says_so_and_goes_on_if_it_runs(
    tmp_path: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    tls = cluster.tls(Role.NODE, "node-1")
    (tmp_path / "emulator").mkdir()
    with emulator_process(tmp_path / "emulator") as running:
        at = ("--kms-endpoint", running.endpoint)
        with closing(grpc.insecure_channel(running.endpoint)) as channel:
            uri = Emulator(running.endpoint, {"aws": ""}, "", channel).create_key("aws")
        Node.init(tmp_path / "node-1", uri, connector(running.endpoint)).close()
        served = NodeProcess(tmp_path / "node-1", tls, *at)
        processes.append(served)
        address = served.wait_ready()
    with NodeClient(address, cluster.tls(Role.CLIENT), "node-1") as client:
        client.write_file("db", "file", b"content")
    with NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as control:
        with pytest.raises(KmsUnreachableError):
            control.rotate_master(expected_generation=1)
        status = control.status()
        assert (status.key_state, status.master_key.generation) == ("unreachable", 1)
        assert status.key_message
    assert served.terminate()[0] == exits.OK
    refused = NodeProcess(tmp_path / "node-1", tls, *at)
    processes.append(refused)
    code, printed = refused.wait_end()
    assert (code, refused.ready_file.exists()) == (exits.UNREACHABLE, False)
    assert "no KMS answers" in printed


def test_a_directory_is_served_by_one_process(directory: Path, cluster: Cluster, processes: list[AgentProcess]) -> None:
    tls = cluster.tls(Role.NODE, "node-1")
    served = NodeProcess(directory, tls)
    processes.append(served)
    address = served.wait_ready()
    second = run_refused("node", directory, tls)
    assert second.code == exits.LOCKED
    assert f"is open in process {served.popen.pid}" in second.err
    with NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as client:
        assert client.is_serving()


def test_what_cannot_be_served_is_refused_with_a_code_of_its_own(
    tmp_path: Path, directory: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    tls = cluster.tls(Role.NODE, "node-1")
    cases = [
        (tmp_path / "none", tls, (), exits.NOT_THERE),
        (directory, tmp_path / "none", (), exits.NO_CERTIFICATE),
        (directory, cluster.tls(Role.CONTROL), (), exits.NO_CERTIFICATE),
        (directory, tls, ("--listen", "nonsense"), exits.USAGE),
    ]
    for node, place, arguments, code in cases:
        refused = run_refused("node", node, place, *arguments)
        assert refused.code == code, refused.err
    unready = NodeProcess(directory, tls, "--ready-file", tmp_path / "none" / "ready")
    processes.append(unready)
    code, printed = unready.wait_end()
    assert (code, "ready file" in printed) == (exits.USAGE, True)
    Node.open(directory, connector()).close()


def test_nothing_secret_is_printed(directory: Path, cluster: Cluster, processes: list[AgentProcess], cmk: str) -> None:
    secret = Path(cmk.removeprefix("local://")).read_bytes()
    served = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(served)
    address = served.wait_ready()
    content = os.urandom(5000)
    with NodeClient(address, cluster.tls(Role.CLIENT)) as client:
        client.write_file("db", "file", content)
    with NodeClient(address, cluster.tls(Role.CONTROL)) as control:
        control.rotate_master(expected_generation=1)
        control.rotate_master(expected_generation=1)
        control.rotate_data_key("db")
    code, printed = served.terminate()
    assert (code, printed.count("rotate master key")) == (exits.OK, 2)
    assert "for control control of cluster orders: generation 2" in printed
    for hidden in (secret, content, b"PRIVATE KEY"):
        for text in (hidden.hex(), base64.b64encode(hidden).decode(), hidden.decode(errors="ignore")):
            assert not text or text not in printed


def test_a_process_outlives_a_crowd_of_connections_at_once(
    directory: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    served = NodeProcess(directory, cluster.tls(Role.NODE, "node-1"))
    processes.append(served)
    address, tls = served.wait_ready(), cluster.tls(Role.CONTROL)

    def connect() -> int:
        for _ in range(CONNECTIONS):
            with NodeClient(address, tls, "node-1") as client:
                client.status()
        return CONNECTIONS

    with ThreadPoolExecutor(CROWD) as pool:
        made = sum(done.result() for done in [pool.submit(connect) for _ in range(CROWD)])
    assert made == CROWD * CONNECTIONS
    assert served.popen.poll() is None
