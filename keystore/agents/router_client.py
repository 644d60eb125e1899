"""The client of a router: a node's calls on files and pages, which it forwards, and its own; errors as `NodeClient`."""

import os

from keystore_api.router.v1 import router_pb2 as pb
from keystore_api.router.v1.router_pb2_grpc import RouterStub

from keystore.agents.calling import CALL_S
from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.agents.router import decode, encode
from keystore.agents.topology import Topology


class RouterClient(NodeClient):
    """A client of one router; a context manager that closes it. `status` is that of the member who answers."""

    def __init__(self, address: str, tls: str | os.PathLike[str], name: str | None = None) -> None:
        """Know the way; nothing is sent yet. See `AgentClient`."""
        super().__init__(address, tls, name, role=Role.ROUTER)

    def set_topology(self, topology: Topology, timeout_s: float = CALL_S) -> None:
        """Tell the router who the members are; durable on return, and the same again does nothing.

        Raises:
            TopologyError: it knows a newer one, which stays. InputError: it is none.
        """
        request = pb.SetTopologyRequest(topology=encode(topology))
        self._call(lambda channel: RouterStub(channel).SetTopology, request, timeout_s)

    def topology(self, timeout_s: float = CALL_S) -> Topology:
        """Tell who the members are, as the router knows it."""
        return decode(self._call(lambda channel: RouterStub(channel).GetTopology, pb.GetTopologyRequest(), timeout_s))
