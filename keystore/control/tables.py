"""Every table of the control plane, and the number of their version. What rows mean is left to who uses them.

Invariants:
1. A change of a table that an earlier version made raises `SCHEMA_VERSION` and adds its step to `database.UPGRADES`.
2. Times are nanoseconds since 1970 on the control plane's clock; heartbeats have none.
3. Names meet none of DBOS's, which on SQLite lie in the same file.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

SCHEMA_VERSION = 1

METADATA = MetaData()

control = Table(
    "control",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
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
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(64), nullable=False),
    Column("subject", String(190), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("epoch", BigInteger, nullable=True),
)
"""`state` is open, claimed (by `epoch`), started or done."""

Index("due_once", due.c.kind, due.c.subject, due.c.at_ns, unique=True)
Index("due_by_state", due.c.state, due.c.at_ns)
