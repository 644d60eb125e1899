"""What the control plane tells of a cluster. Nothing in here is secret."""

from dataclasses import dataclass

from keystore.control.clusters import Cluster, cluster_named
from keystore.control.jobs import ROTATION_INTERVAL_NS
from keystore.control.members import MemberStatus
from keystore.control.operation_rows import Kind, Operation, open_operation, operations_of
from keystore.control.plane import Plane
from keystore.errors import KeystoreError, cause_of


@dataclass(frozen=True)
class MemberReport:
    """A member as it is now: with a status if it serves, and otherwise with the reason why not."""

    name: str
    address: str
    is_primary: bool
    status: MemberStatus | None
    problem: str = ""


@dataclass(frozen=True)
class ClusterReport:
    """A cluster as it is now.

    Attributes:
        operation: the one that has not ended, if there is one.
        history: those that have, the oldest first.
        rotation_due_ns: when the master keys are due to be rotated next.
        overdue: that time has passed.
    """

    cluster: Cluster
    members: tuple[MemberReport, ...]
    operation: Operation | None
    history: tuple[Operation, ...]
    rotation_due_ns: int
    overdue: bool

    @property
    def banner(self) -> str:
        """What users of the cluster are to see while a change of their key goes on, or nothing."""
        return banner_of(self.operation)


def report(plane: Plane, name: str) -> ClusterReport:
    """Ask a cluster's members and the database how it is.

    Raises:
        ClusterMissingError: there is none.
    """
    cluster = cluster_named(plane.database, name)
    with plane.database.read() as connection:
        operation, past = open_operation(connection, cluster.id), operations_of(connection, cluster.id)
    due_ns = cluster.renewed_ns + ROTATION_INTERVAL_NS
    return ClusterReport(
        cluster,
        tuple(_member(plane, cluster, member) for member in cluster.member_names),
        operation,
        tuple(each for each in past if not each.is_open),
        due_ns,
        due_ns < plane.clock.now_ns(),
    )


def banner_of(operation: Operation | None) -> str:
    """Return the banner of an operation: from its order until its last member."""
    if operation is None or operation.kind is Kind.ROTATE or not operation.is_open:
        return ""
    if operation.kind is Kind.CHANGE_CMK:
        return f"The cluster moves to {operation.key_uri}. Do not disable or delete the former key until that is done."
    if operation.kind is Kind.CONVERT_ON:
        return f"The cluster is being encrypted under {operation.key_uri}."
    return "Customer keys are being turned off. Do not disable or delete the key until that is done."


def _member(plane: Plane, cluster: Cluster, name: str) -> MemberReport:
    address, is_primary = cluster.member(name).address, name == cluster.primary
    try:
        return MemberReport(name, address, is_primary, plane.operator.status(cluster, name))
    except KeystoreError as error:
        return MemberReport(name, address, is_primary, None, cause_of(error))
