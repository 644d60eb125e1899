"""Snapshots of a node.

Leaves to others: the form of a snapshot (`keystore.snapshots`), nodes out of snapshots (`keystore.node.restoring`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from keystore.errors import NameUnknownError
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import NEVER
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.node.descriptors import require_descriptors
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.places import require_place_of_snapshots
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place
from keystore.pages.pin import Pin
from keystore.progress import Progress
from keystore.snapshots.create import CreatedSnapshot, create_snapshot
from keystore.snapshots.source import NodeKeys, NodeSource


def snapshot(
    node: Node,
    target: Place,
    progress: Progress | None = None,
    *,
    kind: SnapshotKind = SnapshotKind.ON_DEMAND,
    expires_ns: int = NEVER,
    full: bool = False,
    known_nodes: KnownNodes | None = None,
) -> CreatedSnapshot:
    """Take a snapshot of an open node, of one moment of all its stores; durable on return. No KMS is asked.

    It shares what is unchanged with the node's former snapshots in `target`, unless it is to be `full`.

    Args:
        known_nodes: where a node of a former version, which has had no key for signing, is recorded; by default this
            user's list.

    Raises:
        InputError: the target is inside a node, or among the objects of a place of snapshots.
        PlaceError: the target cannot be read or written; nothing is left there.
        NodeIOError: the system does not let this process have as many files open at once as there are stores.
        StoreError: a store does not open, cannot be read, or has a damaged page; nothing is left in the target.
    """
    if isinstance(target, DirectoryPlace):
        require_place_of_snapshots(target.path)

    @contextmanager
    def pin(database: Database, record: StoreRecord) -> Iterator[Pin]:
        with node.using_store(database.name, record.name) as store:
            if store.store_id != record.store_id:
                raise NameUnknownError(
                    f"{database.name}/{record.name} was replaced while the snapshot began. Nothing is left of it; take "
                    "it again."
                )
            with store.pin() as pinned:
                yield pinned

    @contextmanager
    def held() -> Iterator[NodeKeys]:
        with node.held() as custody:
            yield custody.node_keys()

    with node.held() as custody:
        if custody.make_identity_durable():
            signing, known = custody.keystore.signing, known_nodes or KnownNodes.default()
            known.record(KnownNode(node.node_id, signing.public, node.name))
    require_descriptors(sum(len(database.stores) for database in node.databases.values()), f"a snapshot of {node.name}")
    source = NodeSource(node.name, held, pin, node.credential, log_position=node.log.position)
    return create_snapshot(
        target, source, kind=kind, expires_ns=expires_ns, full=full, progress=progress, now_ns=node.log.record_time_ns
    )
