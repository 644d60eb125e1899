"""Control databases for tests: the same tests run on SQLite and on a real PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystore.control.database import Database, open_database
from tests.control.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process; who stops it starts it again."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Opens databases that are closed at the end of the test."""
    databases: list[Database] = []

    def open_(url: str) -> Database:
        databases.append(open_database(url))
        return databases[-1]

    yield open_
    for database in databases:
        database.close()


@pytest.fixture
def database(database_url: str, opened: Callable[[str], Database]) -> Database:
    """An open, empty database."""
    return opened(database_url)
