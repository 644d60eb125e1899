"""Every attack on every structure ends in a typed error, or provably changes nothing, or is a limit that is listed."""

from pathlib import Path

import pytest

from tests.attacks import document, on_guarded, on_log, on_node, on_outside, on_snapshot, on_store
from tests.attacks.cells import Cell
from tests.attacks.on_guarded import GuardedScene
from tests.attacks.on_log import LogScene
from tests.attacks.on_node import ForgedScene, NodeScene
from tests.attacks.on_snapshot import SnapshotScene
from tests.attacks.on_store import StoreScene
from tests.emulator_process import Emulator


@pytest.fixture(scope="session")
def store_scene(tmp_path_factory: pytest.TempPathFactory) -> StoreScene:
    return StoreScene(tmp_path_factory.mktemp("stores"))


@pytest.mark.parametrize("cell", on_store.CELLS, ids=lambda cell: cell.name)
def test_store(cell: Cell, store_scene: StoreScene) -> None:
    assert set(cell.run(store_scene)) == cell.expected


@pytest.fixture(scope="session")
def node_scene(tmp_path_factory: pytest.TempPathFactory) -> NodeScene:
    return NodeScene(tmp_path_factory.mktemp("nodes"))


@pytest.mark.parametrize("cell", [*on_node.CELLS, *on_outside.CELLS], ids=lambda cell: cell.name)
def test_node(cell: Cell, node_scene: NodeScene) -> None:
    assert set(cell.run(node_scene)) == cell.expected


@pytest.fixture(scope="session")
def guarded_scene(tmp_path_factory: pytest.TempPathFactory) -> GuardedScene:
    return GuardedScene(tmp_path_factory.mktemp("guarded"))


@pytest.mark.parametrize("cell", on_guarded.CELLS, ids=lambda cell: cell.name)
def test_guarded(cell: Cell, guarded_scene: GuardedScene) -> None:
    assert set(cell.run(guarded_scene)) == cell.expected


@pytest.mark.parametrize("cell", on_node.FORGED_CELLS, ids=lambda cell: cell.name)
def test_forged(cell: Cell, emulator: Emulator, tmp_path: Path) -> None:
    assert set(cell.run(ForgedScene(tmp_path, emulator.create_key("azure"), emulator.endpoint))) == cell.expected


@pytest.fixture(scope="session")
def snapshot_scene(tmp_path_factory: pytest.TempPathFactory) -> SnapshotScene:
    return SnapshotScene(tmp_path_factory.mktemp("snapshots"))


@pytest.mark.parametrize("cell", on_snapshot.CELLS, ids=lambda cell: cell.name)
def test_snapshot(cell: Cell, snapshot_scene: SnapshotScene) -> None:
    assert set(cell.run(snapshot_scene)) == cell.expected


@pytest.fixture(scope="session")
def log_scene(tmp_path_factory: pytest.TempPathFactory) -> LogScene:
    return LogScene(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("cell", on_log.CELLS, ids=lambda cell: cell.name)
def test_log(cell: Cell, log_scene: LogScene) -> None:
    assert set(cell.run(log_scene)) == cell.expected


def test_the_threat_model_has_what_the_tests_find() -> None:
    """Run `python -m tests.attacks.document` to write it again."""
    assert document.written(document.BEGIN, document.END) == document.render()
    assert document.written(document.BEGIN_PEERS, document.END_PEERS) == document.render_peers()


def test_no_cell_is_silent_but_the_limits_that_are_listed() -> None:
    names, limits = [cell.name for cell in document.ALL], set()
    assert len(names) == len(set(names))
    for cell in document.ALL:
        for outcome in cell.expected:
            kind, _, _ = outcome.partition(":")
            assert kind in ("refused", "found", "mended", "unchanged") or kind.startswith("limit ")
            if kind.startswith("limit "):
                limits.add(kind)
    assert limits == {"limit 1", "limit 2", "limit 7", "limit 14"}
