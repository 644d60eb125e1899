"""A file system on a node under a key file, for the tests in this directory."""

import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.node.directory import Node
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk
from tests.node.conftest import connect as connect
from tests.node.conftest import directory as directory
from tests.node.conftest import node as node


@pytest.fixture
def fs(node: Node) -> KeystoreFileSystem:
    return KeystoreFileSystem.on(node, page_size=4096)
