"""Attacks on a snapshot: its manifest, its packs, and parts of several exchanged. None leaves anything of a target."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

from keystore.crypto.wrap import OVERHEAD_BYTES
from keystore.errors import KeystoreError
from keystore.format.manifest import ManifestHead, PackObject, encode_manifest, split_manifest
from keystore.format.pack import HEADER_BYTES, INDEX, PRELUDE_BYTES
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import restore, snapshot
from keystore.snapshots.target import LocalTarget
from tests.attacks.cells import Cells
from tests.attacks.on_node import contents, flipped, with_checksum

CELLS = Cells()
PAGE_BYTES = 65536
CHECKSUM_BYTES = 32
DAMAGED = "refused: SnapshotDamagedError"


class SnapshotScene:
    """Two snapshots of a node with two files of equal length and one of several batches."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._copies = directory, count()
        self.connect: KmsConnector = connector()
        create_key_file(directory / "cmk")
        target, random = LocalTarget(directory / "snapshots"), Random(3)
        with Node.init(directory / "node", f"local://{directory / 'cmk'}", self.connect) as node:
            for name, pages in (("one", 2), ("two", 2), ("long", 66)):
                source = io.BytesIO(random.randbytes(pages * PAGE_BYTES))
                node.import_file("d", name, source, page_size=PAGE_BYTES)
            self.first, self.second = (snapshot(node, target).snapshot_id for _ in range(2))
        self.target = target.path
        self.contents = contents(directory / "node", self.connect)
        self.manifest = self.file("manifest")
        packs = sorted((self.target / self.first.hex()).glob("*.pack"), key=lambda path: path.stat().st_size)
        self.one, self.two, self.long = (path.name for path in packs)
        self._names = {"manifest": "manifest", "one": self.one, "two": self.two, "long": self.long}

    def file(self, name: str, snapshot_id: bytes | None = None) -> bytes:
        """Return a file of the first snapshot, or of another."""
        return (self.target / (snapshot_id or self.first).hex() / name).read_bytes()

    def after(self, **changes: bytes | None) -> str:
        """Put other bytes in the place of files of the first snapshot, or none; restore it; say what was found.

        Names are `manifest`, `one`, `two` and `long`.
        """
        place = self._directory / f"attacked-{next(self._copies)}"
        place.mkdir()
        (place / self.first.hex()).mkdir()
        for path in (self.target / self.first.hex()).iterdir():
            (place / self.first.hex() / path.name).symlink_to(path)
        for name, data in changes.items():
            file = place / self.first.hex() / self._names[name]
            file.unlink()
            if data is not None:
                file.write_bytes(data)
        return self._restored(place)

    def _restored(self, place: Path) -> str:
        restored = place.with_suffix(".restored")
        try:
            restore(LocalTarget(place), self.first, restored, self.connect)
        except KeystoreError as error:
            self._require_named(error)
            assert not [path for path in self._directory.iterdir() if "restor" in path.name]
            return f"refused: {type(error).__name__}"
        found = "unchanged" if contents(restored, self.connect) == self.contents else "other contents"
        shutil.rmtree(restored)
        return found

    def _require_named(self, error: KeystoreError) -> None:
        """Require that an error names the snapshot, or the key that refused."""
        assert any(name in str(error) for name in (self.first.hex(), str(self._directory), "://"))

    def forged(self, name: str, data: bytes) -> tuple[bytes, bytes]:
        """Return `data`, and a manifest whose clear head has its length and SHA-256 for the pack `name`."""
        encoded, sealed = split_manifest(self.manifest)
        head = ManifestHead.decode(encoded)
        stem = self._names[name].removesuffix(".pack")
        packs = tuple(
            PackObject(pack.pack_id, pack.home, len(data), hashlib.sha256(data).digest())
            if pack.pack_id.hex() == stem
            else pack
            for pack in head.packs
        )
        fields = (head.snapshot_id, head.node_id, head.created_ns, head.era, head.commitment, head.parent, head.wrapped)
        return data, encode_manifest(ManifestHead(*fields, packs).encode(), sealed)


# -- manifest ---------------------------------------------------------------------------------------------------------


@CELLS.add("manifest", "bit flip, truncated, extended, zeroed", DAMAGED, "refused: SnapshotError")
def _(scene: SnapshotScene) -> Iterator[str]:
    data = scene.manifest
    for at in (*range(0, 100, 3), *range(100, len(data), 23)):
        yield scene.after(manifest=flipped(data, at))
    for changed in (b"", data[:1], data[:95], data[:200], data[:-33], data[:-1], data + b"\0", bytes(len(data))):
        yield scene.after(manifest=changed)


@CELLS.add(
    "manifest",
    "bit flip in each field, with a checksum that fits",
    DAMAGED,
    "refused: CiphertextError",
    "refused: KeyUriError",
)
def _(scene: SnapshotScene) -> Iterator[str]:
    content = scene.manifest[:-CHECKSUM_BYTES]
    wrapped = ManifestHead.decode(split_manifest(scene.manifest)[0]).wrapped
    uri, secret = content.index(wrapped.key_id.encode()), content.index(wrapped.ciphertext)
    fields = (0, *range(12, 96, 4), uri, secret, secret + len(wrapped.ciphertext) - 1)
    rows = range(secret + len(wrapped.ciphertext), len(content), 13)
    for at in (*fields, *rows):
        yield scene.after(manifest=with_checksum(flipped(content, at)))


@CELLS.add("manifest", "version or suite lowered, with a checksum that fits", "refused: SnapshotError")
def _(scene: SnapshotScene) -> Iterator[str]:
    content = scene.manifest[:-CHECKSUM_BYTES]
    for at in (8, 9):
        for lower in range(content[at]):
            yield scene.after(manifest=with_checksum(content[:at] + bytes([lower]) + content[at + 1 :]))


@CELLS.add("manifest", "of another snapshot of the same node", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    yield scene.after(manifest=scene.file("manifest", scene.second))


@CELLS.add("manifest", "removed", "refused: SnapshotMissingError")
def _(scene: SnapshotScene) -> Iterator[str]:
    yield scene.after(manifest=None)


@CELLS.add("manifest", "sealed body of another snapshot of the same node, with a checksum that fits", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    (head, _), (_, sealed) = (split_manifest(data) for data in (scene.manifest, scene.file("manifest", scene.second)))
    yield scene.after(manifest=encode_manifest(head, sealed))


# -- pack -------------------------------------------------------------------------------------------------------------


@CELLS.add("pack", "bit flip in header, prelude, index and pages", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data, pages = scene.file(scene.one), 2
    index_end = HEADER_BYTES + PRELUDE_BYTES + pages * INDEX.itemsize + OVERHEAD_BYTES
    assert len(data) == index_end + pages * PAGE_BYTES
    clear = (*range(0, HEADER_BYTES + PRELUDE_BYTES, 5), *range(HEADER_BYTES + PRELUDE_BYTES, index_end, 29))
    for at in (*clear, index_end, index_end + PAGE_BYTES - 1, len(data) - 1):
        yield scene.after(one=flipped(data, at))


@CELLS.add("pack", "truncated, extended, zeroed, removed", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data = scene.file(scene.one)
    for changed in (b"", data[:10], data[:HEADER_BYTES], data[:500], data[:-1], data + b"\0", bytes(len(data)), None):
        yield scene.after(one=changed)


@CELLS.add("pack", "of another store, or of the same store in another snapshot", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data = scene.file(scene.one)
    foreign = sorted((scene.target / scene.second.hex()).glob("*.pack"), key=lambda path: path.stat().st_size)
    for other in (scene.file(scene.two), *(path.read_bytes() for path in foreign[:2])):
        yield scene.after(one=other)
        yield scene.after(one=data[:HEADER_BYTES] + other[HEADER_BYTES:])
    yield scene.after(one=scene.file(scene.two), two=data)


@CELLS.add("pack", "batches exchanged, repeated or dropped", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data = scene.file(scene.long)
    batches = _batches(data)
    assert len(batches) == 2
    for order in ([1, 0], [0, 0], [0], [1]):
        changed, manifest = scene.forged("long", data[:HEADER_BYTES] + b"".join(batches[at] for at in order))
        yield scene.after(long=changed)
        yield scene.after(long=changed, manifest=manifest)


def _batches(data: bytes) -> list[bytes]:
    found, at = [], HEADER_BYTES
    while at < len(data):
        pages = int.from_bytes(data[at + 8 : at + 12], "little")
        index_bytes = int.from_bytes(data[at + 12 : at + 16], "little")
        end = at + PRELUDE_BYTES + index_bytes + pages * PAGE_BYTES
        found.append(data[at:end])
        at = end
    return found


@CELLS.add("pack", "changed, with length and SHA-256 that fit in the manifest", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    changed, manifest = scene.forged("one", flipped(scene.file(scene.one), -1 + len(scene.file(scene.one))))
    yield scene.after(one=changed, manifest=manifest)
