"""Configurations in the control database: a row for each project and provider, and the sealed credentials beside it.

What is sealed is everything that says who calls, so that a snapshot's credentials open its key also after all of it was
changed. Rules are left to `keystore.projects.configurations`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.errors import ControlConflictError
from keystore.projects.fields import RULES, Provider, Settings
from keystore.projects.ids import new_id
from keystore.projects.sealing import Sealer
from keystore.projects.tables import configurations, credentials, snapshots

REASON_CHARACTERS_MAX = 1024


@dataclass(frozen=True)
class Configuration:
    """A project's key at a provider. `state` is valid, invalid or unreachable, since `since_ns`."""

    project_id: str
    provider: Provider
    public: Mapping[str, str]
    credential_id: str
    key_uri: str
    state: str
    reason: str
    error_code: str | None
    checked_ns: int | None
    since_ns: int
    rotated_ns: int
    revision: int

    @property
    def subject(self) -> str:
        """What names it in the table of what is due."""
        return f"{self.project_id}/{self.provider}"


def configurations_of(connection: sa.Connection, project_id: str) -> dict[Provider, Configuration]:
    """Return a project's configurations, and lock them."""
    mine = sa.select(configurations).where(configurations.c.project_id == project_id)
    rows = connection.execute(mine.order_by(configurations.c.provider).with_for_update()).all()
    return {row.provider: _configuration(row) for row in rows}


def configuration_of(connection: sa.Connection, project_id: str, provider: str) -> Configuration | None:
    """Return a project's configuration of a provider, and lock it; None where there is none."""
    row = connection.execute(sa.select(configurations).where(_is(project_id, provider)).with_for_update()).one_or_none()
    return None if row is None else _configuration(row)


def credential_blob(connection: sa.Connection, credential_id: str) -> bytes:
    """Return sealed credentials.

    Raises:
        ControlConflictError: they went when others were saved.
    """
    sealed: bytes | None = connection.scalar(sa.select(credentials.c.sealed).where(credentials.c.id == credential_id))
    if sealed is None:
        raise ControlConflictError("other credentials were saved meanwhile. Nothing was changed; try again.")
    return sealed


def seal_credentials(sealer: Sealer, project_id: str, settings: Settings) -> bytes:
    """Return the credentials of settings, sealed for a project; errors as `Sealer.seal`."""
    content = {"who": who_of(settings.provider, settings.public), "secrets": dict(settings.secrets)}
    return sealer.seal(json.dumps(content).encode(), _context(project_id, settings.provider))


def open_credentials(
    sealer: Sealer, project_id: str, provider: Provider, blob: bytes
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the public fields that say who calls, and the secrets; errors as `Sealer.open`."""
    found = json.loads(sealer.open(blob, _context(project_id, provider)))
    return found["who"], found["secrets"]


def who_of(provider: Provider, public: Mapping[str, str]) -> dict[str, str]:
    """Return the public fields that belong to the credentials."""
    return {
        name: value
        for name, value in public.items()
        if RULES[provider][name].role == "who" or name == "azureEnvironment"
    }


def insert_credentials(connection: sa.Connection, project_id: str, provider: str, sealed: bytes, now_ns: int) -> str:
    """Record credentials and return their id."""
    credential_id = new_id()
    values = {"id": credential_id, "project_id": project_id, "provider": provider, "sealed": sealed}
    connection.execute(credentials.insert().values(values | {"created_ns": now_ns}))
    return credential_id


def retire_credentials(connection: sa.Connection, credential_id: str, now_ns: int) -> None:
    """Have credentials that no configuration names any more go, or kept as long as a snapshot names them."""
    mine = credentials.c.id == credential_id
    named = sa.select(sa.func.count()).select_from(snapshots).where(snapshots.c.credential_id == credential_id)
    if connection.scalar(named):
        connection.execute(credentials.update().where(mine).values(retired_ns=now_ns))
    else:
        connection.execute(credentials.delete().where(mine))


def store(connection: sa.Connection, found: Configuration, *, is_new: bool) -> None:
    """Record a configuration as a whole."""
    values: dict[str, Any] = {
        **vars(found),
        "fields": dict(found.public),
        "reason": found.reason[:REASON_CHARACTERS_MAX],
    }
    del values["public"]
    if is_new:
        connection.execute(configurations.insert().values(values))
    else:
        connection.execute(configurations.update().where(_is(found.project_id, found.provider)).values(values))


def delete(connection: sa.Connection, found: Configuration) -> None:
    """Remove a configuration; its credentials are left to `retire_credentials`."""
    connection.execute(configurations.delete().where(_is(found.project_id, found.provider)))


def _is(project_id: str, provider: str) -> sa.ColumnElement[bool]:
    return (configurations.c.project_id == project_id) & (configurations.c.provider == provider)


def _configuration(row: sa.Row[Any]) -> Configuration:
    values = dict(row._mapping)
    return Configuration(public=values.pop("fields"), **values)


def _context(project_id: str, provider: str) -> str:
    return f"credentials of {provider} for project {project_id}"
