"""The addresses from which keys are asked for, to be allowed at the KMS: the routes."""

from keystore.projects.access import Role
from keystore.projects.addresses import control_addresses, node_addresses_of
from keystore.rest.routing import Answer, Call, Id, Route


class Outbound(Answer, frozen=True):
    """Addresses that call."""

    outbound: list[str]


class ControlPlaneAddresses(Answer, frozen=True):
    """The addresses of the control plane."""

    control_plane: Outbound


class ClusterAddresses(Answer, frozen=True):
    """The addresses of a cluster's nodes."""

    cluster_name: str
    outbound: list[str]


class Services(Answer, frozen=True):
    """What of a project calls."""

    clusters: list[ClusterAddresses]


class GroupAddresses(Answer, frozen=True):
    """The addresses of a project."""

    group_id: Id
    services: Services


def _control(call: Call) -> ControlPlaneAddresses:
    with call.plane.database.read() as connection:
        return ControlPlaneAddresses(control_plane=Outbound(outbound=control_addresses(connection)))


def _group(call: Call) -> GroupAddresses:
    with call.plane.database.read() as connection:
        found = node_addresses_of(connection, call.project_id)
    clusters = [ClusterAddresses(cluster_name=name, outbound=addresses) for name, addresses in found.items()]
    return GroupAddresses(group_id=call.project_id, services=Services(clusters=clusters))


ROUTES = (
    Route(
        *(
            "GET",
            "/controlPlaneIPAddresses",
            "returnAllControlPlaneIPAddresses",
            "Return the control plane's addresses",
        ),
        roles=(),
        handle=_control,
        answer=ControlPlaneAddresses,
    ),
    Route(
        *("GET", "/groups/{groupId}/ipAddresses", "returnAllIPAddresses", "Return the addresses of a project's nodes"),
        roles=(Role.GROUP_READ_ONLY,),
        handle=_group,
        answer=GroupAddresses,
    ),
)
