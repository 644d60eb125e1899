"""The tables of clusters and of what is due. What rows mean is left to who uses them.

Invariants:
1. A change of a table has its step in `migrations/versions`, by which alone tables are made and changed.
2. Times are nanoseconds since 1970 on the control plane's clock; heartbeats have none.
3. Names meet none of DBOS's, which on SQLite lie in the same file.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table

METADATA = MetaData()
"""All tables of the control plane; those of projects join when `keystore.projects.tables` is loaded."""

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""The type of numbers that the database gives; SQLite gives them to an INTEGER only."""

control = Table(
    "control",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_epoch", BigInteger, nullable=False),
    Column("clock_offset_ns", BigInteger, nullable=False),
)
"""One row, id 1."""

executors = Table(
    "executors",
    METADATA,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("beat", BigInteger, nullable=False),
)
"""Processes that are alive and run workflows. `epoch` is new at every start; `beat` grows while the process lives."""

runs = Table(
    "runs",
    METADATA,
    Column("key", String(255), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)
"""Workflows that were begun: `fence` counts the beginnings, `epoch` is whose the last one was."""

due = Table(
    "due",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("kind", String(64), nullable=False),
    Column("subject", String(190), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("epoch", BigInteger, nullable=True),
)
"""`state` is open, claimed (by `epoch`), started or done."""

Index("due_once", due.c.kind, due.c.subject, due.c.at_ns, unique=True)
Index("due_by_state", due.c.state, due.c.at_ns)

clusters = Table(
    "clusters",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("directory", String(1024), nullable=False),
    Column("platform_key", String(2048), nullable=False),
    Column("customer_key", String(2048), nullable=True),
    Column("primary_member", String(64), nullable=False),
    Column("router_address", String(256), nullable=True),
    Column("router_host_address", String(256), nullable=True),
    Column("topology_version", Integer, nullable=False),
    Column("renewed_ns", BigInteger, nullable=False),
    Column("removed_ns", BigInteger, nullable=True),
)
"""`customer_key` is null while customer keys are off; `renewed_ns` is when every master key was last made anew;
`topology_version` grows with each change of what a router must know; one that was removed stays for its history."""

members = Table(
    "members",
    METADATA,
    Column("cluster_id", ForeignKey("clusters.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("address", String(256), nullable=False),
    Column("host_address", String(256), nullable=False),
)

Index("member_once", members.c.cluster_id, members.c.name, unique=True)

operations = Table(
    "operations",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("cluster_id", ForeignKey("clusters.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key_uri", String(2048), nullable=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("requested_ns", BigInteger, nullable=False),
    Column("started_ns", BigInteger, nullable=True),
    Column("finished_ns", BigInteger, nullable=True),
)
"""`key_uri` is the key that a change or a conversion leads to; `tries` counts waits since the last progress."""

Index(
    "one_open_operation",
    operations.c.cluster_id,
    unique=True,
    sqlite_where=operations.c.state.in_(("pending", "running", "halted")),
    postgresql_where=operations.c.state.in_(("pending", "running", "halted")),
)

steps = Table(
    "steps",
    METADATA,
    Column("operation_id", ForeignKey("operations.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("act", String(16), nullable=False),
    Column("member", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started_ns", BigInteger, nullable=True),
    Column("finished_ns", BigInteger, nullable=True),
    Column("generation_before", Integer, nullable=True),
    Column("generation_after", Integer, nullable=True),
    Column("bytes_done", BigInteger, nullable=True),
    Column("bytes_total", BigInteger, nullable=True),
)
"""`generation_before` is written once, before the member is asked: what the member is asked to change exactly once."""
