"""The snapshot that a new one shares packs with: the newest of the same node that this node can read, whole.

One that was cut off and had noted what it had finished is as good: so the next one goes on where it was.

Invariant: it is only asked where pages lie. What is shared is decided by nonces and tags (`difference`), so a parent
that is too old, or of a copy of this node, makes the new snapshot larger and never wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from keystore.crypto.secret import SecretKey
from keystore.errors import PlaceMissingError, SnapshotError
from keystore.format.manifest import ManifestHead
from keystore.format.snapshot_map import ManifestBody, StoreEntry
from keystore.keys.volume import VolumeKey
from keystore.objects.place import Place
from keystore.snapshots.keys import derive_map_key
from keystore.snapshots.manifest import Manifest, read_manifest, read_partial
from keystore.snapshots.names import PACKS, PARTIAL, ids_in, manifest_name, partial_name, snapshot_ids
from keystore.snapshots.reading import MapReader, Packs
from keystore.snapshots.source import NodeKeys, NodeSource

PARENTS_MAX = 256
"""LIMIT: manifests looked at for a parent, from the newest on; in a place of many nodes a full snapshot is quicker."""


@dataclass(frozen=True)
class Parent:
    """A snapshot whose map is open; owns the map key.

    Attributes:
        found_id: in the name of the object that was read: the id of the snapshot, or of a note.
    """

    found_id: bytes
    name: str
    head: ManifestHead
    body: ManifestBody
    map_key: SecretKey

    def reader(self, packs: Packs, store_id: bytes, page_size: int) -> MapReader | None:
        """Return a reader of the map of a store; None where it has no such store. The caller closes it."""
        entry = self.store(store_id)
        return MapReader(packs, entry, self.map_key) if entry is not None and entry.page_size == page_size else None

    def store(self, store_id: bytes) -> StoreEntry | None:
        return next((store for store in self.body.stores if store.store_id == store_id), None)


def find_parent(place: Place, node: NodeSource) -> Parent | None:
    """Return the newest snapshot of this node that it can share packs with, or None; asks no KMS.

    Raises:
        PlaceError: the place cannot be read.
    """
    try:
        named = [(found, manifest_name(found)) for found in snapshot_ids(place)]
        named += [(found, partial_name(found)) for found in ids_in(place, PARTIAL)]
        present = ids_in(place, PACKS)
    except PlaceMissingError:
        return None
    for found_id, name in sorted(named)[: -PARENTS_MAX - 1 : -1]:
        try:
            read = read_partial if name.startswith(PARTIAL) else read_manifest
            found = _open(found_id, name, read(place, found_id), node, present)
        except SnapshotError:
            continue  # damaged, of another version, or removed meanwhile: no parent
        if found is not None:
            return found
    return None


def missing_packs(head: ManifestHead, present: Mapping[bytes, int]) -> list[str]:
    """Return what is wrong with the packs that a manifest names, by the lengths of those that are there."""
    found = []
    for pack in head.packs:
        length = present.get(pack.pack_id)
        if length is None:
            found.append(f"pack {pack.pack_id.hex()} is missing")
        elif length != pack.byte_length:
            found.append(f"pack {pack.pack_id.hex()} has {length} bytes, the manifest says {pack.byte_length}")
    return found


def _open(
    found_id: bytes, name: str, manifest: Manifest, node: NodeSource, present: Mapping[bytes, int]
) -> Parent | None:
    head = manifest.head
    with node.held() as keys:
        if not _is_own(head, keys) or missing_packs(head, present):
            return None
        map_key = derive_map_key(keys.snapshot_secret, head.snapshot_id)
    try:
        return Parent(found_id, name, head, manifest.open_map(map_key), map_key)
    except BaseException:
        map_key.wipe()
        raise


def _is_own(head: ManifestHead, keys: NodeKeys) -> bool:
    """Tell whether this node wrote a snapshot, with the same volume layer as now."""
    own = (head.node_id, head.signer) == (keys.master.node_id, keys.signing.public)
    return own and _volume_id(head) == _own_volume_id(keys.volume)


def _volume_id(head: ManifestHead) -> bytes | None:
    return head.volume.volume_id if head.volume else None


def _own_volume_id(volume: VolumeKey | None) -> bytes | None:
    return volume.record.volume_id if volume else None
