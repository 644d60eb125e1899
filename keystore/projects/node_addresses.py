"""The addresses from which nodes call a KMS, for the access lists of customers.

On this machine each member has an address of its own in 127.0.0.0/8. One that was released is not given again, so what
a customer still allows by mistake is nobody's.

Every function works in the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import sqlalchemy as sa

from keystore.projects.tables import deployments, node_addresses

FIRST = IPv4Address("127.64.0.1")
"""The first address of a node; those before it are for what else runs on this machine."""


@dataclass(frozen=True)
class NodeAddress:
    """An address of a member; `released_ns` is None while it has it."""

    deployment_id: str
    member: str
    address: str
    since_ns: int
    released_ns: int | None


def assign_addresses(
    connection: sa.Connection, deployment_id: str, members: Sequence[str], now_ns: int
) -> dict[str, str]:
    """Give each member an address that none ever had, and return them by member.

    Raises:
        ControlConflictError: at the end of the transaction: another one was quicker; a second try can help.
    """
    taken = connection.scalar(sa.select(sa.func.count()).select_from(node_addresses)) or 0
    given = {member: str(FIRST + taken + number) for number, member in enumerate(members)}
    for member, address in given.items():
        connection.execute(
            node_addresses.insert().values(
                deployment_id=deployment_id, member=member, address=address, since_ns=now_ns, released_ns=None
            )
        )
    return given


def release_addresses(connection: sa.Connection, deployment_id: str, members: Sequence[str], now_ns: int) -> list[str]:
    """Take the addresses of members back, and return those that they had."""
    mine = (node_addresses.c.deployment_id == deployment_id) & node_addresses.c.member.in_(members)
    held = mine & node_addresses.c.released_ns.is_(None)
    found = list(connection.scalars(sa.select(node_addresses.c.address).where(held).order_by(node_addresses.c.member)))
    connection.execute(node_addresses.update().where(held).values(released_ns=now_ns))
    return found


def addresses_of(connection: sa.Connection, deployment_id: str) -> dict[str, str]:
    """Return the present address of each member of a deployment."""
    held = (node_addresses.c.deployment_id == deployment_id) & node_addresses.c.released_ns.is_(None)
    rows = connection.execute(sa.select(node_addresses).where(held)).all()
    return {row.member: row.address for row in rows}


def project_addresses(connection: sa.Connection, project_id: str) -> list[NodeAddress]:
    """Return all addresses that nodes of a project have or had."""
    rows = connection.execute(
        sa.select(node_addresses)
        .join(deployments, deployments.c.id == node_addresses.c.deployment_id)
        .where(deployments.c.project_id == project_id)
        .order_by(node_addresses.c.since_ns, node_addresses.c.address)
    ).all()
    return [NodeAddress(**row._mapping) for row in rows]
