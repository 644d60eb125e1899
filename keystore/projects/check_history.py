"""What the checks of a configuration found, as far as that is kept (`outcomes.KEPT_NS`)."""

from dataclasses import dataclass

import sqlalchemy as sa

from keystore.projects.codes import Code
from keystore.projects.fields import Provider
from keystore.projects.settings_rows import configuration_of
from keystore.projects.tables import checks


@dataclass(frozen=True)
class CheckRecord:
    """One check. `due_ns` is when a scheduled one was due, `address` where the provider was asked from."""

    due_ns: int | None
    checked_ns: int
    cause: str
    outcome: str
    error_code: str | None
    reason: str
    address: str | None


def list_checks(
    connection: sa.Connection, project_id: str, provider: Provider, limit: int, skip: int
) -> tuple[list[CheckRecord], int]:
    """Return the latest checks of a project's key at a provider, the latest first, and how many there are.

    Raises:
        ApiError: it has no key there.
    """
    if configuration_of(connection, project_id, provider) is None:
        raise Code.ENCRYPTION_AT_REST_NOT_ENABLED.error(provider)
    mine = (checks.c.project_id == project_id) & (checks.c.provider == provider)
    columns = [checks.c[name] for name in CheckRecord.__dataclass_fields__]
    rows = connection.execute(sa.select(*columns).where(mine).order_by(checks.c.id.desc()).limit(limit).offset(skip))
    total = connection.scalar(sa.select(sa.func.count()).select_from(checks).where(mine)) or 0
    return [CheckRecord(*row) for row in rows], total
