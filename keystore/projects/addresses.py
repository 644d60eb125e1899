"""Addresses from which the control plane and the nodes call a KMS, for the access lists of customers.

Leaves to others: giving and releasing those of nodes, which live and end with them.
"""

import sqlalchemy as sa

from keystore.projects.tables import addresses, deployments, node_addresses

CONTROL = "control"


def add_control_address(connection: sa.Connection, address: str, now_ns: int) -> None:
    """Record that the control plane calls from an address, unless that is known."""
    if address not in control_addresses(connection):
        connection.execute(addresses.insert().values(kind=CONTROL, address=address, since_ns=now_ns))


def control_addresses(connection: sa.Connection) -> list[str]:
    """Return the addresses from which the control plane calls."""
    mine = (addresses.c.kind == CONTROL) & addresses.c.released_ns.is_(None)
    return list(connection.scalars(sa.select(addresses.c.address).where(mine).order_by(addresses.c.address)))


def node_addresses_of(connection: sa.Connection, project_id: str) -> dict[str, list[str]]:
    """Return the addresses from which the nodes of each deployment of a project call, by its name."""
    query = (
        sa.select(deployments.c.name, node_addresses.c.address)
        .join(node_addresses, node_addresses.c.deployment_id == deployments.c.id, isouter=True)
        .where(deployments.c.project_id == project_id, deployments.c.terminated_ns.is_(None))
        .where(node_addresses.c.released_ns.is_(None))
        .order_by(deployments.c.name, node_addresses.c.member)
    )
    found: dict[str, list[str]] = {}
    for name, address in connection.execute(query):
        found.setdefault(name, []).extend([address] if address is not None else [])
    return found
