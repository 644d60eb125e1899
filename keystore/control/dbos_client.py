"""Starts and watches workflows from a process that runs none, such as the command line.

DBOS's engine must not be launched for that: it would run workflows here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dbos import DBOSClient
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from keystore.control.database import Database
from keystore.control.dbos_status import APPLICATION, SERIALIZER, options, status_of, url_of
from keystore.control.engine import Status
from keystore.errors import ControlError, ControlUnreachableError


class DbosClient:
    """`engine.Workflows` on the tables that a control process made.

    Raises:
        ControlUnreachableError: by every method: no answer from the database; a second try can help.
        ControlError: by every method: no control process has run on this database yet.
    """

    def __init__(self, database: Database) -> None:
        self._shown = f"the control database {database.shown}"
        self._client = DBOSClient(
            system_database_url=url_of(database),
            serializer=SERIALIZER,
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    def start(self, name: str, key: str, arguments: Mapping[str, Any]) -> None:
        with self._translated():
            self._client.enqueue(options(key), name, dict(arguments))

    def status(self, key: str) -> Status | None:
        with self._translated():
            found = self._client.list_workflows(workflow_ids=[key], load_input=False)
        return status_of(found[0]) if found else None

    def cancel(self, key: str) -> None:
        with self._translated():
            self._client.cancel_workflow(key)

    def close(self) -> None:
        self._client.destroy()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            if isinstance(error, OperationalError) and "no such table" not in str(error):
                raise ControlUnreachableError(
                    f"{self._shown} does not answer. Nothing was started; try again."
                ) from None
            raise ControlError(
                f"{self._shown} has no tables for workflows. Nothing was started; run `keystore control serve` on it."
            ) from None
