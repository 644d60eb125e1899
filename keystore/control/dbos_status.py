"""What DBOS keeps of a workflow, in the words of `engine`; and the settings that all who speak to its tables share."""

from collections.abc import Mapping
from typing import Any

from dbos import DBOSPortableJSONSerializer, EnqueueOptions, Serializer, WorkflowStatus

from keystore.control import outcome
from keystore.control.database import Database
from keystore.control.engine import State, Status
from keystore.errors import ControlError

APPLICATION = "keystore-control"
APPLICATION_VERSION = "1"
"""Raised when workflows under way cannot go on under the new program. Left to DBOS it would be a hash of the source,
and nothing would go on after any upgrade."""

QUEUE, EXTENDED_QUEUE, APART_QUEUE = "keystore", "keystore-extended", "keystore-apart"
"""Where workflows wait for their turn: those of processes without and with an extension, of which the former leave the
latter's alone; and those that are registered to wait apart in a queue for each name, which begins so."""
WORKFLOW = "keystore-workflow"
"""The one function that DBOS knows; its arguments say which of ours it is."""

SERIALIZER: Serializer = DBOSPortableJSONSerializer()

_STATES: Mapping[str, State] = {
    "ENQUEUED": State.WAITING,
    "DELAYED": State.WAITING,
    "PENDING": State.RUNNING,
    "CANCELLED": State.CANCELLED,
}


def url_of(database: Database) -> str:
    """Return the URL under which DBOS keeps its tables: in the same file, or in a schema of the same database."""
    name = "sqlite" if database.is_sqlite else "postgresql"
    return database.url.set(drivername=name).render_as_string(hide_password=False)


def options(key: str, queue: str = QUEUE) -> EnqueueOptions:
    """Return how a workflow is enqueued; a key that is taken is left as it is."""
    return {
        "workflow_name": WORKFLOW,
        "queue_name": queue,
        "workflow_id": key,
        "app_version": APPLICATION_VERSION,
        "application_name": APPLICATION,
    }


def status_of(found: WorkflowStatus) -> Status:
    """Translate."""
    state = _STATES.get(found.status)
    if state is not None:
        return Status(found.workflow_id, state)
    ended: Any = found.output
    if found.status == "SUCCESS" and isinstance(ended, dict):
        error = outcome.error_of(ended)
        if error is None:
            return Status(found.workflow_id, State.DONE, ended["value"])
        return Status(found.workflow_id, State.FAILED, error=error)
    told = ControlError(f"the workflow {found.workflow_id} ended as {found.status}: {found.error}.")
    return Status(found.workflow_id, State.FAILED, error=told)
