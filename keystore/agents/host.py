"""A host: looks after the processes of one machine, and stays up while they are down (`proto/keystore_api/host/v1`).

Control asks it how they are, and starts and stops them. It holds no key and opens no node; what is started gets the
environment and the options of the host, and the credentials that control gave it. When it is told to end it ends its
processes, as a machine does that is shut down; when it is killed they go on, and the next host takes them over.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.host.v1 import host_pb2 as pb

from keystore.agents.host_state import HostState
from keystore.agents.identity import Role, require_label
from keystore.agents.restarting import ExitCodes
from keystore.agents.serving import Allowed, Call, Service, log
from keystore.agents.supervised import ProcessReport, Supervised
from keystore.errors import InputError

ALLOWED: Allowed = dict.fromkeys(("GetStatus", "Start", "Stop", "Restart"), frozenset({Role.CONTROL}))

PROGRAM = (sys.executable, "-m", "keystore.cli.main")

_STATES = {
    "starting": pb.PROCESS_STATE_STARTING,
    "running": pb.PROCESS_STATE_RUNNING,
    "stopped": pb.PROCESS_STATE_STOPPED,
    "failed": pb.PROCESS_STATE_FAILED,
}


@dataclass(frozen=True)
class Program:
    """A process that a host is to look after: ``keystore ROOT… KIND serve DIRECTORY --tls TLS OPTIONS…``.

    Attributes:
        kind: `node` or `router`.
        listen: where it listens at its first start.
        root: options before the command.
        options: further options of the command.
        awaits_credentials: whether it is not started at first before an order gave it credentials, or said that it
            needs none.
    """

    kind: Role
    directory: Path
    tls: Path
    listen: str = "127.0.0.1:0"
    root: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    awaits_credentials: bool = False

    @property
    def name(self) -> str:
        return self.directory.absolute().name

    def command(self, listen: str, ready_file: Path) -> Sequence[str]:
        """Return the arguments of the process."""
        places = ["--tls", str(self.tls), "--listen", listen, "--ready-file", str(ready_file)]
        return [*PROGRAM, *self.root, str(self.kind), "serve", str(self.directory), *places, *self.options]


class HostService:
    """The processes of one machine, and the calls on them."""

    def __init__(self, name: str, state: HostState, programs: Sequence[Program], codes: ExitCodes) -> None:
        """Know the processes; none is started yet.

        Raises:
            InputError: two have the same name, or one has none that can be told.
        """
        self._name, self._state, self._started_ns = name, state, time.time_ns()
        self._processes: dict[str, Supervised] = {}
        for program in programs:
            require_label(program.name, str(program.kind))
            if program.name in self._processes:
                raise InputError(f"two processes are called {program.name!r}. Nothing was started; rename a directory.")
            found = Supervised(program.name, program.command, program.listen, state, codes, program.awaits_credentials)
            self._processes[program.name] = found

    def service(self) -> Service:
        """Return what a server serves."""
        return Service(pb.DESCRIPTOR.services_by_name["Host"], self, ALLOWED)

    def begin(self) -> None:
        """Start the processes, but for those that an order has stopped."""
        for process in self._processes.values():
            process.begin()

    def end(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.end()

    def get_status(self, request: pb.GetStatusRequest, call: Call) -> pb.HostStatus:
        return pb.HostStatus(
            host_id=self._state.host_id,
            name=self._name,
            version=version("cmk-keystore"),
            pid=os.getpid(),
            started_at=_timestamp(self._started_ns),
            processes=[_message(process.report()) for process in self._processes.values()],
        )

    def start(self, request: pb.StartRequest, call: Call) -> pb.ProcessStatus:
        credentials = request.credentials if request.HasField("credentials") else None
        return self._ordered("start", self._process(request.name).start(credentials), call)

    def stop(self, request: pb.StopRequest, call: Call) -> pb.ProcessStatus:
        return self._ordered("stop", self._process(request.name).stop(), call)

    def restart(self, request: pb.RestartRequest, call: Call) -> pb.ProcessStatus:
        return self._ordered("restart", self._process(request.name).restart(), call)

    def _ordered(self, order: str, report: ProcessReport, call: Call) -> pb.ProcessStatus:
        log(f"{order} {report.name}, for {call.caller}: {report.state} {report.reason}".rstrip())
        return _message(report)

    def _process(self, name: str) -> Supervised:
        found = self._processes.get(name)
        if found is None:
            known = ", ".join(self._processes) or "none"
            raise InputError(f"this host has no process {name[:80]!r}, but {known}. Nothing was changed.")
        return found


def _message(report: ProcessReport) -> pb.ProcessStatus:
    due = report.next_start_ns
    return pb.ProcessStatus(
        name=report.name,
        state=_STATES[report.state],
        reason=report.reason,
        address=report.address,
        pid=report.pid,
        changed_at=_timestamp(report.changed_ns),
        failures=report.failures,
        next_start_at=None if due is None else _timestamp(due),
    )


def _timestamp(ns: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(ns)
    return made
