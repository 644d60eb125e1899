"""The client of a host; errors as `keystore.agents.client`."""

import os
from dataclasses import dataclass

from keystore_api.host.v1 import host_pb2 as pb
from keystore_api.host.v1.host_pb2_grpc import HostStub

from keystore.agents.calling import CALL_S, AgentClient
from keystore.agents.identity import Role
from keystore.agents.restarting import ProcessState
from keystore.agents.supervised import START_S, STOP_S, ProcessReport

ORDER_S = 2 * STOP_S + START_S + STOP_S + CALL_S
"""LIMIT: seconds for an order: an end by force, a start that fails, and the way."""

_STATES: dict[int, ProcessState] = {
    pb.PROCESS_STATE_STARTING: "starting",
    pb.PROCESS_STATE_RUNNING: "running",
    pb.PROCESS_STATE_STOPPED: "stopped",
    pb.PROCESS_STATE_FAILED: "failed",
}


@dataclass(frozen=True)
class HostStatus:
    """A host and its processes, by name. `host_id` is the same for ever."""

    host_id: bytes
    name: str
    version: str
    pid: int
    started_ns: int
    processes: dict[str, ProcessReport]


class HostClient(AgentClient):
    """A client of one host; a context manager that closes it. Threads may share it.

    Orders return when the process has come to rest: running, stopped, or failed with the reason. A failed start is
    told, not raised.
    """

    def __init__(self, address: str, tls: str | os.PathLike[str], name: str | None = None) -> None:
        """Know the way; nothing is sent yet. See `AgentClient`."""
        super().__init__(address, tls, Role.HOST, name)

    def status(self, timeout_s: float = CALL_S) -> HostStatus:
        """Tell who the host is, and how its processes are."""
        answer = self._call(lambda channel: HostStub(channel).GetStatus, pb.GetStatusRequest(), timeout_s)
        processes = {each.name: _report(each) for each in answer.processes}
        started_ns = answer.started_at.ToNanoseconds()
        return HostStatus(answer.host_id, answer.name, answer.version, answer.pid, started_ns, processes)

    def start(self, name: str, timeout_s: float = ORDER_S, credentials: bytes | None = None) -> ProcessReport:
        """Start a process that is stopped or failed; nothing happens where it runs.

        Args:
            credentials: `GivenCredentials.encode`, for this start and those to come until an order stops it; empty
                where it needs none from now on, None leaves it at what it was.
        """
        request = pb.StartRequest(name=name, credentials=credentials)
        return _report(self._call(lambda channel: HostStub(channel).Start, request, timeout_s))

    def stop(self, name: str, timeout_s: float = ORDER_S) -> ProcessReport:
        """Have a process end, and keep it down until it is started by an order, whatever happens to the host."""
        return _report(self._call(lambda channel: HostStub(channel).Stop, pb.StopRequest(name=name), timeout_s))

    def restart(self, name: str, timeout_s: float = ORDER_S) -> ProcessReport:
        """Stop a process if it runs, and start it."""
        return _report(self._call(lambda channel: HostStub(channel).Restart, pb.RestartRequest(name=name), timeout_s))


def _report(message: pb.ProcessStatus) -> ProcessReport:
    due = message.next_start_at.ToNanoseconds() if message.HasField("next_start_at") else None
    return ProcessReport(
        message.name,
        _STATES.get(message.state, "failed"),
        message.reason,
        message.address,
        message.pid,
        message.changed_at.ToNanoseconds(),
        message.failures,
        due,
    )
