"""Clusters and their members, as the control plane knows them.

Leaves to others: operations on them (`keystore.control.operation_rows`), and the processes (`keystore.agents`).

Invariants:
1. Members keep their order for ever, and a new one is the last; exactly one is the primary.
2. The platform key is always there; the customer's key is there exactly while customer keys are on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.tables import clusters, members
from keystore.errors import ClusterMissingError, InputError

ROUTER = "router"
"""Name of a cluster's router; no member is called so."""

MEMBERS_MAX = 50
"""LIMIT: members of a cluster; the most that a replica set of MongoDB may have."""


@dataclass(frozen=True)
class MemberRecord:
    """A member, and where its processes answer.

    Attributes:
        address: HOST:PORT of the node.
        host_address: HOST:PORT of its supervisor.
    """

    name: str
    address: str
    host_address: str


@dataclass(frozen=True)
class NewCluster:
    """What a cluster is made of.

    Attributes:
        directory: what of it is on this machine: certificates, and the members' directories where they are local.
        platform_key: URI of the key under which master keys are while customer keys are off, and volume keys while on.
        customer_key: URI of the customer's key, or None while customer keys are off.
        router: where the router answers, or None where there is none.
        topology_version: grows with each change of the primary or of an address.
    """

    name: str
    directory: str
    platform_key: str
    customer_key: str | None
    primary: str
    members: tuple[MemberRecord, ...]
    router: MemberRecord | None = None
    topology_version: int = 1

    @property
    def processes(self) -> list[MemberRecord]:
        """Members, and the router where there is one."""
        return [*self.members, *([self.router] if self.router else [])]


@dataclass(frozen=True, kw_only=True)
class Cluster(NewCluster):
    """A cluster as it stands.

    Attributes:
        renewed_ns: when every member's master key was last made anew, on the control plane's clock.
        removed_ns: when its processes and files went, None while they are there.
    """

    id: int
    renewed_ns: int
    removed_ns: int | None = None

    @property
    def key_uri(self) -> str:
        """URI of the key that wraps the members' master keys."""
        return self.customer_key or self.platform_key

    @property
    def member_names(self) -> list[str]:
        return [member.name for member in self.members]

    def member(self, name: str) -> MemberRecord:
        return next(member for member in self.members if member.name == name)


def insert_cluster(connection: sa.Connection, new: NewCluster, now_ns: int) -> int:
    """Record a cluster in the caller's transaction and return its id.

    Raises:
        InputError: its members cannot be a cluster; nothing was changed.
    """
    names = [member.name for member in new.members]
    if not 1 <= len(names) <= MEMBERS_MAX or len({*names, ROUTER}) <= len(names) or new.primary not in names:
        raise InputError(
            f"cluster {new.name}: a cluster has 1 to {MEMBERS_MAX} members with names of their own, none of them "
            f"{ROUTER!r}, and one of them is the primary. Nothing was changed."
        )
    row = {
        "name": new.name,
        "directory": new.directory,
        "platform_key": new.platform_key,
        "customer_key": new.customer_key,
        "primary_member": new.primary,
        **_router_values(new.router),
        "topology_version": new.topology_version,
        "renewed_ns": now_ns,
    }
    cluster_id: int = connection.execute(clusters.insert().values(row).returning(clusters.c.id)).scalar_one()
    lines = [
        {"cluster_id": cluster_id, "position": position, **vars(member)} for position, member in enumerate(new.members)
    ]
    connection.execute(members.insert(), lines)
    return cluster_id


def cluster_named(database: Database, name: str) -> Cluster:
    """Return a cluster by its name.

    Raises:
        ClusterMissingError: there is none.
    """
    with database.read() as connection:
        return _one(connection, clusters.c.name == name, name)


def cluster_of(connection: sa.Connection, cluster_id: int) -> Cluster:
    """Return a cluster by its id, in the caller's transaction."""
    return _one(connection, clusters.c.id == cluster_id, str(cluster_id))


def list_clusters(database: Database) -> list[Cluster]:
    """Return all clusters that were not removed, by name."""
    with database.read() as connection:
        there = sa.select(clusters).where(clusters.c.removed_ns.is_(None))
        rows = connection.execute(there.order_by(clusters.c.name)).all()
        return [_cluster(connection, row) for row in rows]


def set_addresses(database: Database, cluster_id: int, records: Sequence[MemberRecord]) -> None:
    """Record where members, and the router if it is among them, answer now."""
    router = next((record for record in records if record.name == ROUTER), None)
    with database.write() as connection:
        values: dict[str, object] = {"topology_version": clusters.c.topology_version + 1}
        values |= _router_values(router) if router else {}
        connection.execute(clusters.update().where(clusters.c.id == cluster_id).values(values))
        for record in records:
            line = (members.c.cluster_id == cluster_id) & (members.c.name == record.name)
            places = {"address": record.address, "host_address": record.host_address}
            connection.execute(members.update().where(line).values(places))


def add_member(connection: sa.Connection, cluster_id: int, record: MemberRecord) -> None:
    """Record one more member, the last in order, in the caller's transaction."""
    position = sa.select(sa.func.max(members.c.position) + 1).where(members.c.cluster_id == cluster_id)
    line = {"cluster_id": cluster_id, "position": position.scalar_subquery(), **vars(record)}
    connection.execute(members.insert().values(line))
    _touch_topology(connection, cluster_id)


def remove_members(connection: sa.Connection, cluster: Cluster, names: Sequence[str]) -> None:
    """Forget members in the caller's transaction; where the primary is among them, the first that stays becomes it."""
    staying = [name for name in cluster.member_names if name not in names]
    line = (members.c.cluster_id == cluster.id) & members.c.name.in_(names)
    connection.execute(members.delete().where(line))
    if cluster.primary in names:
        mine = clusters.update().where(clusters.c.id == cluster.id)
        connection.execute(mine.values(primary_member=staying[0]))
    _touch_topology(connection, cluster.id)


def mark_removed(connection: sa.Connection, cluster_id: int, now_ns: int) -> None:
    """Record that a cluster's processes and files are gone; its history stays."""
    connection.execute(clusters.update().where(clusters.c.id == cluster_id).values(removed_ns=now_ns))


def _touch_topology(connection: sa.Connection, cluster_id: int) -> None:
    grown = clusters.update().where(clusters.c.id == cluster_id)
    connection.execute(grown.values(topology_version=clusters.c.topology_version + 1))


def _router_values(router: MemberRecord | None) -> dict[str, object]:
    places = (router.address, router.host_address) if router else (None, None)
    return {"router_address": places[0], "router_host_address": places[1]}


def _one(connection: sa.Connection, which: sa.ColumnElement[bool], shown: str) -> Cluster:
    row = connection.execute(sa.select(clusters).where(which)).one_or_none()
    if row is None:
        raise ClusterMissingError(f"there is no cluster {shown}. Nothing was changed.")
    return _cluster(connection, row)


def _cluster(connection: sa.Connection, row: sa.Row[tuple[object, ...]]) -> Cluster:
    found = connection.execute(
        sa.select(members).where(members.c.cluster_id == row.id).order_by(members.c.position)
    ).all()
    return Cluster(
        row.name,
        row.directory,
        row.platform_key,
        row.customer_key,
        row.primary_member,
        tuple(MemberRecord(member.name, member.address, member.host_address) for member in found),
        None if row.router_address is None else MemberRecord(ROUTER, row.router_address, row.router_host_address),
        id=row.id,
        renewed_ns=row.renewed_ns,
        removed_ns=row.removed_ns,
        topology_version=row.topology_version,
    )
