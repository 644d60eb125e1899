"""Tells a cluster's router who the members are, and which of them is the primary."""

from pathlib import Path

from keystore.agents.identity import Role
from keystore.agents.router_client import RouterClient
from keystore.agents.topology import Member, Topology
from keystore.control.clusters import ROUTER, NewCluster
from keystore.control.creation import ClusterFiles

ANSWER_S = 5.0
"""LIMIT: seconds for the answer of a router that is to serve."""


def tell_router(cluster: NewCluster) -> None:
    """Have the router of a cluster, if there is one, know what the database knows; the same again does nothing.

    Raises:
        NodeUnreachableError, CertificateError: it does not answer.
        TopologyError: it knows something newer, which stays.
    """
    if cluster.router is None:
        return
    members = tuple(Member(member.name, member.address) for member in cluster.members)
    certificates = ClusterFiles(Path(cluster.directory)).tls(Role.CONTROL, "control")
    with RouterClient(cluster.router.address, certificates, ROUTER) as client:
        client.set_topology(Topology(cluster.topology_version, cluster.primary, members), ANSWER_S)
