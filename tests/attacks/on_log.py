"""Attacks on the segments of a point-in-time log, and on the snapshot that a restore to a time builds on."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

from keystore.crypto.signing import SigningKey
from keystore.errors import KeystoreError
from keystore.format.log_segment import Front, SegmentHead, join_front, split_front
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.at_time import PointInTime
from keystore.snapshots.log_segment import object_name
from tests.attacks.cells import Cells
from tests.attacks.on_node import flipped

CELLS = Cells()
PAGE_BYTES = 4096
DAMAGED = "refused: LogDamagedError"


class LogScene:
    """A snapshot of a node with one file, and a log of several segments after it, across a change of the master key.

    Attributes:
        at_ns: a time after the snapshot.
        numbers: of the segments after the snapshot that it needs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._copies, self.connect = directory, count(), connector()
        create_key_file(directory / "cmk")
        self.place, self.other_place = directory / "place", directory / "other-place"
        self.other_id, _ = self._make(directory / "other", self.other_place)
        self.node_id, self.snapshot_id = self._make(directory / "node", self.place)
        self.content = self._export(self.place)

    def _make(self, directory: Path, place: Path) -> tuple[bytes, bytes]:
        random = Random(5)
        with Node.init(directory, f"local://{self._directory / 'cmk'}", self.connect) as node:
            node.log.enable(place)
            with node.create_store("d", "f", PAGE_BYTES) as store:
                store.commit({0: random.randbytes(PAGE_BYTES)}, byte_length=4 * PAGE_BYTES, page_count=4)
                taken = snapshot(node, DirectoryPlace(place))
                first = node.log.flush()
                for number in range(3):
                    store.commit({number: random.randbytes(PAGE_BYTES), 3: random.randbytes(PAGE_BYTES)})
                    self.at_ns = store._state.time_ns
                    last = node.log.flush()
                    if number == 1:
                        node.rotate_master()
                store.commit({0: random.randbytes(PAGE_BYTES)})
                node.log.flush()
            self.numbers = list(range(first, last + 1))
            return node.node_id, taken.snapshot_id

    def name(self, number: int) -> str:
        return object_name(self.node_id, number)

    def segment(self, number: int) -> bytes:
        return (self.place / self.name(number)).read_bytes()

    def front(self, number: int) -> Front:
        return split_front(self.segment(number))

    def changed(self, contents: dict[int, bytes | None]) -> str:
        """Put these bytes in the places of segments, or remove them; say what a restore to the time comes to."""
        place = self._directory / f"copy-{next(self._copies)}"
        shutil.copytree(self.place, place)
        for number, data in contents.items():
            path = place / self.name(number)
            path.unlink(missing_ok=True)
            if data is not None:
                path.write_bytes(data)
        try:
            return self.found(place)
        finally:
            shutil.rmtree(place)

    def found(self, place: Path) -> str:
        try:
            return "unchanged" if self._export(place) == self.content else "silent"
        except KeystoreError as error:
            return f"refused: {type(error).__name__}"

    def _export(self, place: Path) -> bytes:
        out = io.BytesIO()
        moment = PointInTime(self.at_ns)
        export_from_snapshot(DirectoryPlace(place), self.snapshot_id, "d", "f", out, self.connect, at=moment)
        return out.getvalue()


@CELLS.add("log segment", "bit flip in its front", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    number = scene.numbers[1]
    data = scene.segment(number)
    for at in range(0, scene.front(number).head.front_bytes, 23):
        if at // 8 != 1:  # magic, then version and suite, which have an answer of their own
            yield scene.changed({number: flipped(data, at)})


@CELLS.add("log segment", "bit flip in its ciphertext", "refused: SnapshotDamagedError", "unchanged",
           why="a version of a page that a later commit replaced is not read")  # fmt: skip
def _(scene: LogScene) -> Iterator[str]:
    for number in scene.numbers:
        data, start = scene.segment(number), scene.front(number).head.front_bytes
        for at in range(start, len(data), 1111):
            yield scene.changed({number: flipped(data, at)})


@CELLS.add("log segment", "truncated, extended, zeroed", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    number = scene.numbers[1]
    data = scene.segment(number)
    for changed in (b"", data[:100], data[:-1], data[:-PAGE_BYTES], data + b"\0", bytes(len(data))):
        yield scene.changed({number: changed})


@CELLS.add("log segment", "left out", DAMAGED, "refused: LogMissingError")
def _(scene: LogScene) -> Iterator[str]:
    for number in scene.numbers:
        yield scene.changed({number: None})


@CELLS.add("log segment", "left out, and those after it renumbered", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    first, *rest = scene.numbers
    yield scene.changed({number - 1: scene.segment(number) for number in rest} | {rest[-1]: None})
    head = replace(scene.front(rest[0]).head, number=first, previous=scene.front(first).head.previous)
    front = replace(scene.front(rest[0]), encoded_head=head.encode())
    yield scene.changed({first: join_front(front.signed, front.signature) + _ciphertext(scene, rest[0])})


@CELLS.add("log segment", "two exchanged, one repeated", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    one, two = scene.numbers[:2]
    yield scene.changed({one: scene.segment(two), two: scene.segment(one)})
    yield scene.changed({two: scene.segment(one)})


@CELLS.add("log segment", "of another node", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    number = scene.numbers[0]
    yield scene.changed({number: (scene.other_place / object_name(scene.other_id, number)).read_bytes()})


@CELLS.add("log segment", "forged, and signed by another key", DAMAGED)
def _(scene: LogScene) -> Iterator[str]:
    number, key = scene.numbers[0], SigningKey.generate()
    front = scene.front(number)
    for head in (front.head, replace(front.head, signer=key.public)):
        changed = replace(front, encoded_head=head.encode())
        forged = join_front(changed.signed, key.sign(changed.signed))
        yield scene.changed({number: forged + _ciphertext(scene, number)})


@CELLS.add("log segment", "pages of another segment", "refused: SnapshotDamagedError")
def _(scene: LogScene) -> Iterator[str]:
    one, two = scene.numbers[-2:]
    front = scene.segment(two)[: scene.front(two).head.front_bytes]
    yield scene.changed({two: front + _ciphertext(scene, one)})


@CELLS.add("log segment", "of a version that nobody knows", "refused: LogError")
def _(scene: LogScene) -> Iterator[str]:
    number = scene.numbers[0]
    yield scene.changed({number: flipped(scene.segment(number), 8)})


@CELLS.add("log", "the last segments removed", "refused: LogGapError")
def _(scene: LogScene) -> Iterator[str]:
    last = max(int(path.name) for path in scene.place.glob("log/*/*"))
    for start in scene.numbers:
        yield scene.changed(dict.fromkeys(range(start, last + 1)))


def _ciphertext(scene: LogScene, number: int) -> bytes:
    return scene.segment(number)[SegmentHead.decode(scene.segment(number)).front_bytes :]
