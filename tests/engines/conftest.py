"""A node under a key file and a file system on it, for the tests in this directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.engines.filesystem import KeystoreFileSystem
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
def fs(node: Node) -> KeystoreFileSystem:
    return KeystoreFileSystem.on(node, page_size=4096)
