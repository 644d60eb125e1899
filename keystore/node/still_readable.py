"""Which pages of the snapshots under a key are readable without it: in newer snapshots of the node, and in the node.

A CMK opens the master keys of its time, and these the data keys. When the CMK is purged, its snapshots are gone for
good. But an unchanged page stands in newer snapshots and in the node as it is, sealed in the same session under the
same data key, which newer master keys wrap too. Only a reseal of the node, and the end of the snapshots taken before
it, lets such a page be gone.

The sessions are told by the map parts of the manifests, which the node opens without a KMS: only its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keystore.errors import SnapshotError
from keystore.format.manifest import ManifestHead
from keystore.format.record import SessionRecord
from keystore.format.snapshot_map import ManifestBody
from keystore.format.wrapped import WrappedKey
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.node.directory import Node
from keystore.objects.place import Place
from keystore.snapshots.keys import derive_map_key
from keystore.snapshots.manifest import Manifest, read_manifest
from keystore.snapshots.names import snapshot_ids

Sessions = set[tuple[bytes, bytes]]
"""Sessions by what makes them: the store that they began in, and their salt."""


@dataclass(frozen=True)
class StillReadable:
    """Pages of one store that were written under the key and can be read without it.

    Attributes:
        snapshot_id: of the snapshot that they stand in; None for the node itself.
        key_id: the CMK that opens it, as configured.
    """

    snapshot_id: bytes | None
    key_id: str
    database: str
    store: str
    pages: int


@dataclass(frozen=True)
class Remains:
    """What `still_readable` found.

    Attributes:
        snapshots: how many snapshots of the node are under the key; with none, nobody can tell what was.
        problems: manifests that could not be read; what they hold is not in `readable`.
    """

    snapshots: int
    readable: tuple[StillReadable, ...]
    problems: tuple[SnapshotError, ...]


def still_readable(node: Node, places: Sequence[Place], is_asked: Callable[[WrappedKey], bool]) -> Remains:
    """Tell which pages of the node's snapshots under a key are readable without that key; asks no KMS.

    Args:
        node: open; its stores are pinned one after the other.
        places: where its snapshots are. What is in one of them may be readable by a snapshot in another.
        is_asked: tells of a wrapped key whether it is under the key in question.

    Raises:
        PlaceError: a place cannot be read.
        StoreError: a store of the node cannot be read.
    """
    opened, problems = _own_manifests(node, places)
    under = [body for head, body in opened if is_asked(head.wrapped)]
    sessions: Sessions = {_identity(use.record) for body in under for store in body.stores for use in store.uses}
    readable = [
        row for head, body in opened if not is_asked(head.wrapped) for row in _in_snapshot(head, body, sessions)
    ]
    if not is_asked(node.master.wrapped):
        readable += _in_node(node, sessions)
    return Remains(len(under), tuple(readable), tuple(problems))


def _own_manifests(
    node: Node, places: Sequence[Place]
) -> tuple[list[tuple[ManifestHead, ManifestBody]], list[SnapshotError]]:
    opened: list[tuple[ManifestHead, ManifestBody]] = []
    problems: list[SnapshotError] = []
    for place, snapshot_id in [(each, found) for each in places for found in snapshot_ids(each)]:
        try:
            manifest = read_manifest(place, snapshot_id)
            body = _open_map(node, manifest)
        except SnapshotError as error:
            problems.append(error)
            continue
        if body is not None:
            opened.append((manifest.head, body))
    return opened, problems


def _open_map(node: Node, manifest: Manifest) -> ManifestBody | None:
    with node.held() as custody:
        keys = custody.node_keys()
        if (manifest.head.node_id, manifest.head.signer) != (node.node_id, keys.signing.public):
            return None
        map_key = derive_map_key(keys.snapshot_secret, manifest.head.snapshot_id)
    with map_key:
        return manifest.open_map(map_key)


def _in_snapshot(head: ManifestHead, body: ManifestBody, sessions: Sessions) -> Iterator[StillReadable]:
    for store in body.stores:
        pages = sum(use.pages for use in store.uses if _identity(use.record) in sessions)
        if pages:
            database = body.databases[store.database].name
            yield StillReadable(head.snapshot_id, head.wrapped.key_id, database, store.name, pages)


def _in_node(node: Node, sessions: Sessions) -> Iterator[StillReadable]:
    key_id = node.master.wrapped.key_id
    for database in node.databases.values():
        for record in database.stores.values():
            pages = _pages_in(node, database, record, sessions)
            if pages:
                yield StillReadable(None, key_id, database.name, record.name, pages)


def _pages_in(node: Node, database: Database, record: StoreRecord, sessions: Sessions) -> int:
    with node.using_store(database.name, record.name) as store, store.pin() as pin:
        asked = [session.number for session in pin.sessions() if _identity(session) in sessions]
        if not asked:
            return 0
        return sum(int(np.isin(entries["session"], asked).sum()) for _, entries in pin.leaves())


def _identity(session: SessionRecord) -> tuple[bytes, bytes]:
    return session.origin, session.salt
