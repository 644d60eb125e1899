"""Served nodes for tests: in this process where only the calls count, as the real program where the process counts."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.agents.process import Stopping
from keystore.agents.service import NodeService
from keystore.agents.serving import AgentServer
from keystore.agents.tls import ClusterCa
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.cli.running import PROGRAM, Run, environment, keystore

WAIT_MAX_S = 60.0
POLL_S = 0.02


def wait_until(is_so: Callable[[], bool], what: str, poll_s: float = POLL_S) -> None:
    end_s = time.monotonic() + WAIT_MAX_S
    while not is_so():
        assert time.monotonic() < end_s, f"waited {WAIT_MAX_S:.0f} s for {what}"
        time.sleep(poll_s)


class Cluster:
    """An authority, and certificates that it issues when first asked for."""

    def __init__(self, authority: ClusterCa, folder: Path) -> None:
        self.authority, self._folder = authority, folder

    def tls(self, role: Role, name: str = "") -> Path:
        """Return the directory of a process's certificates."""
        place = self._folder / f"{role}-{name or role}"
        if not place.exists():
            self.authority.issue(place, role, name or str(role))
        return place


class ServedNode:
    """A node that this process serves; a context manager that ends it."""

    def __init__(self, node: Node, cluster: Cluster, name: str) -> None:
        self.node, self.cluster, self.name = node, cluster, name
        self.stopping = Stopping()
        self.service = NodeService(node, connector(), self.stopping.begin)
        self.server = AgentServer("127.0.0.1:0", cluster.tls(Role.NODE, name), Role.NODE, self.service.service())
        self.server.start()
        self.address = self.server.address
        self._stack = ExitStack()

    @classmethod
    def init(cls, directory: Path, cmk: str, cluster: Cluster) -> Self:
        return cls(Node.init(directory, cmk, connector()), cluster, directory.name)

    def client(self, role: Role = Role.CONTROL) -> NodeClient:
        """Return a client with a certificate for `role`, closed with this."""
        return self._stack.enter_context(NodeClient(self.address, self.cluster.tls(role), self.name))

    def end(self) -> None:
        """End as the program does."""
        self._stack.close()
        self.service.begin_stop()
        self.server.stop()
        self.node.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class AgentProcess:
    """`keystore node serve`, or of another kind, started; `wait_ready` or `wait_end` comes next."""

    kind = "node"
    program: Sequence[str] = PROGRAM

    def __init__(self, directory: Path, tls: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
        self.ready_file = directory.with_name(f"{directory.name}.ready")
        places = ["--tls", tls, "--ready-file", self.ready_file]
        command = [*self.program, self.kind, "serve", directory, *places, *arguments]
        self.popen = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(env),
        )

    def wait_ready(self) -> str:
        """Return the address once it serves."""
        wait_until(lambda: self.ready_file.exists() or self.popen.poll() is not None, "the node to serve")
        assert self.popen.poll() is None, self.popen.communicate()
        return str(json.loads(self.ready_file.read_text())["address"])

    def wait_end(self) -> tuple[int, str]:
        """Return its exit code and all that it printed."""
        out, error = self.popen.communicate(timeout=WAIT_MAX_S)
        assert "Traceback" not in error, error
        return self.popen.returncode, out + error

    def terminate(self) -> tuple[int, str]:
        self.popen.send_signal(signal.SIGTERM)
        return self.wait_end()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=WAIT_MAX_S)


def run_refused(kind: str, directory: Path, tls: Path, *arguments: str | Path) -> Run:
    """Run a command that serves and must refuse to, in this process; nothing says that it is ready."""
    ready_file = directory.with_name(f"{directory.name}.refused")
    ended = keystore(kind, "serve", directory, "--tls", tls, "--ready-file", ready_file, *arguments)
    assert ended.code != 0
    assert not ready_file.exists()
    return ended


class NodeProcess(AgentProcess):
    """`keystore node serve`."""


class HostProcess(AgentProcess):
    """`keystore host serve`."""

    kind = "host"


class RouterProcess(AgentProcess):
    """`keystore router serve`."""

    kind = "router"
