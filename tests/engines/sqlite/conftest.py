"""A database under a key file, for the tests in this directory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import apsw
import pytest

from keystore.engines.sqlite import connect
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk

Connect: TypeAlias = Callable[..., apsw.Connection]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def open_db(path: Path, cmk: str) -> Iterator[Connect]:
    """Connect to the database of the test; what is still open is closed at its end."""
    opened: list[apsw.Connection] = []

    def open_db(**options: Any) -> apsw.Connection:
        opened.append(connect(path, cmk=cmk, **options))
        return opened[-1]

    yield open_db
    for connection in opened:
        connection.close(True)


@pytest.fixture
def db(open_db: Connect) -> apsw.Connection:
    return open_db()
