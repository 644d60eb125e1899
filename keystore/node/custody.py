"""The keystore in force: master key and contents in memory, the file on disk, and the way from one file to the next.

Leaves to others: what changes, and why.

Threads may share it. `change` and `change_master` are the only ways from one state to the next: each reads the former
state, makes the next one of it and puts that in force under one lock. So no change is lost, and no two write the file
at once. The KMS is asked outside that lock: however long it takes, the catalogue goes on changing.

Replacing the file, and what a crash leaves at each step:

1. The next file is written beside the one in force, synced, and read back. A crash leaves a file that nobody reads.
2. The anchor accepts the former and the next file; synced.
3. The next file is renamed into place; the directory is synced. Before that is durable either may be there, and both
   are accepted.
4. The anchor accepts the next file only; synced. From now on the former one is refused as stale.

So the wrapped master key of the former file stays until the next one is durable, and at every moment the node opens.
An error in steps 2 to 4 leaves unknown which file is in force: the object refuses further changes until it is reopened.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from keystore.errors import KeyFileStaleError, NodeClosedError, NodeIOError
from keystore.format.keyfile import IDENTITY_VERSION, VERSION
from keystore.keys import keyfile
from keystore.keys.files import Files, publish, temporary_path
from keystore.keys.hierarchy import Keystore
from keystore.keys.keyfile import KeyFile
from keystore.keys.master import MasterKey
from keystore.keys.volume import VolumeKey
from keystore.node.anchors import Anchors
from keystore.snapshots.source import NodeKeys


class Custody:
    """Holds the keys of an open node.

    Attributes:
        volume: the key of the volume layer, if the node has one.
        watcher: is told of the contents before and after each change that is durable; raises nothing.
        unsure: whether a change failed half way, so that the file on disk may be the one before or after it.
    """

    def __init__(
        self,
        files: Files,
        path: Path,
        anchors: Anchors,
        loaded: KeyFile,
        master: MasterKey,
        keystore: Keystore,
        now_ns: Callable[[], int],
        volume: VolumeKey | None = None,
    ) -> None:
        self._files, self._path, self._now_ns = files, path, now_ns
        self._generation, self._fingerprint = loaded.head.file_generation, loaded.fingerprint
        self._version = self._opened_version = loaded.parts.version
        self.unsure, self._closed = False, False
        self.anchors, self.master, self.keystore, self.volume = anchors, master, keystore, volume
        self._lock, self._changing_master = threading.RLock(), threading.RLock()
        self._former_volumes: list[VolumeKey] = []
        self.watcher: Callable[[Keystore, Keystore], None] | None = None
        self._settle()

    @property
    def file_generation(self) -> int:
        """How often the keystore file was written."""
        return self._generation

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the keystore file in force."""
        return self._fingerprint

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Keep everything as it is inside the block: nothing is replaced, and no key is wiped.

        Raises:
            NodeClosedError: the keys are gone.
        """
        with self._lock:
            if self._closed:
                raise NodeClosedError(f"{self._path}: the node was closed. Open it again.")
            yield self

    def change(self, make_next: Callable[[Keystore], Keystore]) -> Keystore:
        """Put what `make_next` makes of the contents in force, and return it; durable on return.

        Nothing is written where it returns the very same contents.

        Raises:
            KeyFileWriteError: the next file could not be written; nothing was changed.
            OutsideAnchorConflictError: another copy of this node is in use.
            NodeIOError: it is unknown which file is in force; open the node again.
        """
        with self.held():
            keystore = make_next(self.keystore)
            if keystore is not self.keystore:
                self._replace(keystore, self.master)
            return keystore

    def change_master(
        self,
        make_next: Callable[[MasterKey], MasterKey],
        contents: Callable[[Keystore], Keystore] = lambda keystore: keystore,
        volume: VolumeKey | None = None,
    ) -> None:
        """Put what `make_next` makes of the master key in force, and wipe the former; errors as `change`.

        One after the other: who comes second is given what the first one made. `make_next` may ask the KMS. What
        `contents` makes of the contents comes in force with the new key, in the same file, and so does the key of a
        `volume` layer that it names; where that does not come in force it stays the caller's to wipe.
        """
        with self._changing_master:
            with self.held():
                former = self.master
            new = make_next(former)
            try:
                with self.held():
                    self._replace(contents(self.keystore), new, volume)
            finally:
                (former if self.master is new else new).wipe()

    def make_identity_durable(self) -> bool:
        """Write the keystore file anew where it is of a version without signing seed and snapshot secret (K-11).

        To be called before anything leaves the node that was made with them; errors as `change`. Returns whether it
        was of such a version when the node was opened: then nobody knows its key for signing yet.
        """
        with self.held():
            if self._version < IDENTITY_VERSION:
                self._replace(self.keystore, self.master)
            return self._opened_version < IDENTITY_VERSION

    def node_keys(self) -> NodeKeys:
        """Return what a snapshot needs; to be used inside `held`."""
        keystore = self.keystore
        return NodeKeys(self.master, keystore.databases, keystore.signing, keystore.snapshot_secret, self.volume)

    def state_outside(self) -> None:
        """Tell the outside anchor, where there is one, which keystore file is in force.

        Raises:
            OutsideAnchorConflictError: another copy of this node is in use.
        """
        outside = self.anchors.outside
        if outside is not None:
            outside.keystore_in_force(self._generation, self._fingerprint)

    def finish_outside(self) -> None:
        """Try once more to state what could not be stated.

        Raises:
            OutsideAnchorUnreachableError: the outside anchor stays behind; all is safe inside.
            OutsideAnchorConflictError: another copy of this node is in use.
        """
        outside = self.anchors.outside
        if outside is not None:
            outside.publish()
            if outside.problem is not None:
                raise outside.problem

    def close(self) -> None:
        """Wipe every key and close the anchors, when no change is under way."""
        with self._lock:
            self._forget()

    def after_fork_in_child(self) -> None:
        """Close without waiting: whoever held a lock at the fork does not run in the child."""
        self._lock, self._changing_master = threading.RLock(), threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._closed = True
        try:
            self.anchors.close()
        finally:
            self.keystore.wipe()
            self.master.wipe()
            for volume in (self.volume, *self._former_volumes):
                if volume is not None:
                    volume.wipe()

    def _replace(self, keystore: Keystore, master: MasterKey, volume: VolumeKey | None = None) -> None:
        if self.unsure:
            raise NodeClosedError(f"{self._path}: an earlier change failed half way. Open the node again.")
        if self.anchors.outside is not None:
            self.anchors.outside.require_alone()
        data = keyfile.seal(keystore, master, self._generation + 1, self._now_ns())
        keyfile.prepare(self._files, self._path, data)
        self._put_in_force(keyfile.fingerprint(data))
        self._generation += 1
        self._version = VERSION
        former, self.keystore, self.master = self.keystore, keystore, master
        self.volume = volume or self.volume
        if keystore.volume_id is None and self.volume is not None:
            self._former_volumes.append(self.volume)  # a snapshot that is being taken may still write under it
            self.volume = None
        self.unsure = False
        if self.watcher is not None:
            self.watcher(former, keystore)
        self.state_outside()

    def _put_in_force(self, fingerprint: bytes) -> None:
        self.unsure = True
        self.anchors.accept(self._fingerprint, fingerprint)
        try:
            publish(self._files, self._path)
        except OSError as error:
            raise NodeIOError(
                f"the keystore file {self._path} could not be put in force: {error.strerror}. The former or the new "
                "one is; both open. Open the node again."
            ) from error
        self.anchors.accept(fingerprint)
        self._fingerprint = fingerprint

    def _settle(self) -> None:
        """Finish what a crash interrupted: one file in force, nothing beside it."""
        if self._fingerprint not in self.anchors.fingerprints:
            raise KeyFileStaleError(
                f"the keystore file {self._path} is genuine but not the one in force: generation {self._generation}, "
                "an older or foreign copy. Nothing was changed; bring back the one that was there last."
            )
        if len(self.anchors.fingerprints) > 1:
            # The rename may have happened without being durable yet.
            self._files.sync_directory(self._path.parent)
            self.anchors.accept(self._fingerprint)
        self._files.remove(temporary_path(self._path))
