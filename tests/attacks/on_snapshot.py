"""Attacks on a snapshot: its manifest, its packs and the map in them, also with parts of its parent exchanged.

None leaves anything of a target.
"""

import hashlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

from keystore.crypto.signing import SigningKey
from keystore.errors import KeystoreError
from keystore.format.manifest import ManifestHead, ManifestParts
from keystore.format.pack import HEADER_BYTES, NODE_ROW
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.opened import open_snapshot
from tests.attacks.cells import Cells
from tests.attacks.on_node import contents, flipped, with_checksum

CELLS = Cells()
PAGE_BYTES = 65536
CHECKSUM_BYTES = 32
DAMAGED = "refused: SnapshotDamagedError"


class SnapshotScene:
    """A snapshot with two files of two pages, its parent, and a snapshot that shares nothing with them.

    Files `one` and `two` have a pack in the parent. Of `one` a page was written anew since; `two` is shared as it is.

    Attributes:
        one: the pack that the snapshot wrote: a page of `one`, and the root of its map.
        shared: the pack of the parent with all of `two`.
        former: the pack of the parent with `one`, of which a page is still needed, and its former root is not.
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._copies = directory, count()
        self.connect: KmsConnector = connector()
        create_key_file(directory / "cmk")
        target, random = DirectoryPlace(directory / "snapshots"), Random(3)
        with Node.init(directory / "node", f"local://{directory / 'cmk'}", self.connect) as node:
            for name in ("one", "two"):
                node.import_file("d", name, io.BytesIO(random.randbytes(2 * PAGE_BYTES)), page_size=PAGE_BYTES)
            self.parent = snapshot(node, target).snapshot_id
            with node.using_store("d", "one") as store:
                store.commit({1: random.randbytes(PAGE_BYTES)})
            self.snapshot_id = snapshot(node, target).snapshot_id
            self.other = snapshot(node, target, full=True).snapshot_id
        self.target = target.path
        self.contents = contents(directory / "node", self.connect)
        self.manifest = self.object("manifests", self.snapshot_id)
        self.former, self.shared = (self.packs(self.parent)[name][0] for name in ("one", "two"))
        (self.one,) = set(self.packs(self.snapshot_id)["one"]) - {self.former}

    def object(self, kind: str, name: str | bytes) -> bytes:
        return (self.target / kind / (name if isinstance(name, str) else name.hex())).read_bytes()

    def pack(self, name: str) -> bytes:
        return self.object("packs", name)

    def packs(self, snapshot_id: bytes) -> dict[str, list[str]]:
        """Return the names of the packs of each file."""
        with open_snapshot(DirectoryPlace(self.target), snapshot_id, self.connect) as opened:
            return {
                store.name: [opened.head.packs[pack.place].pack_id.hex() for pack in store.packs]
                for store in opened.body.stores
            }

    def root(self, snapshot_id: bytes, name: str) -> tuple[int, int]:
        """Return where the root of the map of a file begins in its pack, and its length."""
        with open_snapshot(DirectoryPlace(self.target), snapshot_id, self.connect) as opened:
            (store,) = (store for store in opened.body.stores if store.name == name)
        at = {field: NODE_ROW.fields[field][1] for field in ("offset", "length")}  # type: ignore[index]
        offset, length = (
            int.from_bytes(store.root[at[field] : at[field] + size], "little")
            for field, size in (("offset", 8), ("length", 4))
        )
        return offset, length

    def after(self, manifest: bytes | None = b"", **packs: bytes | None) -> str:
        """Put other bytes in the place of objects of the snapshot, or none; restore it; say what was found.

        Names are `manifest`, `one`, `shared` and `former`. Whoever signed is taken on trust, so that what is behind the
        signature is attacked too.
        """
        place = self._attacked(manifest, **packs)
        return self._restored(place, Trust(KnownNodes(place.with_suffix(".known")), first_use=True))

    def after_another_signer(self) -> str:
        """Sign the manifest anew, restore it where the node is known, and say what was found."""
        manifest = self.signed(read_manifest(DirectoryPlace(self.target), self.snapshot_id).parts)
        return self._restored(self._attacked(manifest), Trust())

    def _attacked(self, manifest: bytes | None, **packs: bytes | None) -> Path:
        place = self._directory / f"attacked-{next(self._copies)}"
        for kind in ("manifests", "packs"):
            (place / kind).mkdir(parents=True)
            for path in (self.target / kind).iterdir():
                (place / kind / path.name).hardlink_to(path)
        changes = {place / "packs" / getattr(self, name): data for name, data in packs.items()}
        if manifest != b"":
            changes[place / "manifests" / self.snapshot_id.hex()] = manifest
        for file, data in changes.items():
            file.unlink()
            if data is not None:
                file.write_bytes(data)
        return place

    def _restored(self, place: Path, trust: Trust) -> str:
        restored = place.with_suffix(".restored")
        try:
            restore(DirectoryPlace(place), self.snapshot_id, restored, self.connect, trust=trust)
        except KeystoreError as error:
            self._require_named(error)
            assert not [path for path in self._directory.iterdir() if "restor" in path.name]
            return f"refused: {type(error).__name__}"
        found = "unchanged" if contents(restored, self.connect) == self.contents else "other contents"
        shutil.rmtree(restored)
        return found

    def _require_named(self, error: KeystoreError) -> None:
        """Require that an error names the snapshot, or the key that refused."""
        assert any(name in str(error) for name in (self.snapshot_id.hex(), str(self._directory), "://"))

    def signed(self, parts: ManifestParts) -> bytes:
        """Return a manifest of `parts`, signed by another than the node, whose public key it names."""
        signing = SigningKey.generate()
        head = replace(ManifestHead.decode(parts.head), signer=signing.public)
        parts = replace(parts, head=head.encode(len(parts.sealed_map), len(parts.sealed_keys)))
        return replace(parts, signature=signing.sign(parts.signed)).join()

    def forged(self, **packs: bytes) -> bytes:
        """Return a manifest whose clear head has length and SHA-256 of other packs, signed by somebody else."""
        parts = read_manifest(DirectoryPlace(self.target), self.snapshot_id).parts
        head = ManifestHead.decode(parts.head)
        others = {getattr(self, name): data for name, data in packs.items()}
        rows = tuple(
            replace(pack, byte_length=len(others[name]), digest=hashlib.sha256(others[name]).digest())
            if (name := pack.pack_id.hex()) in others
            else pack
            for pack in head.packs
        )
        head = replace(head, packs=rows)
        return self.signed(replace(parts, head=head.encode(len(parts.sealed_map), len(parts.sealed_keys))))


# -- manifest ---------------------------------------------------------------------------------------------------------


@CELLS.add("manifest", "bit flip, truncated, extended, zeroed", DAMAGED, "refused: SnapshotError")
def _(scene: SnapshotScene) -> Iterator[str]:
    data = scene.manifest
    for at in (*range(0, 200, 3), *range(200, len(data), 41)):
        yield scene.after(flipped(data, at))
    for changed in (data[:1], data[:95], data[:200], data[:-33], data[:-1], data + b"\0", bytes(len(data))):
        yield scene.after(changed)


@CELLS.add("manifest", "bit flip in each field, with a checksum that fits", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    content = scene.manifest[:-CHECKSUM_BYTES]
    for at in (0, *range(10, 200, 7), *range(200, len(content), 29)):
        yield scene.after(with_checksum(flipped(content, at)))


@CELLS.add(
    "manifest",
    "bit flip in each field, with a checksum that fits, signed by somebody else who is trusted",
    DAMAGED,
    "refused: CiphertextError",
    "refused: KeyUriError",
)
def _(scene: SnapshotScene) -> Iterator[str]:
    parts = ManifestParts.split(scene.manifest)
    head = ManifestHead.decode(parts.head)
    lengths = len(parts.sealed_map), len(parts.sealed_keys)
    wrapped = head.wrapped
    for changed in (
        replace(head, node_id=flipped(head.node_id, 3)),
        replace(head, created_ns=head.created_ns + 1),
        replace(head, era=head.era + 1),
        replace(head, commitment=flipped(head.commitment, 0)),
        replace(head, parent=flipped(head.parent, 1)),
        replace(head, expires_ns=1),
        replace(head, logical_bytes=1),
        replace(head, credential="another"),
        replace(head, packs=head.packs[::-1]),
        replace(head, wrapped=replace(wrapped, key_id="loc:" + wrapped.key_id)),
        replace(head, wrapped=replace(wrapped, ciphertext=flipped(wrapped.ciphertext, len(wrapped.ciphertext) - 1))),
        head,
    ):
        yield scene.after(scene.signed(replace(parts, head=changed.encode(*lengths))))
    for at in (0, 40, len(parts.sealed_map) - 1):
        yield scene.after(scene.signed(replace(parts, sealed_map=flipped(parts.sealed_map, at))))
    for at in (0, 40, len(parts.sealed_keys) - 1):
        yield scene.after(scene.signed(replace(parts, sealed_keys=flipped(parts.sealed_keys, at))))


@CELLS.add("manifest", "version or suite lowered, with a checksum that fits", "refused: SnapshotError")
def _(scene: SnapshotScene) -> Iterator[str]:
    content = scene.manifest[:-CHECKSUM_BYTES]
    for at in (8, 9):
        for lower in range(content[at]):
            yield scene.after(with_checksum(content[:at] + bytes([lower]) + content[at + 1 :]))


@CELLS.add("manifest", "of another snapshot of the same node, its parent too", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    for other in (scene.parent, scene.other):
        yield scene.after(scene.object("manifests", other))


@CELLS.add("manifest", "removed", "refused: SnapshotMissingError")
def _(scene: SnapshotScene) -> Iterator[str]:
    yield scene.after(None)


@CELLS.add("manifest", "sealed map or keys of another snapshot of the same node, its parent too", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    parts = ManifestParts.split(scene.manifest)
    for other in (scene.parent, scene.other):
        theirs = ManifestParts.split(scene.object("manifests", other))
        for mixed in (
            replace(parts, sealed_map=theirs.sealed_map),
            replace(parts, sealed_keys=theirs.sealed_keys),
            replace(parts, sealed_map=theirs.sealed_map, sealed_keys=theirs.sealed_keys),
        ):
            head = ManifestHead.decode(mixed.head).encode(len(mixed.sealed_map), len(mixed.sealed_keys))
            yield scene.after(replace(mixed, head=head).join())
            yield scene.after(scene.signed(replace(mixed, head=head)))


# -- packs, and the map in them ---------------------------------------------------------------------------------------


@CELLS.add("pack", "bit flip in header, pages and map", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data, (root, length) = scene.pack(scene.one), scene.root(scene.snapshot_id, "one")
    assert (root, root + length) == (HEADER_BYTES + PAGE_BYTES, len(data))
    for at in (*range(0, HEADER_BYTES, 5), HEADER_BYTES, root - 1, *range(root, len(data), 23)):
        yield scene.after(one=flipped(data, at))


@CELLS.add(
    "pack",
    "bit flip in what no page or node of the snapshot is",
    "unchanged",
    why="it is not read; the manifest's SHA-256 of the pack tells it without a key",
)
def _(scene: SnapshotScene) -> Iterator[str]:
    data, (root, length) = scene.pack(scene.former), scene.root(scene.parent, "one")
    for at in (HEADER_BYTES + PAGE_BYTES, root, root + length - 1):
        yield scene.after(former=flipped(data, at))


@CELLS.add("pack", "truncated, extended, zeroed, removed", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    for name in ("one", "shared", "former"):
        data = scene.pack(getattr(scene, name))
        for changed in (b"", data[:10], data[:HEADER_BYTES], data[:-1], data + b"\0", bytes(len(data)), None):
            yield scene.after(**{name: changed})


@CELLS.add("pack", "of another file, of the parent, or of a snapshot that shares nothing", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    whole = scene.packs(scene.other)
    for name, others in (
        ("shared", (scene.former, *whole["two"], *whole["one"])),
        ("former", (scene.shared, *whole["two"])),
        ("one", (scene.former, scene.shared, *whole["one"])),
    ):
        data = scene.pack(getattr(scene, name))
        for other in map(scene.pack, others):
            for changed in (other, data[:HEADER_BYTES] + other[HEADER_BYTES:]):
                yield scene.after(**{name: changed})
                yield scene.after(scene.forged(**{name: changed}), **{name: changed})
    yield scene.after(shared=scene.pack(scene.former), former=scene.pack(scene.shared))


@CELLS.add("pack", "pages exchanged, also with those of the parent", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    former, one = scene.pack(scene.former), scene.pack(scene.one)
    first, end = HEADER_BYTES + PAGE_BYTES, HEADER_BYTES + 2 * PAGE_BYTES
    yield scene.after(former=former[:HEADER_BYTES] + former[first:end] + former[HEADER_BYTES:first] + former[end:])
    yield scene.after(one=one[:HEADER_BYTES] + former[first:end] + one[first:])
    yield scene.after(one=one[:HEADER_BYTES] + former[HEADER_BYTES:first] + one[first:])


@CELLS.add("map", "node of the parent, of another file, or of a snapshot that shares nothing", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    data, (at, length) = scene.pack(scene.one), scene.root(scene.snapshot_id, "one")
    for pack, (other_at, other_length) in (
        (scene.former, scene.root(scene.parent, "one")),
        (scene.shared, scene.root(scene.snapshot_id, "two")),
        (scene.packs(scene.other)["one"][0], scene.root(scene.other, "one")),
    ):
        assert other_length == length
        node = scene.pack(pack)[other_at : other_at + other_length]
        yield scene.after(one=data[:at] + node + data[at + length :])


@CELLS.add("manifest", "as it is, but signed by somebody else", "refused: SignerChangedError")
def _(scene: SnapshotScene) -> Iterator[str]:
    yield scene.after_another_signer()


@CELLS.add("pack", "changed, with length and SHA-256 that fit in a manifest by a trusted signer", DAMAGED)
def _(scene: SnapshotScene) -> Iterator[str]:
    for name in ("one", "shared"):
        data = scene.pack(getattr(scene, name))
        changed = flipped(data, len(data) - 1)
        yield scene.after(scene.forged(**{name: changed}), **{name: changed})
