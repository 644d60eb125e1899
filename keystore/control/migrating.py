"""Brings the tables of a control database to this program's version, by the steps in `migrations/versions` (Alembic).

Leaves to others: the transaction, and that no other process does the same meanwhile (`keystore.control.database`).

Invariants:
1. Tables are made and changed here only. A step says literally what it does: what later versions have changes nothing.
2. A step that was released is never changed. All steps of one opening are one transaction.
"""

import threading
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from keystore.errors import ControlSchemaError

FIRST = "0001"
"""The tables as they were when a column of `control` counted versions."""

_BY_COLUMN = sa.table("control", sa.column("schema_version", sa.Integer))

_ALONE = threading.Lock()
"""Alembic's `op` is one for the whole process."""


@cache
def steps() -> ScriptDirectory:
    """Return all steps that this program knows."""
    return ScriptDirectory(str(Path(__file__).with_name("migrations")))


def migrate(connection: sa.Connection, shown: str) -> None:
    """Bring the tables to this program's version, in the caller's transaction.

    Raises:
        ControlSchemaError: a newer version of this program made the tables; they are unchanged.
    """
    with _ALONE:
        context = MigrationContext.configure(connection)
        found = _found(context, shown)
        last = steps().get_current_head()
        if found == last:
            return
        with Operations.context(context):
            for step in reversed(list(steps().iterate_revisions(last, found or "base"))):
                step.module.upgrade()
        context.stamp(steps(), str(last))


def _found(context: MigrationContext, shown: str) -> str | None:
    """Return which version the tables have, None if there are none."""
    connection = context.connection
    assert connection is not None
    found = context.get_current_revision()
    if found is None and sa.inspect(connection).has_table(_BY_COLUMN.name):
        version = connection.scalar(sa.select(_BY_COLUMN.c.schema_version))
        found = FIRST if version == int(FIRST) else f"{version:04}"
    known = [step.revision for step in steps().walk_revisions()]
    if found is not None and found not in known:
        raise ControlSchemaError(
            f"the control database {shown} has tables of version {found}; this program knows versions up to "
            f"{known[0]}. Nothing was changed; use the newer program."
        )
    return found
