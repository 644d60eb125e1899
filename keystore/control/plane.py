"""The parts of a control plane on one database, put together."""

from keystore.control.clock import Clock, MovableClock
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
    ) -> None:
        self.database = database
        self.clock = clock or MovableClock(database)
        self.operator = Operator(database, self.clock, connect_member, connect_kms)
        self.requests = Requests(database, self.clock, self.operator, connect_kms)
        self.jobs = Jobs(database, self.clock, self.operator)
