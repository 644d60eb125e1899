"""The parts of a control plane on one database, put together."""

from keystore.control.clock import Clock, MovableClock
from keystore.control.cluster_keys import ClusterKeys, SameForAll
from keystore.control.database import Database
from keystore.control.jobs import Jobs
from keystore.control.members import MemberConnector
from keystore.control.node_members import connect_node
from keystore.control.operations import Operator
from keystore.control.requests import Requests
from keystore.kms.protocol import KmsConnector


class Plane:
    """What orders, decides and does; the caller closes the database.

    Attributes:
        clock: the one that this database has; unless a test moved it, the machine's.
    """

    def __init__(
        self,
        database: Database,
        connect_kms: KmsConnector,
        connect_member: MemberConnector = connect_node,
        clock: Clock | None = None,
        keys: ClusterKeys | None = None,
    ) -> None:
        """Put the parts together; without `keys`, every cluster's are reached by `connect_kms`."""
        keys = keys or SameForAll(connect_kms)
        self.database = database
        self.clock = clock or MovableClock(database)
        self.operator = Operator(database, self.clock, connect_member, keys)
        self.requests = Requests(database, self.clock, self.operator, keys)
        self.jobs = Jobs(database, self.clock, self.operator)
