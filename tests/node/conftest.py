"""A node under a key file, for the tests in this directory."""

import os
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
def directory(tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def node(directory: Path, cmk: str, connect: KmsConnector) -> Iterator[Node]:
    with Node.init(directory, cmk, connect) as node:
        yield node


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that fills many pages and ends inside one."""
    path = tmp_path / "source.bin"
    path.write_bytes(os.urandom(300_000) + b"end")
    return path
