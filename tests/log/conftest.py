"""A node with a log, a model of what it held at every commit, and what the log says was there at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


@pytest.fixture
def connect() -> KmsConnector:
    return connector()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def node(tmp_path: Path, cmk: str, connect: KmsConnector, place: Path) -> Iterator[Node]:
    """An empty node whose log is enabled."""
    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(place)
        yield node
