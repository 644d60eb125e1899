"""The anchors of a node: which keystore file is in force, and how far each store had come.

Kept outside the stores, so that an older copy of a store or of the keystore file is told from the one in force. Sealed
under the anchor key, which stands in the keystore file and survives rotations.

Invariants:
1. A record is written in place, one sector at a time (A-1). Each is bound to its position and owner.
2. A store's record is durable before the store enters the catalogue. So a store of the catalogue without a record that
   opens is an error; a record that nobody owns is what a crash left, and is used again.
3. While the keystore file is being replaced, both the former and the next one are accepted; before and after, one.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap, wrap
from keystore.errors import (
    RESTORE_ONE,
    AnchorsDamagedError,
    AnchorsMissingError,
    NodeClosedError,
    NodeError,
    NodeIOError,
    StoreIOError,
    WrongKeyError,
)
from keystore.format.anchors import (
    KIND_FREE,
    KIND_KEYFILE,
    KIND_STORE,
    RECORD_BYTES,
    Prelude,
    StoreState,
    decode_fingerprints,
    decode_state,
    encode_fingerprints,
    encode_prelude,
    encode_state,
    join_record,
    split_record,
)
from keystore.format.cursor import NotDecodableError
from keystore.keys.files import Files, publish, write_beside
from keystore.node.outside import OutsideAnchor
from keystore.pages.protocols import AnchorState, OutsideState

_PURPOSE = "anchor 1"
_NOBODY = bytes(16)

RECORDS_MAX = 1 << 20
"""LIMIT: records of an anchors file, 512 MiB: one for each store, all of them read at every opening of the node."""


class Anchors:
    """An open anchors file."""

    def __init__(self, files: Files, path: Path, key: SecretKey, node_id: bytes) -> None:
        self._files, self._path, self._key, self._node_id = files, path, key, node_id
        self._lock = threading.RLock()
        self._fd = -1
        self._fingerprints: tuple[bytes, ...] = ()
        self._positions: dict[bytes, int] = {}
        self._states: dict[bytes, AnchorState | None] = {}
        self._free: list[int] = []
        self._damaged: list[int] = []
        self._length = 1
        self.outside: OutsideAnchor | None = None
        """Is told of every state; None where the node has no outside anchor, or does not ask it."""

    @classmethod
    def create(cls, files: Files, path: Path, key: SecretKey, node_id: bytes, fingerprint: bytes) -> "Anchors":
        """Write the anchors of a new node, durably, and open them."""
        anchors = cls(files, path, key, node_id)
        with _io_errors(path):
            write_beside(files, path, anchors._keyfile_record((fingerprint,)))
            publish(files, path)
        return cls.open(files, path, key, node_id, ())

    @classmethod
    def open(cls, files: Files, path: Path, key: SecretKey, node_id: bytes, stores: Iterable[bytes]) -> "Anchors":
        """Open the anchors of a node whose catalogue has `stores` (ids).

        Raises:
            AnchorsMissingError: the file is not there.
            AnchorsDamagedError: the record of the keystore file does not open.
        """
        anchors = cls(files, path, key, node_id)
        try:
            data = files.read(path, RECORDS_MAX * RECORD_BYTES)
        except FileNotFoundError:
            raise AnchorsMissingError(
                f"the anchors file {path} is missing, so nobody knows how old this node is. Nothing was changed; bring "
                "it back, or restore the node from a snapshot."
            ) from None
        except OSError as error:
            raise NodeIOError(
                f"the anchors file {path} cannot be read: {error.strerror}. Nothing was changed."
            ) from None
        if len(data) > RECORDS_MAX * RECORD_BYTES:
            raise AnchorsDamagedError(
                f"the anchors file {path} has more than {RECORDS_MAX} records: no node writes so many. Nothing was "
                "changed; bring it back, or restore the node from a snapshot."
            )
        try:
            anchors._fd = files.open(path)
        except OSError as error:
            raise NodeIOError(
                f"the anchors file {path} cannot be opened for writing: {error.strerror}. Nothing was changed; give "
                "write access: every use of a node writes to it."
            ) from None
        try:
            anchors._read(data, set(stores))
        except BaseException:
            anchors.close()
            raise
        return anchors

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """Fingerprints of the keystore files that are accepted: one, or two after a crash in the middle of a change."""
        return self._fingerprints

    def accept(self, *fingerprints: bytes) -> None:
        """Accept these one or two keystore files and no other; durable on return."""
        self._write(0, self._keyfile_record(fingerprints), sync=True)
        self._fingerprints = fingerprints

    def add(self, store_id: bytes) -> "StoreAnchor":
        """Give a new store a record; durable on return.

        Raises:
            NodeError: the node has as many files as it can have; nothing was changed.
        """
        with self._lock:
            if store_id in self._positions:
                raise ValueError("this store has an anchor")
            if not self._free and self._length >= RECORDS_MAX:
                raise NodeError(
                    f"{self._path}: a node has at most {RECORDS_MAX - 1} files. Nothing was changed; drop a file, or "
                    "use another node."
                )
            position = self._free.pop() if self._free else self._length
            self._length = max(self._length, position + 1)
            self._positions[store_id] = position
            self._states[store_id] = None
        self._put(store_id, None, sync=True)
        return StoreAnchor(self, store_id)

    def remove(self, store_id: bytes) -> None:
        """Free the record of a store that left the catalogue."""
        with self._lock:
            position = self._positions.pop(store_id)
            del self._states[store_id]
        if self.outside is not None:
            self.outside.forget(store_id)
        self._write(position, self._record(KIND_FREE, position, _NOBODY, encode_state(None)), sync=False)
        with self._lock:
            self._free.append(position)

    def has(self, store_id: bytes) -> bool:
        """Tell whether a store has a record that opens."""
        return store_id in self._positions

    def of(self, store_id: bytes) -> "StoreAnchor":
        """Return the anchor of a store of the catalogue.

        Raises:
            AnchorsDamagedError, AnchorsMissingError: it has no record that opens.
        """
        if store_id in self._positions:
            return StoreAnchor(self, store_id)
        if self._damaged:
            records = ", ".join(str(position) for position in self._damaged[:8])
            raise AnchorsDamagedError(
                f"{self._path}: store {store_id.hex()} has no anchor that opens; damaged records: {records}. Nothing "
                f"was changed; restore {RESTORE_ONE}."
            )
        raise AnchorsMissingError(
            f"{self._path}: store {store_id.hex()} has no anchor, so nobody knows how old it is. Nothing was changed; "
            f"restore {RESTORE_ONE}."
        )

    def states(self) -> dict[bytes, AnchorState]:
        """Return the states of all stores that have one."""
        with self._lock:
            return {store_id: state for store_id, state in self._states.items() if state is not None}

    def sync(self) -> None:
        """Make every record durable."""
        with _io_errors(self._path):
            self._files.sync(self._fd)

    def close(self) -> None:
        """Close the file; the key stays the keystore's to wipe."""
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def _read(self, data: bytes, stores: set[bytes]) -> None:
        self._length = max(1, len(data) // RECORD_BYTES)
        self._fingerprints = self._read_fingerprints(data[:RECORD_BYTES])
        for position in range(1, self._length):
            record = data[position * RECORD_BYTES : (position + 1) * RECORD_BYTES]
            try:
                prelude, payload = self._open_record(record, position)
                state = decode_state(payload)
            except (NotDecodableError, WrapDamagedError, WrongKeyError):
                self._damaged.append(position)
                continue
            if prelude.kind == KIND_STORE and prelude.owner in stores and prelude.owner not in self._positions:
                self._positions[prelude.owner] = position
                self._states[prelude.owner] = AnchorState(state.epoch, state.sequence, state.tag) if state else None
            else:
                self._free.append(position)
        if stores <= self._positions.keys():
            # CRASH: a power cut while a record was being added leaves zeros; nobody misses them.
            self._free += self._damaged
            self._damaged = []

    def _read_fingerprints(self, record: bytes) -> tuple[bytes, ...]:
        try:
            prelude, payload = self._open_record(record, 0)
            if (prelude.kind, prelude.owner) != (KIND_KEYFILE, self._node_id):
                raise NotDecodableError("it belongs to another node")
            return decode_fingerprints(payload)
        except (NotDecodableError, WrapDamagedError, WrongKeyError) as error:
            raise AnchorsDamagedError(
                f"the anchors file {self._path} is damaged: record 0: {error}. Nothing was changed; bring it back, or "
                "restore the node from a snapshot."
            ) from None

    def _open_record(self, record: bytes, position: int) -> tuple[Prelude, bytearray]:
        prelude, aad, sealed = split_record(record)
        if prelude.position != position:
            raise NotDecodableError(f"it is record {prelude.position}, in the place of {position}")
        return prelude, unwrap(self._key, sealed, _PURPOSE, aad)

    def _keyfile_record(self, fingerprints: tuple[bytes, ...]) -> bytes:
        return self._record(KIND_KEYFILE, 0, self._node_id, encode_fingerprints(fingerprints))

    def _record(self, kind: int, position: int, owner: bytes, payload: bytes) -> bytes:
        # SAFETY: wrap takes a fresh salt and nonce for each writing, so no pair comes twice even in copies of a node.
        aad = encode_prelude(Prelude(kind, position, owner))
        try:
            return join_record(aad, wrap(self._key, payload, _PURPOSE, aad))
        except ValueError:
            if not self._key.wiped:
                raise
            raise NodeClosedError(f"{self._path}: the node was closed. Open it again.") from None

    def _put(self, store_id: bytes, state: AnchorState | None, *, sync: bool) -> None:
        position = self._positions[store_id]
        payload = encode_state(StoreState(state.epoch, state.sequence, state.tag) if state else None)
        self._write(position, self._record(KIND_STORE, position, store_id, payload), sync=sync)
        self._states[store_id] = state

    def _write(self, position: int, record: bytes, *, sync: bool) -> None:
        with _io_errors(self._path):
            self._files.write(self._fd, position * RECORD_BYTES, record)
            if sync:
                self._files.sync(self._fd)


class StoreAnchor:
    """The anchor of one store, as a page store asks for it."""

    def __init__(self, anchors: Anchors, store_id: bytes) -> None:
        self._anchors, self._store_id = anchors, store_id

    def load(self) -> AnchorState | None:
        """Return the state last stored, or None if none ever was."""
        return self._anchors._states[self._store_id]

    def store(self, state: AnchorState, *, sync: bool) -> None:
        """Put `state` in place of the former; durable on return if `sync`.

        Raises:
            StoreIOError: it could not be written; the former or this one is there.
            OutsideAnchorConflictError: it was written, and another copy of this node is in use.
        """
        try:
            self._anchors._put(self._store_id, state, sync=sync)
        except NodeIOError as error:
            raise StoreIOError(str(error)) from error  # a store takes it for an error of its own writing
        if self._anchors.outside is not None:
            # CRASH: what is stated outside is durable inside already, the store's commit and, if synced, this anchor.
            self._anchors.outside.store_anchored(self._store_id, state, sync=sync)

    def outside(self) -> OutsideState | None:
        """Return what the outside anchor says of this store, None where there is none or nothing was said."""
        outside = self._anchors.outside
        state = None if outside is None else outside.state_of(self._store_id)
        return None if state is None else OutsideState(state, str(outside))


@contextmanager
def _io_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NodeIOError(
            f"{path} cannot be written: {error.strerror}. What was durable before still is; open the node again."
        ) from error
