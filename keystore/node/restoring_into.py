"""Files of a snapshot into a node that is there.

Leaves to others: putting stores in the place of others (`keystore.node.replacing`), pages (`keystore.node.filling`).

Invariants:
1. Whatever refuses refuses before the node is touched: the snapshot, its key, the node's own key, and a snapshot under
   another kind of key than the node (`require_same_provider`).
2. The files of the node are the former ones until all of the new ones are complete and verified; then all change at
   once.
3. No data key of the snapshot comes into the node. Where the node still has the data key that sealed a page, its
   ciphertext stays; any other page is sealed anew. (The number of a data key is bound into its session keys, so a key
   cannot be given another number, and a database has one key for each.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keystore.errors import SnapshotProviderError
from keystore.format.manifest import ManifestHead
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.filling import Filler
from keystore.node.reports import Rotation
from keystore.node.signers import Trust
from keystore.objects.place import Place
from keystore.progress import Progress, untold
from keystore.snapshots.at_time import PointInTime, open_at
from keystore.snapshots.choice import Choice, Chosen
from keystore.snapshots.opened import OpenedSnapshot
from keystore.snapshots.restore_marks import BeingRestored
from keystore.snapshots.unlocking import UsedCredentials

PLATFORM = "local"
"""The provider of nodes without customer keys."""


@dataclass(frozen=True)
class RestoredFiles:
    """What was restored into a node.

    Attributes:
        snapshot_key_id: the key that opened the snapshot.
        credentials: whose opened it.
        replaced: files that were there before.
        rotation: of the node's master key, under its own CMK.
    """

    snapshot_id: bytes
    snapshot_key_id: str
    replaced: tuple[str, ...]
    added: tuple[str, ...]
    pages: int
    logical_bytes: int
    credentials: UsedCredentials
    rotation: Rotation


class RestoreInto:
    """A restore that can be done; nothing of the node is changed before `run`.

    Attributes:
        replaced: files of the node that get other contents.
        added: files that the node has not yet.
        kept: files of the node that are not restored and stay.
    """

    def __init__(self, node: Node, snapshot: OpenedSnapshot, chosen: Chosen, mark: BeingRestored) -> None:
        self._node, self._snapshot, self._chosen, self._mark = node, snapshot, chosen, mark
        names = [f"{self._database(entry.database)}/{entry.name}" for entry in chosen.stores]
        there = [f"{database.name}/{name}" for database in node.databases.values() for name in database.stores]
        self.replaced = tuple(sorted(set(names) & set(there)))
        self.added = tuple(sorted(set(names) - set(there)))
        self.kept = tuple(sorted(set(there) - set(names)))

    @property
    def snapshot_key_id(self) -> str:
        """The key that opened the snapshot."""
        return self._snapshot.head.wrapped.key_id

    @property
    def credentials(self) -> UsedCredentials:
        """Whose credentials opened it."""
        return self._snapshot.credentials

    def run(self, progress: Progress | None = None, *, read_back: bool = False) -> RestoredFiles:
        """Restore; all files change at once, and the node's master key with them. Durable on return.

        `read_back` is as for `restore`.

        Raises:
            SnapshotDamagedError, StoreFullError, NodeIOError: nothing was changed.
            StoreLockedError: a file that is to be replaced is in use; nothing was changed.
            KmsError, KeyFileWriteError: the node's master key cannot be changed; nothing was changed.
        """
        telling = self._mark.renewing(progress or untold)
        filler, pages = Filler(self._snapshot, self._chosen.stores, telling, read_back=read_back), 0
        with self._node.replacement() as replacement:
            replacement.prepare_master()
            for entry in self._chosen.stores:
                database = self._database(entry.database)
                with replacement.filling(database, entry.name, entry.page_size, entry.created_ns) as store:
                    pages += filler.fill(store, entry, self._node.data_keys(database))
            rotation = replacement.put_in_force()
        return RestoredFiles(
            self._snapshot.head.snapshot_id,
            self.snapshot_key_id,
            self.replaced,
            self.added,
            pages,
            self._chosen.logical_bytes,
            self.credentials,
            rotation,
        )

    def _database(self, place: int) -> str:
        return self._snapshot.body.databases[place].name


@contextmanager
def restore_into(
    node: Node,
    target: Place,
    snapshot_id: bytes,
    connect: KmsConnector,
    choice: Choice | None = None,
    at: PointInTime | None = None,
    *,
    trust: Trust | None = None,
) -> Iterator[RestoreInto]:
    """Open a snapshot for a restore into `node`, and say what that would change.

    Args:
        at: a time, for the files as they were then; the snapshot may be any of their node.
        trust: as for `restore`.

    Raises:
        SnapshotProviderError: the snapshot was taken under another kind of key than the node is under.
        NameUnknownError: the snapshot has not what `choice` names.
        KmsError, SnapshotError, KnownNodesError, LogError: as `restore`.
    """
    trust = trust or Trust()
    signed = trust.of(target)

    def accept(head: ManifestHead) -> None:
        signed(head)
        require_same_provider(head, node)

    with (
        open_at(target, snapshot_id, connect, at, accept, choice) as snapshot,
        BeingRestored(target, snapshot.head.snapshot_id) as mark,
    ):
        trust.note(snapshot.head, snapshot.body.node_name)
        yield RestoreInto(node, snapshot, (choice or Choice()).of(snapshot), mark)


def require_same_provider(head: ManifestHead, node: Node) -> None:
    """Refuse a snapshot that was taken under another provider's key than the node is under.

    Raises:
        SnapshotProviderError: the message names both.
    """
    theirs, ours = head.wrapped.provider, node.master_info.provider
    if theirs == ours:
        return
    name = head.snapshot_id.hex()
    if theirs == PLATFORM:
        what = f"snapshot {name} was taken without a customer key, and node {node.directory} is under one at {ours}"
    elif ours == PLATFORM:
        what = f"snapshot {name} was taken under a customer key at {theirs}, and node {node.directory} has none"
    else:
        what = f"snapshot {name} was taken under a key at {theirs}, and node {node.directory} is under one at {ours}"
    raise SnapshotProviderError(
        f"{what}. Nothing was restored; restore into a node under a key at {theirs}, or make a new node of it."
    )
