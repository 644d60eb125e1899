"""Drafts of a change: opened, edited, reviewed as a difference, and applied or discarded. A draft changes nothing.

Invariant: a draft is applied only to what it was opened on. A deployment that was changed meanwhile refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.projects.access import Caller, require_role
from keystore.projects.codes import Code
from keystore.projects.deployment_rows import Deployment, deployment_named
from keystore.projects.deployments import MANAGERS, expected_shape, require_changeable, submit_change
from keystore.projects.ids import new_id
from keystore.projects.shapes import changed, difference
from keystore.projects.tables import drafts


@dataclass(frozen=True)
class Draft:
    """A change that nobody submitted yet; `change` has attributes of a shape."""

    id: str
    deployment_id: str
    base_revision: int
    change: dict[str, Any]
    created_ns: int


def open_draft(connection: sa.Connection, caller: Caller, project_id: str, name: str, now_ns: int) -> Draft:
    """Open a draft on a deployment as it is now.

    Raises:
        ApiError: the caller may not; nothing was changed.
    """
    found = _deployment(connection, caller, project_id, name)
    made = Draft(new_id(), found.id, found.revision, {}, now_ns)
    connection.execute(drafts.insert().values(vars(made)))
    return made


def edit_draft(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, draft_id: str, change: Mapping[str, Any]
) -> Draft:
    """Put a change into a draft, on top of what is in it.

    Raises:
        ApiError: it could not be applied, or there is no such draft; the draft is unchanged.
    """
    found = _deployment(connection, caller, project_id, name)
    draft = _draft(connection, found, draft_id)
    merged = {**draft.change, **change}
    require_changeable(connection, caller, found, merged)
    connection.execute(drafts.update().where(drafts.c.id == draft_id).values(change=merged))
    return Draft(draft.id, draft.deployment_id, draft.base_revision, merged, draft.created_ns)


def review_draft(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, draft_id: str
) -> tuple[Draft, dict[str, tuple[Any, Any]]]:
    """Return a draft, and what it would change: the API's names, with the values before and after.

    Raises:
        ApiError: the caller may not, or there is no such draft.
    """
    found = _deployment(connection, caller, project_id, name)
    draft = _draft(connection, found, draft_id)
    before = expected_shape(connection, found)
    return draft, difference(before, changed(before, draft.change))


def apply_draft(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, draft_id: str, now_ns: int
) -> Deployment:
    """Submit what a draft would change, and nothing else; the draft is gone on return.

    Raises:
        ApiError: the deployment was changed since, the caller may not, or there is no such draft; nothing was changed.
    """
    found = _deployment(connection, caller, project_id, name)
    draft = _draft(connection, found, draft_id)
    if draft.base_revision != found.revision:
        raise Code.STALE_DRAFT.error(name)
    after = submit_change(connection, caller, found, draft.change, now_ns)
    connection.execute(drafts.delete().where(drafts.c.id == draft_id))
    return after


def discard_draft(connection: sa.Connection, caller: Caller, project_id: str, name: str, draft_id: str) -> None:
    """Throw a draft away.

    Raises:
        ApiError: the caller may not, or there is no such draft.
    """
    found = _deployment(connection, caller, project_id, name)
    _draft(connection, found, draft_id)
    connection.execute(drafts.delete().where(drafts.c.id == draft_id))


def _deployment(connection: sa.Connection, caller: Caller, project_id: str, name: str) -> Deployment:
    require_role(connection, caller, project_id, *MANAGERS)
    return deployment_named(connection, project_id, name)


def _draft(connection: sa.Connection, deployment: Deployment, draft_id: str) -> Draft:
    mine = (drafts.c.id == draft_id) & (drafts.c.deployment_id == deployment.id)
    row = connection.execute(sa.select(drafts).where(mine)).one_or_none()
    if row is None:
        raise Code.DRAFT_NOT_FOUND.error(deployment.name, draft_id)
    return Draft(**row._mapping)
