"""Attacks on the statements of an outside anchor, by who can write to its place."""

from collections.abc import Iterator
from pathlib import Path

from keystore.objects.directory import UNFINISHED
from tests.attacks.cells import Cells
from tests.attacks.on_node import NodeScene, flipped

CELLS = Cells()
HEAD_BYTES = 48
"""Bytes of a statement's clear head (docs/FORMAT.md, section 18)."""


class Outside:
    """A copy of the node with a copy of its outside anchor, to attack."""

    def __init__(self, scene: NodeScene) -> None:
        self._scene, self._node = scene, scene.copy()
        self._place = scene.outside_of(self._node)
        (self.directory,) = (path for path in self._place.path.iterdir() if path.name != UNFINISHED)

    @property
    def statements(self) -> list[Path]:
        """Those of the node, oldest first."""
        return sorted(self.directory.iterdir())

    def found(self) -> str:
        return self._scene.found(self._node, place=self._place)


def _last(scene: NodeScene) -> bytes:
    return Outside(scene).statements[-1].read_bytes()


def _replaced(scene: NodeScene, data: bytes) -> str:
    """Put `data` in the place of the last statement; say what was found."""
    outside = Outside(scene)
    outside.statements[-1].write_bytes(data)
    return outside.found()


@CELLS.add("outside anchor", "bit flip", "refused: OutsideAnchorDamagedError", "refused: KeyFileStaleError")
def _(scene: NodeScene) -> Iterator[str]:
    data = _last(scene)
    for at in (*range(0, HEAD_BYTES, 9), *range(HEAD_BYTES, len(data), 29)):
        yield _replaced(scene, flipped(data, at))


@CELLS.add("outside anchor", "truncated, extended, zeroed", "refused: OutsideAnchorDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    data = _last(scene)
    for changed in (b"", data[:HEAD_BYTES], data[:-1], data + b"\0", bytes(len(data))):
        yield _replaced(scene, changed)


@CELLS.add("outside anchor", "an older statement over the last one", "refused: OutsideAnchorDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    yield _replaced(scene, Outside(scene).statements[0].read_bytes())


@CELLS.add("outside anchor", "a statement with a number that no node writes", "refused: OutsideAnchorDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    for number in (1 << 63, 10**20 - 1):
        outside = Outside(scene)
        (outside.directory / f"{number:020d}").touch()
        yield outside.found()


@CELLS.add("outside anchor", "all statements removed", "refused: OutsideAnchorMissingError")
def _(scene: NodeScene) -> Iterator[str]:
    outside = Outside(scene)
    for statement in outside.statements:
        statement.unlink()
    yield outside.found()


@CELLS.add(
    "outside anchor",
    "the last statement removed",
    "unchanged",
    why="the node is beyond an older statement; who puts it back too is limit 1",
)
def _(scene: NodeScene) -> Iterator[str]:
    outside = Outside(scene)
    outside.statements[-1].unlink()
    yield outside.found()
