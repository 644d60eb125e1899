"""A node under a key file with one file in it, made by the command line."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.running import keystore


@dataclass(frozen=True)
class Made:
    """A node and what is in it."""

    node: Path
    key: str
    source: Path

    @property
    def store(self) -> Path:
        (store,) = self.node.glob("databases/*/*.store")
        return store


@pytest.fixture
def key(tmp_path: Path) -> str:
    made = keystore("keys", "create-file", tmp_path / "cmk", "--json")
    assert made.code == 0
    return str(made.json["key"])


@pytest.fixture
def made(tmp_path: Path, key: str) -> Made:
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(200_000))
    assert keystore("init", tmp_path / "node", "--key", key).code == 0
    assert keystore("import", tmp_path / "node", "db/file", source).code == 0
    return Made(tmp_path / "node", key, source)
