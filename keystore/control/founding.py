"""Founds clusters: makes one on this machine, and records a new one in the control database with its first rotation."""

import shutil
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from keystore.control.clusters import ROUTER, Cluster, MemberRecord, NewCluster, cluster_named, insert_cluster
from keystore.control.creation import ClusterFiles
from keystore.control.database import Database
from keystore.control.due import Due, add_job
from keystore.control.jobs import ROTATION_INTERVAL_NS, ROTATION_JOB
from keystore.control.local_hosts import ANY_PORT, LocalHosts
from keystore.control.routers import tell_router
from keystore.errors import ClusterExistsError, ClusterMissingError, ControlConflictError
from keystore.kms.protocol import KmsConnector


def local_cluster(name: str, directory: Path, count: int, platform_key: str, customer_key: str | None) -> NewCluster:
    """Return what a cluster on this machine is to be: members n1, n2, …, of which the first is the primary."""
    members = tuple(MemberRecord(f"n{number}", ANY_PORT, ANY_PORT) for number in range(1, count + 1))
    router = MemberRecord(ROUTER, ANY_PORT, ANY_PORT)
    return NewCluster(name, str(directory), platform_key, customer_key, "n1", members, router)


def create_local_cluster(
    database: Database, now_ns: int, connect: KmsConnector, new: NewCluster, hosts: LocalHosts
) -> Cluster:
    """Make a cluster with a router on this machine, start it, and record it. On an error nothing of it is left.

    Raises:
        ClusterExistsError, InputError, PathTakenError, PathMissingError: nothing was made.
        KmsError, AgentError, ControlError: what was made is removed.
    """
    require_new(database, new.name)
    names, directory = [member.name for member in new.members], Path(new.directory)
    ClusterFiles.create(directory, new.name, names, new.platform_key, new.customer_key, connect)
    try:
        *members, router = hosts.start(new.processes)
        started = replace(new, members=tuple(members), router=router)
        tell_router(started)
        return add_cluster(database, started, now_ns)
    except BaseException:
        hosts.take_back()
        shutil.rmtree(directory, ignore_errors=True)
        raise


def add_cluster(database: Database, new: NewCluster, now_ns: int) -> Cluster:
    """Record a cluster whose master keys were made at `now_ns`.

    Raises:
        ClusterExistsError: there is one of that name; it is unchanged.
        InputError: its members cannot be a cluster; nothing was changed.
    """
    try:
        with database.write() as connection:
            record_cluster(connection, new, now_ns)
    except ControlConflictError:
        raise _exists(new.name) from None
    return cluster_named(database, new.name)


def record_cluster(connection: sa.Connection, new: NewCluster, now_ns: int) -> int:
    """Record a cluster and its first rotation in the caller's transaction, and return its id; errors as `add_cluster`.

    Raises:
        ControlConflictError: there is one of that name; the caller's transaction must not commit.
    """
    cluster_id = insert_cluster(connection, new, now_ns)
    add_job(connection, Due(ROTATION_JOB, str(cluster_id), now_ns + ROTATION_INTERVAL_NS))
    return cluster_id


def require_new(database: Database, name: str) -> None:
    """Make sure that there is no cluster of that name yet.

    Raises:
        ClusterExistsError: there is one.
    """
    try:
        cluster_named(database, name)
    except ClusterMissingError:
        return
    raise _exists(name)


def _exists(name: str) -> ClusterExistsError:
    return ClusterExistsError(f"there is a cluster {name} already, which is unchanged; choose another name.")
