"""For tests to which PostgreSQL makes no difference: they import this fixture, in place of that of both databases."""

from pathlib import Path

import pytest


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.db'}"
