"""Credentials on their way to a node: from an order through the host's memory, and nowhere else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.agents.supervised import NEEDS_CREDENTIALS, ProcessReport
from keystore.errors import InputError, KmsCredentialsError
from keystore.kms.connect import connector
from keystore.kms.credentials import AwsCredentials, AzureCredentials, GcpCredentials
from keystore.kms.credentials_file import Section
from keystore.kms.given import MESSAGE_BYTES_MAX, GivenCredentials
from keystore.node.directory import Node
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import Cluster, HostProcess, wait_until
from tests.projects.providers import Aws, environment_of, leading_to

SECRET = "canary-secret-of-a-customer-0123456789ab"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with KmsEmulator(strict_auth=True) as kms, leading_to(kms):
        yield Aws(kms)


def given(aws: Aws, name: str = "first", **changed: str) -> GivenCredentials:
    values = {**aws.block(), **changed}
    found = AwsCredentials(values["accessKeyID"], values["secretAccessKey"])
    return GivenCredentials([Section(name, "aws", found)], [name])


class Host:
    """A host that looks after `node-1`, and its client."""

    def __init__(self, tmp_path: Path, cluster: Cluster, aws: Aws) -> None:
        node = ("--node", tmp_path / "node-1", cluster.tls(Role.NODE, "node-1"))
        places = tmp_path / "host-1", cluster.tls(Role.HOST, "host-1")
        # What an SDK would find on this machine must not be what lets the node in.
        nobody = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        env = {**environment_of(aws.kms), **nobody}
        self.process = HostProcess(*places, *node, "--await-credentials", env=env)
        self.client = HostClient(self.process.wait_ready(), cluster.tls(Role.CONTROL), "host-1")

    def settled(self, state: str) -> ProcessReport:
        wait_until(lambda: self.client.status().processes["node-1"].state == state, f"the node to be {state}")
        return self.client.status().processes["node-1"]

    def kill(self) -> None:
        self.process.kill()
        self.process.ready_file.unlink()
        self.client.close()


@pytest.mark.row("R57", "R74", "R130")
def test_a_node_starts_with_the_credentials_of_an_order_and_they_are_nowhere_else(
    tmp_path: Path, cluster: Cluster, aws: Aws
) -> None:
    made = aws.kms.users.put("atlas", access_key_id="AKIACANARYCANARYCANA", secret_access_key=SECRET)
    credentials = given(aws, accessKeyID=made.access_key_id, secretAccessKey=SECRET)
    connect = connector(credentials=credentials)
    Node.init(tmp_path / "node-1", f"aws://us-east-1/{aws.key}", connect).close()
    host = Host(tmp_path, cluster, aws)
    waiting = host.settled("failed")
    assert (waiting.reason, waiting.next_start_ns, waiting.failures) == (NEEDS_CREDENTIALS, None, 0)
    before = len(aws.calls())
    first = host.client.start("node-1", credentials=credentials.encode())
    assert first.state == "running", first
    assert aws.calls()[before:] == ["Decrypt"]
    for proc in (first.pid, host.process.popen.pid):
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{proc}/{name}").read_bytes()

    os.kill(first.pid, signal.SIGKILL)  # the host starts it again by itself, with what it has
    wait_until(lambda: host.client.status().processes["node-1"].pid not in (0, first.pid), "another node")
    again = host.settled("running")
    assert host.client.restart("node-1").state == "running"

    host.kill()
    host = Host(tmp_path, cluster, aws)
    running = host.settled("running")
    assert running.pid not in (first.pid, again.pid)
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: host.client.status().processes["node-1"].reason == NEEDS_CREDENTIALS, "the host to give up")
    assert host.client.start("node-1", credentials=credentials.encode()).state == "running"

    assert host.client.stop("node-1").state == "stopped"  # which forgets them
    assert host.client.start("node-1").reason == NEEDS_CREDENTIALS
    host.process.terminate()
    host.client.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_served_node_takes_other_credentials_and_rotates_with_them(
    tmp_path: Path, cluster: Cluster, aws: Aws
) -> None:
    key = f"aws://us-east-1/{aws.key}"
    Node.init(tmp_path / "node-1", key, connector(credentials=given(aws))).close()
    host = Host(tmp_path, cluster, aws)
    address = host.client.start("node-1", credentials=given(aws).encode()).address
    with NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as node:
        assert node.rotate_master().master_key.generation == 2
        changed = aws.new_credentials()
        aws.client.disable_key(KeyId=aws.key)
        aws.client.enable_key(KeyId=aws.key)
        node.give_credentials(given(aws, "wrong", secretAccessKey="x" * 40).encode())
        with pytest.raises(KmsCredentialsError):
            node.rotate_master()
        node.give_credentials(given(aws, "second", **changed).encode())
        assert node.rotate_master().master_key.generation == 3
        with pytest.raises(InputError, match="cannot be read"):
            node.give_credentials(b"{}")
        assert node.rotate_master().master_key.generation == 4
        node.give_credentials(given(aws, "wrong", secretAccessKey="x" * 40).encode())
        with pytest.raises(KmsCredentialsError):
            node.rotate_master()
    host.process.terminate()
    host.client.close()


def test_a_process_that_needs_none_says_so(tmp_path: Path, cluster: Cluster, aws: Aws, cmk: str) -> None:
    Node.init(tmp_path / "node-1", cmk, connector()).close()
    host = Host(tmp_path, cluster, aws)
    assert host.settled("failed").reason == NEEDS_CREDENTIALS
    assert host.client.start("node-1", credentials=b"").state == "running"
    with pytest.raises(InputError, match="at most"):
        host.client.start("node-1", credentials=bytes(MESSAGE_BYTES_MAX + 1))
    host.process.terminate()
    host.client.close()
    host = Host(tmp_path, cluster, aws)
    assert host.settled("running").failures == 0
    host.process.terminate()
    host.client.close()


def test_the_message_holds_every_kind_and_shows_none() -> None:
    sections = [
        Section("a", "aws", AwsCredentials("AKIA", SECRET, SECRET)),
        Section("b", "azure", AzureCredentials("t", "c", SECRET, "https://login")),
        Section("c", "gcp", GcpCredentials({"private_key": SECRET})),
        Section("d", "aws", AwsCredentials("AKIA2", SECRET)),
    ]
    found = GivenCredentials.decode(GivenCredentials(sections, ["b", "d"]).encode())
    assert [found.section(each.name) for each in sections] == sections
    assert [found.present(name) for name in ("aws", "azure", "gcp")] == [sections[3], sections[1], None]
    assert SECRET not in repr(found) + repr(found.section("a")) + repr(found.section("c"))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"sections": [], "in_use": ["a"]}',
        b'{"sections": [{}], "in_use": []}',
        b'{"sections": [{"name": "a", "provider": "x", "credentials": {}}], "in_use": []}',
        b'{"sections": [{"name": "a", "provider": "aws", "credentials": {"more": 1}}], "in_use": []}',
        b'{"sections": [{"name": 1, "provider": "aws", "credentials": {"access_key_id": "", "secret_access_key": ""}}]'
        b', "in_use": []}',
        b"[" * 100_000,
        b" " * (MESSAGE_BYTES_MAX + 1),
    ],
)
def test_a_message_that_is_none_is_refused(message: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        GivenCredentials.decode(message)
