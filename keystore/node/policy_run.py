"""One run of a backup policy, for one node and one place: takes the snapshot that is due, deletes those that expired.

Steps, each of which the next run does again if it was cut off:

1. The first run says when the policy begins (`policy_records`).
2. Where something is due the node is opened, which asks its KMS once, and a snapshot is taken. A node whose key the
   KMS refuses is disabled: what was due is passed over, for good, and that is recorded. Where nobody answers, it stays
   due. With a new snapshot there, the node's point-in-time log is cut to its window.
3. What has expired is deleted, whatever became of step 2: that needs no key, and time goes on while a node is disabled.
   A snapshot that is being restored waits for the next run.
4. What killed runs left over is removed.

Two runs at once: one process has a node open, and in it one run at a time has the node; each looks again at what is due
once it has it. Deleting a snapshot twice is deleting it once.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from keystore.errors import (
    KeystoreError,
    KmsInvalidError,
    PassphraseError,
    PlaceMissingError,
    SnapshotBusyError,
    SnapshotError,
    SnapshotMissingError,
)
from keystore.format.manifest import ManifestHead
from keystore.keys import keyfile
from keystore.keys.files import Files
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.layout import Layout
from keystore.node.places import require_place_of_snapshots
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place
from keystore.progress import Progress
from keystore.snapshots.create import CreatedSnapshot
from keystore.snapshots.delete import collect_garbage, delete_snapshot
from keystore.snapshots.log_pruning import Pruned
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.policy import Policy
from keystore.snapshots.policy_records import forget_old_records, read_records, record_beginning, record_passed_over
from keystore.snapshots.retention import Due, Occurrence, beginning, due, expired, next_occurrence

OpenNode = Callable[[], AbstractContextManager[Node]]

_TAKING: dict[bytes, threading.Lock] = {}
"""For each node: held by the run of this process that has it."""


@dataclass
class PolicyRun:
    """What a run did, and why.

    Attributes:
        next: when something is due next.
        due: what was due; None where nothing was.
        taken: the snapshot, where one was taken.
        refusal: why the KMS refused the node, where what was due was passed over.
        pruned: what became of the node's log, where that was looked at.
        deleted: what had expired, and is gone.
        kept: what has expired and is still there, with the reason.
        problems: what went wrong; the next run tries again.
    """

    node_id: bytes
    next: Occurrence
    due: Due | None = None
    taken: CreatedSnapshot | None = None
    refusal: KmsInvalidError | None = None
    pruned: Pruned | None = None
    deleted: list[ManifestHead] = field(default_factory=list)
    kept: list[tuple[ManifestHead, SnapshotBusyError]] = field(default_factory=list)
    problems: list[KeystoreError] = field(default_factory=list)


def run_policy(
    place: Place,
    directory: str | os.PathLike[str],
    open_node: OpenNode,
    policy: Policy,
    *,
    progress: Progress | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> PolicyRun:
    """Do what `policy` asks for now, for the node at `directory` and all snapshots in `place`; then say what was done.

    Expired snapshots of other nodes are deleted too: each says itself until when it is kept.

    Args:
        open_node: opens the node; called only where a snapshot is due.

    Raises:
        KeyFileError: nobody knows which node this is; nothing was changed.
        InputError: the place is inside a node; nothing was changed.
        KnownNodesError: the list of known nodes cannot be read; nothing was changed.
        PlaceError: the place cannot be listed; nothing was changed.
    """
    if isinstance(place, DirectoryPlace):
        require_place_of_snapshots(place.path)
    node_id = keyfile.load(Files(), Layout(Path(directory)).keystore).head.node_id
    running = _Running(place, policy, node_id, now_ns)
    running.begin()
    running.take(open_node, progress)
    running.delete()
    running.clear_up()
    return running.done


class _Running:
    """A run under way."""

    def __init__(self, place: Place, policy: Policy, node_id: bytes, now_ns: Callable[[], int]) -> None:
        self._place, self._policy, self._node_id, self._now_ns = place, policy, node_id, now_ns
        known = KnownNodes.default().find(node_id)
        self._signer = known.public if known is not None else None
        self._read: dict[bytes, ManifestHead | None] = {}
        self.done = PolicyRun(node_id, next_occurrence(policy, now_ns()))

    def begin(self) -> None:
        if read_records(self._place, self._node_id).began_ns is None:
            record_beginning(self._place, self._node_id, beginning(self._policy, self._now_ns()))

    def take(self, open_node: OpenNode, progress: Progress | None) -> None:
        """Take what is due, or record that it is passed over."""
        self.done.due = self._due(self._now_ns())
        if self.done.due is None:
            return
        try:
            with open_node() as node, _TAKING.setdefault(self._node_id, threading.Lock()):
                # Another run may have been faster, before this one had the node.
                found = self._due(node.log.record_time_ns())
                if found is not None:
                    self.done.due = found
                    self.done.taken = snapshot(
                        node, self._place, progress, kind=found.kind, expires_ns=found.expires_ns
                    )
                    self._prune(node)
        except PassphraseError as error:  # nobody gave it: the key is what it was
            self.done.problems.append(error)
        except KmsInvalidError as error:
            self.done.refusal = error
            record_passed_over(self._place, self._node_id, self.done.due.occurrences, str(error))
        except KeystoreError as error:
            self.done.problems.append(error)

    def delete(self) -> None:
        """Delete what has expired."""
        heads = self._heads()
        for at in expired(heads, self._now_ns()):
            try:
                delete_snapshot(self._place, heads[at].snapshot_id, now_ns=self._now_ns)
                self.done.deleted.append(heads[at])
            except SnapshotBusyError as error:
                self.done.kept.append((heads[at], error))
            except KeystoreError as error:
                self.done.problems.append(error)

    def clear_up(self) -> None:
        """Remove what is left over."""
        try:
            collect_garbage(self._place, now_ns=self._now_ns)
            forget_old_records(self._place, self._node_id, self._now_ns())
        except KeystoreError as error:
            self.done.problems.append(error)

    def _prune(self, node: Node) -> None:
        """Cut the node's log to the policy's window, or its own."""
        if node.log.info is not None:
            self.done.pruned = node.log.prune([self._place], self._policy.restore_window_days)

    def _due(self, now_ns: int) -> Due | None:
        records = read_records(self._place, self._node_id)
        own = [head for head in self._heads() if self._is_own(head)]
        return due(self._policy, own, now_ns, since_ns=records.began_ns or 0, skipped=records.passed_over)

    def _is_own(self, head: ManifestHead) -> bool:
        """Tell whether a snapshot is the node's: a forged one would keep a true one from being taken."""
        return head.node_id == self._node_id and (self._signer is None or head.signer == self._signer)

    def _heads(self) -> list[ManifestHead]:
        """Return the clear parts of all manifests that can be read. None changes, so each is read once."""
        try:
            ids = snapshot_ids(self._place)
        except PlaceMissingError:
            return []
        for snapshot_id in ids:
            if snapshot_id not in self._read:
                self._read[snapshot_id] = self._head(snapshot_id)
        return [head for snapshot_id in ids if (head := self._read[snapshot_id]) is not None]

    def _head(self, snapshot_id: bytes) -> ManifestHead | None:
        try:
            return read_manifest(self._place, snapshot_id).head
        except SnapshotMissingError:
            return None  # it was deleted meanwhile
        except SnapshotError as error:
            self.done.problems.append(error)
            return None
