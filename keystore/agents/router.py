"""A router: forwards the calls of a cluster's clients to its members (`proto/keystore_api/router/v1`).

It holds no key. Messages pass as bytes; it reads none of them and keeps none, but the plaintext of pages goes through
its memory, as through a client's. Members see the router's certificate, so the router itself takes data calls from
clients only.

Invariants:
1. A call that changes something goes to the primary and to nobody else: where no answer came it may have been done.
2. A call that reads is asked of another member only while nothing was answered.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

from keystore_api.node.v1 import node_pb2
from keystore_api.router.v1 import router_pb2 as pb

from keystore.agents.calling import AgentClient
from keystore.agents.identity import Role
from keystore.agents.serving import Allowed, Call, Service, log, python_name
from keystore.agents.topology import Member, Topology, TopologyFile
from keystore.errors import NodeClosedError, NodeUnreachableError

NODE = node_pb2.DESCRIPTOR.services_by_name["Node"]

READS = ("GetStatus", "ListFiles", "ReadPages", "ReadFile")
WRITES = ("CreateFile", "DropFile", "WritePages", "WriteFile")

_CLIENT, _CONTROL = frozenset({Role.CLIENT}), frozenset({Role.CONTROL})
ALLOWED_DATA: Allowed = {**dict.fromkeys((*READS, *WRITES), _CLIENT), "GetStatus": _CLIENT | _CONTROL, "Stop": _CONTROL}
ALLOWED: Allowed = {"SetTopology": _CONTROL, "GetTopology": _CLIENT | _CONTROL}


class MemberClient(AgentClient):
    """A client of one member that sends and returns messages as bytes."""

    def unary(self, method: str, request: Any, timeout_s: float) -> bytes:
        """Make a call with one answer; `request` is a message, or an iterator of them where `method` takes a stream."""
        path = f"/{NODE.full_name}/{method}"
        if NODE.methods_by_name[method].client_streaming:
            return self._call(lambda channel: channel.stream_unary(path), request, timeout_s)
        return self._call(lambda channel: channel.unary_unary(path), request, timeout_s)

    def stream(self, method: str, request: bytes, timeout_s: float) -> Iterator[bytes]:
        """Make a call with a stream of answers."""
        return self._stream(lambda channel: channel.unary_stream(f"/{NODE.full_name}/{method}"), request, timeout_s)


class RouterService:
    """The calls of a router.

    Args:
        tls: its own certificates, with which it calls members.
        stop: begins to end the process; returns at once.
    """

    def __init__(self, file: TopologyFile, tls: Path, stop: Callable[[], None]) -> None:
        self._file, self._tls, self._stop = file, tls, stop
        self._lock = Lock()
        self._clients: dict[Member, MemberClient] = {}

    def services(self) -> tuple[Service, Service]:
        """Return what a server serves: the router's own calls, and a node's, which are forwarded as they are."""
        own = Service(pb.DESCRIPTOR.services_by_name["Router"], self, ALLOWED)
        return own, Service(NODE, self._forwarded(), ALLOWED_DATA, is_raw=True)

    def close(self) -> None:
        """Give the connections to members back."""
        self._keep_only(())

    # -- its own calls ------------------------------------------------------------------------------------------------

    def set_topology(self, request: pb.SetTopologyRequest, call: Call) -> pb.Topology:
        given = decode(request.topology)
        self._file.put(given)
        self._keep_only(given.members)
        log(f"topology {given.version}, for {call.caller}: {len(given.members)} members, primary {given.primary}")
        return encode(self._file.topology)

    def get_topology(self, request: pb.GetTopologyRequest, call: Call) -> pb.Topology:
        return encode(self._file.topology)

    def _stop_router(self, request: bytes, call: Call) -> bytes:
        log(f"stop, for {call.caller}")
        self._stop()
        return node_pb2.StopResponse().SerializeToString()

    # -- forwarding ---------------------------------------------------------------------------------------------------

    def _forwarded(self) -> SimpleNamespace:
        calls: dict[str, Callable[[Any, Call], Any]] = {"stop": self._stop_router}
        for name in (*READS, *WRITES):
            streams = NODE.methods_by_name[name].server_streaming
            kind = self._read_stream if streams else self._read if name in READS else self._write
            calls[python_name(name)] = partial(kind, name)
        return SimpleNamespace(**calls)

    def _read(self, method: str, request: bytes, call: Call) -> bytes:
        *others, last = self._members()
        for client in others:
            try:
                return client.unary(method, request, call.time_left_s)
            except (NodeUnreachableError, NodeClosedError):
                if call.is_ended:
                    raise
        return last.unary(method, request, call.time_left_s)

    def _read_stream(self, method: str, request: bytes, call: Call) -> Iterator[bytes]:
        *others, last = self._members()
        for client in others:
            answers = client.stream(method, request, call.time_left_s)
            try:
                first = next(answers, None)
            except (NodeUnreachableError, NodeClosedError):
                if call.is_ended:
                    raise
                continue
            if first is not None:
                yield first
                yield from answers
            return
        yield from last.stream(method, request, call.time_left_s)

    def _write(self, method: str, request: Any, call: Call) -> bytes:
        return self._members()[0].unary(method, request, call.time_left_s)

    def _members(self) -> list[MemberClient]:
        """Return clients of the members, the primary's first."""
        members = self._file.topology.in_order()
        if not members:
            raise NodeUnreachableError("this router was told no members yet. Nothing was done; have control set them.")
        with self._lock:
            return [self._client(member) for member in members]

    def _client(self, member: Member) -> MemberClient:
        found = self._clients.get(member)
        if found is None:
            found = self._clients[member] = MemberClient(member.address, self._tls, Role.NODE, member.name)
        return found

    def _keep_only(self, members: tuple[Member, ...]) -> None:
        with self._lock:
            gone = [self._clients.pop(member) for member in set(self._clients) - set(members)]
        for client in gone:
            client.close()


def encode(topology: Topology) -> pb.Topology:
    """Return a topology as a message."""
    members = (pb.Member(name=member.name, address=member.address) for member in topology.members)
    return pb.Topology(version=topology.version, primary=topology.primary, members=members)


def decode(message: pb.Topology) -> Topology:
    """Read a topology from a message."""
    members = tuple(Member(each.name, each.address) for each in message.members)
    return Topology(message.version, message.primary, members)
