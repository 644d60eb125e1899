"""A restore to a time builds on what the node signed, whatever else somebody put among its snapshots."""

from pathlib import Path
from random import Random

import pytest

from keystore.errors import SignerChangedError, SignerUnknownError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.at_time import PointInTime
from tests.attacks.forging import forged_snapshot
from tests.log.history import SIZE, change, state_of


def test_a_forged_snapshot_is_not_built_on(node: Node, place: Path, cmk: str, other_cmk: str, tmp_path: Path) -> None:
    """The forged one is the newest; nothing else about it tells it apart."""
    target, random = DirectoryPlace(place), Random(3)
    node.create_store("db", "a", SIZE).close()
    genuine = snapshot(node, target).snapshot_id
    with Node.init(tmp_path / "evil", other_cmk, connector()) as evil:
        evil.create_store("db", "a", SIZE).close()
        forged = forged_snapshot(target, node.node_id, cmk, connector(), evil, node.log.position)
    with node.using_store("db", "a") as store:
        change(store, random)
        expected = state_of(store)
    node.log.flush()
    at = PointInTime(None)
    with pytest.raises(SignerChangedError):
        restore(target, forged, tmp_path / "r", connector(), at=at)
    with pytest.raises(SignerUnknownError):
        restore(target, genuine, tmp_path / "r", connector(), at=at, trust=Trust(KnownNodes(tmp_path / "known")))
    assert not (tmp_path / "r").exists()
    restore(target, genuine, tmp_path / "r", connector(), at=at)
    with Node.open(tmp_path / "r", connector()) as restored, restored.using_store("db", "a") as store:
        assert state_of(store) == expected
