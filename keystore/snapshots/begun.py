"""A snapshot from its beginning to its manifest, as others see it in the place.

Steps, and what a crash after each leaves:

1. `begun/<id>` is put, with the parent's id; then the parent's manifest is looked for. From here on nobody removes
   packs of the parent, though its manifest may go (S-14).
2. Packs are written. A crash leaves them without a manifest; `collect_garbage` removes them once they are old. After
   each full one `partial/<id>` notes what is done, and the former note is removed. A crash leaves the note: the next
   snapshot of the node takes it for its parent, and goes on.
3. The manifest is put. The snapshot is complete.
4. `begun/<id>` is removed. A crash before leaves an object that says nothing any more.

Who clears up what is left over removes `begun/<id>` first. So it is looked for before and after step 3: where it is
gone, packs may be gone, and the snapshot is withdrawn.
"""

import os
from contextlib import suppress
from typing import Self

from keystore.errors import PlaceError, PlaceUnreachableError, SnapshotError
from keystore.format.begun import Begun
from keystore.format.manifest import NO_PARENT, ManifestHead
from keystore.objects.place import Place
from keystore.snapshots.ids import new_id
from keystore.snapshots.names import PACKS, begun_name, ids_in, manifest_name, pack_name, partial_name
from keystore.snapshots.needed import needed_packs
from keystore.snapshots.parent import Parent, find_parent, missing_packs
from keystore.snapshots.source import NodeSource

PARENT_TRIES = 4
"""LIMIT: parents that may be deleted while a snapshot begins; then it is a full one."""

MISSING_SHOWN = 3
"""LIMIT: missing packs that an error names."""


class BegunSnapshot:
    """A snapshot that is being taken; a context manager that removes what is there if the block fails.

    Where the place does not answer any more, and something was noted, all stays for who goes on.

    Attributes:
        parent: the snapshot that it shares packs with, or None.
        pack_ids: of the packs that it wrote.
    """

    def __init__(self, place: Place, snapshot_id: bytes, parent: Parent | None, begun_ns: int) -> None:
        self._begun_ns = begun_ns
        self._place, self._process, self._publishing = place, os.getpid(), False
        self.snapshot_id, self.parent = snapshot_id, parent
        self.pack_ids: list[bytes] = []
        self._noted: str | None = None

    @classmethod
    def begin(cls, place: Place, node: NodeSource, *, full: bool, created_ns: int) -> Self:
        """Begin a snapshot, with the newest parent that there is, or without one if it is to be `full`.

        Raises:
            PlaceError: the place cannot be read or written.
        """
        for last in (False,) * PARENT_TRIES + (True,):
            parent = None if full or last else find_parent(place, node)
            begun = cls(place, new_id(created_ns), parent, created_ns)
            if begun._put(node):
                return begun
        raise AssertionError("without a parent there is nothing that could be missing")

    def publish(self, head: ManifestHead, manifest: bytes) -> None:
        """Put the manifest, whose clear part is `head`; the snapshot is complete and durable on return.

        Raises:
            PlaceError: it cannot be written.
            SnapshotError: it was cleared away as left over, or somebody else removed a pack that it shares.
        """
        self._require_begun()
        self._publishing = True
        if not self._place.put(manifest_name(self.snapshot_id), manifest):
            raise self._gone("another manifest has its name")
        self._require_begun()
        missing = missing_packs(head, ids_in(self._place, PACKS)) if self.parent else []
        if missing:
            raise self._gone("; ".join(missing[:MISSING_SHOWN]))
        with suppress(PlaceError):  # they say nothing any more, and whoever clears up removes them
            self._forget_note()
            self._place.remove(begun_name(self.snapshot_id))

    def note(self, manifest: bytes, now_ns: int) -> None:
        """Put a note of what is done so far: a manifest of what there is, without data keys."""
        name = partial_name(new_id(now_ns))
        self._place.put(name, manifest)
        self._forget_note()
        self._noted = name

    def forget(self, pack_ids: list[bytes]) -> None:
        """Remove packs that it will not name after all; those that cannot be removed are left over."""
        if os.getpid() != self._process or not pack_ids:
            return
        with suppress(PlaceError):
            for pack_id in self._not_shared(pack_ids):
                self._place.remove(pack_name(pack_id))

    def close(self) -> None:
        if self.parent is not None:
            self.parent.map_key.wipe()

    def _put(self, node: NodeSource) -> bool:
        """Make it known; tell whether the parent is still there, and undo it where it is not."""
        with node.held() as keys:
            node_id = keys.master.node_id
        parent_id = self.parent.found_id if self.parent else NO_PARENT
        begun = Begun(self.snapshot_id, node_id, parent_id, self._begun_ns)
        present = False
        try:
            self._place.put(begun_name(self.snapshot_id), begun.encode())
            present = self.parent is None or self._place.length(self.parent.name) is not None
        finally:
            if not present:
                self._discard()
        return present

    def _require_begun(self) -> None:
        if self._place.length(begun_name(self.snapshot_id)) is None:
            raise self._gone("it took so long that it was cleared away as left over")

    def _gone(self, why: str) -> SnapshotError:
        return SnapshotError(
            f"snapshot {self.snapshot_id.hex()} in {self._place} was not completed: {why}. Nothing else was changed; "
            "take it again."
        )

    def _forget_note(self) -> None:
        if self._noted is not None:
            self._place.remove(self._noted)

    def _discard(self) -> None:
        """Remove what is there; the manifest first, so that there is never one that names what is missing."""
        self.close()
        if os.getpid() != self._process:
            return
        with suppress(PlaceError):
            if self._publishing:
                self._place.remove(manifest_name(self.snapshot_id))
            for pack_id in self._not_shared(self.pack_ids):
                self._place.remove(pack_name(pack_id))
            self._place.remove(begun_name(self.snapshot_id))

    def _not_shared(self, pack_ids: list[bytes]) -> list[bytes]:
        """Return those that nobody shares; once something was noted, another snapshot may have taken it up."""
        if self._noted is None:
            return pack_ids
        self._forget_note()
        needed, unknown = needed_packs(self._place, self._begun_ns)
        return [] if unknown else [pack_id for pack_id in pack_ids if pack_id not in needed]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        goes_on = kind is not None and issubclass(kind, PlaceUnreachableError) and self._noted and not self._publishing
        if kind is not None and not goes_on:
            self._discard()
        self.close()
