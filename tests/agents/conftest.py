"""A cluster's authority, and nodes served to real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.agents.tls import ClusterCa
from tests.agents.running import AgentProcess, Cluster, ServedNode
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(ClusterCa.create(tmp_path / "authority", "orders"), tmp_path / "tls")


@pytest.fixture
def node(tmp_path: Path, cmk: str, cluster: Cluster) -> Iterator[ServedNode]:
    """A node served by this process; all its clients go with it."""
    with ServedNode.init(tmp_path / "node-1", cmk, cluster) as served:
        yield served


@pytest.fixture
def processes() -> Iterator[list[AgentProcess]]:
    """Processes that a test started; what still runs at its end is killed."""
    started: list[AgentProcess] = []
    try:
        yield started
    finally:
        for each in started:
            each.kill()
