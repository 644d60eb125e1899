"""The hosts of a cluster that runs on this machine: one for each member and the router, each looks after its process.

    DIRECTORY/hosts/NAME          what the host remembers, and the logs of its node
    DIRECTORY/hosts/NAME.log      its own log
    DIRECTORY/hosts/NAME.ready    while it runs: its address

They outlive the command that starts them. On other machines a host is started by what starts services there.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from keystore.agents.host import PROGRAM
from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.agents.supervised import ProcessReport
from keystore.control.clusters import ROUTER, MemberRecord
from keystore.control.creation import ClusterFiles
from keystore.errors import AgentError, NodeUnreachableError

ANY_PORT = "127.0.0.1:0"
START_S = 90.0
"""LIMIT: seconds for a host and its node to start; a KMS may take a while to say no."""
STOP_S = 90.0
"""LIMIT: seconds for a host to end its node and itself; it takes up to 70 for one that has to be killed."""
LOOK_EVERY_S = 0.05


class LocalHosts:
    """The hosts of the cluster in a directory.

    Args:
        root: options of `keystore` before the command, for all of them.
        options: options of `host serve`, such as where the KMS is.
        environment_of: gives what a host's environment has besides this process's; its node inherits it.
    """

    def __init__(
        self,
        files: ClusterFiles,
        root: Sequence[str] = (),
        options: Sequence[str] = (),
        environment_of: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._files, self._root, self._options = files, root, options
        self._environment_of = environment_of
        self._begun: list[subprocess.Popen[bytes]] = []

    def start(self, former: Sequence[MemberRecord]) -> list[MemberRecord]:
        """Start every host that does not run, where it was before, and wait until its node serves.

        Raises:
            AgentError: one of them does not; the message says why. Those that run go on.
        """
        return [self._settled(record) for record in self.launch(former)]

    def launch(self, former: Sequence[MemberRecord]) -> list[MemberRecord]:
        """Start every host that does not run, and return where each takes orders; nodes are not waited for.

        A host that was started before, by whomever, is found by the file that it wrote.

        Raises:
            AgentError: one of them does not start; the message says why. Those that run go on.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        found = {record.name: self._answering(record) for record in former}
        begun = {record.name: self._begin(record) for record in former if found[record.name] is None}
        return [
            replace(record, host_address=found[record.name] or self._serving(record.name, begun[record.name]))
            for record in former
        ]

    def stop(self, records: Sequence[MemberRecord]) -> None:
        """End every host that runs, with its node: keys are wiped.

        Raises:
            NodeUnreachableError: one of them did not end in time.
        """
        with ExitStack() as opened:
            running: dict[str, int] = {}
            for record in records:
                address = self._answering(record)
                if address is not None and (pid := self._pid(record.name, address)) is not None:
                    running[record.name] = os.pidfd_open(pid)
                    opened.callback(os.close, running[record.name])
            for process in running.values():
                signal.pidfd_send_signal(process, signal.SIGTERM)
            for name, process in running.items():
                # Not for the ready file: that goes when no order is taken any more, and the nodes end after it.
                self._wait(partial(_has_ended, process), STOP_S, f"the host of {name} to end")

    def take_back(self) -> None:
        """End the hosts that this object has started, with their nodes, whatever state they are in."""
        for process in self._begun:
            process.terminate()
        for process in self._begun:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _directory(self) -> Path:
        return self._files.directory / "hosts"

    def _ready_file(self, name: str) -> Path:
        return self._directory / f"{name}.ready"

    def _client(self, name: str, address: str) -> HostClient:
        return HostClient(address, self._files.tls(Role.CONTROL, "control"), name)

    def _pid(self, name: str, address: str) -> int | None:
        """Return the process of a host that answers."""
        try:
            with self._client(name, address) as client:
                return client.status().pid
        except AgentError:
            return None

    def _answering(self, record: MemberRecord) -> str | None:
        """Return the address at which a host takes orders, or None."""
        for address in dict.fromkeys((record.host_address, self._written_address(record.name))):
            if address != ANY_PORT and self._pid(record.name, address) is not None:
                return address
        return None

    def _written_address(self, name: str) -> str:
        """Return the address that the last host of a process said that it has."""
        try:
            return str(json.loads(self._ready_file(name).read_bytes())["address"])
        except (OSError, ValueError, KeyError, TypeError):
            return ANY_PORT

    def _begin(self, record: MemberRecord) -> subprocess.Popen[bytes]:
        name = record.name
        self._ready_file(name).unlink(missing_ok=True)
        served = ["--node", self._files.node(name), self._files.tls(Role.NODE, name)]
        if name == ROUTER:
            served = ["--router", self._files.router, self._files.tls(Role.ROUTER, name)]
        places = ["--tls", self._files.tls(Role.HOST, name), "--ready-file", self._ready_file(name)]
        command = [*PROGRAM, *self._root, "host", "serve", self._directory / name, "--listen", record.host_address]
        with (self._directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*map(str, [*command, *places, *served]), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._environment_of(name)},
            )
        self._begun.append(process)
        return process

    def _serving(self, name: str, process: subprocess.Popen[bytes]) -> str:
        """Wait until a host that was begun takes orders, and return where."""
        ready = self._ready_file(name)
        self._wait(lambda: ready.exists() or process.poll() is not None, START_S, f"the host of {name} to start")
        if not ready.exists():
            raise AgentError(f"the host of {name} ended: {self._last_line(name)}. See {self._directory}/{name}.log.")
        return self._written_address(name)

    def _settled(self, record: MemberRecord) -> MemberRecord:
        """Wait until the node of a host serves, and return where."""
        with self._client(record.name, record.host_address) as client:
            report = self._node_report(client, record.name)
        if report.state != "running":
            raise AgentError(
                f"the process of {record.name} is {report.state}: {report.reason}. Its host runs; mend what is wrong, "
                "then start the cluster again."
            )
        return replace(record, address=report.address)

    def _node_report(self, client: HostClient, name: str) -> ProcessReport:
        found: list[ProcessReport] = []

        def rests() -> bool:
            found.append(client.status().processes[name])
            return found[-1].state != "starting"

        self._wait(rests, START_S, f"the node of {name} to start")
        return found[-1] if found[-1].state == "running" else client.start(name)

    def _last_line(self, name: str) -> str:
        lines = (self._directory / f"{name}.log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing").rstrip(".")

    def _wait(self, is_so: Callable[[], bool], seconds: float, what: str) -> None:
        end_s = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end_s:
                raise NodeUnreachableError(f"waited {seconds:.0f} s in vain for {what}. See {self._directory}.")
            time.sleep(LOOK_EVERY_S)


def _has_ended(process: int) -> bool:
    """Tell whether the process of a descriptor has ended."""
    return bool(select.select([process], [], [], 0)[0])
