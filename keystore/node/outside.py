"""The outside anchor of a node: statements, where its disks cannot reach, of how far the node had come.

Who can write to a node's disks can put everything back to an older moment, its anchors included. An outside anchor
tells: each statement has the keystore file in force and the last anchored state of every store. What is inside must be
at or beyond the last statement.

Invariants:
1. A statement is never ahead of what is durable inside: it is made from states that a store of this process anchored,
   or that an earlier statement had; and from a keystore file that is in force alone.
2. Statements are numbered and written once. Who finds the next number taken is one of two copies of a node, and stops.
3. A place that cannot be reached stops nothing that runs. It is tried again at every statement, and closing tells.

Leaves to others: where the objects lie (`outside_places`), when to state (`anchors`, `custody`), the chain of each
store (`keystore.pages.recovery`).
"""

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import OVERHEAD_BYTES, WrapDamagedError, unwrap, wrap
from keystore.errors import (
    KeyFileStaleError,
    OutsideAnchorConflictError,
    OutsideAnchorDamagedError,
    OutsideAnchorMissingError,
    OutsideAnchorUnreachableError,
    WrongKeyError,
)
from keystore.format import outside as layout
from keystore.format.anchors import StoreState
from keystore.format.cursor import NotDecodableError
from keystore.format.outside import StatementBody, StatementHead
from keystore.node import outside_places
from keystore.objects.place import Place
from keystore.pages.protocols import AnchorState
from keystore.units import format_moment

_PURPOSE = "outside anchor 1"

KEPT = 8
"""Statements that stay; older ones are removed where the place allows it."""


@dataclass(frozen=True)
class OutsideInfo:
    """What is known of an outside anchor, for people.

    Attributes:
        number: of the last statement that was read or written; 0 where none was.
        written_ns: when that was written.
        problem: why the last statement could not be written; until it can, the outside anchor is behind.
        ignored: the node was opened without asking it, and states nothing.
    """

    place: str
    each_commit: bool
    number: int = 0
    written_ns: int = 0
    problem: str | None = None
    ignored: bool = False


class OutsideAnchor:
    """The outside anchor of an open node.

    Attributes:
        each_commit: whether every commit is stated, and not only what is synced inside.
        problem: the error of the last statement, until one succeeds.
    """

    def __init__(self, place: Place, key: SecretKey, node_id: bytes, each_commit: bool = False) -> None:
        self._place, self._key, self._node_id = place, key, node_id
        self._lock = threading.RLock()
        self._number, self._written_ns = 0, 0
        self._stated = b""
        self._pending: tuple[bytes, bytes] | None = None
        self._generation, self._fingerprint = 0, bytes(32)
        self._states: dict[bytes, StoreState] = {}
        self._conflict: str | None = None
        self.each_commit = each_commit
        self.problem: OutsideAnchorUnreachableError | None = None

    def __str__(self) -> str:
        return str(self._place)

    @property
    def info(self) -> OutsideInfo:
        problem = self._conflict or (str(self.problem) if self.problem else None)
        return OutsideInfo(str(self), self.each_commit, self._number, self._written_ns, problem)

    # -- reading ------------------------------------------------------------------------------------------------------

    def check(self, generation: int, fingerprint: bytes, stores: Collection[bytes]) -> None:
        """Compare the keystore file at hand with the last statement, and keep the states of `stores`, those it names.

        Raises:
            OutsideAnchorUnreachableError: nobody knows; a later try can help.
            OutsideAnchorMissingError: there is no statement of this node.
            OutsideAnchorDamagedError: the last statement does not open.
            KeyFileStaleError: the keystore file is older than the statement, another one, or another node's.
        """
        self._number = outside_places.newest(self._place, self._node_id)
        if self._number == 0:
            raise OutsideAnchorMissingError(
                f"the outside anchor {self} has nothing of node {self._node_id.hex()}: it was never attached, or this "
                "is another node's directory or a forged one. Nothing was changed; name the right place, or bring the "
                "node's own directory back."
            )
        body = self._read()
        last = f"its last statement is number {self._number} of {format_moment(self._written_ns)}"
        if generation < body.file_generation:
            raise KeyFileStaleError(
                f"the keystore file is number {generation}, and the outside anchor {self} has seen number "
                f"{body.file_generation} ({last}): the node directory was rolled back. Nothing was changed; bring back "
                "what was there last, or go on from here with `keystore --ignore-outside-anchor`, if this is what is "
                "left."
            )
        if generation == body.file_generation and fingerprint != body.fingerprint:
            raise KeyFileStaleError(
                f"the keystore file is number {generation}, and not the one of that number that the outside anchor "
                f"{self} has seen ({last}). Nothing was changed; bring back what was there last."
            )
        self._generation, self._fingerprint = body.file_generation, body.fingerprint
        self._states = {store_id: state for store_id, state in body.stores.items() if store_id in stores}
        self._stated = layout.encode_body(body)

    def begin(self, states: Mapping[bytes, AnchorState]) -> None:
        """Go on from `states`, after whatever statements are there; nothing is compared."""
        self._number = outside_places.newest(self._place, self._node_id)
        self._states = {each: StoreState(state.epoch, state.sequence, state.tag) for each, state in states.items()}

    def state_of(self, store_id: bytes) -> AnchorState | None:
        """Return what was stated of a store."""
        with self._lock:
            state = self._states.get(store_id)
        return None if state is None else AnchorState(state.epoch, state.sequence, state.tag)

    def _read(self) -> StatementBody:
        data = outside_places.get(self._place, self._node_id, self._number)
        try:
            head, head_bytes, sealed = layout.split(data)
            if (head.node_id, head.number) != (self._node_id, self._number):
                raise NotDecodableError(f"it is statement {head.number} of node {head.node_id.hex()}")
            self._written_ns = head.written_ns
            return layout.decode_body(unwrap(self._key, sealed, _PURPOSE, head_bytes))
        except WrongKeyError:
            raise KeyFileStaleError(
                f"the outside anchor {self} was made by another node than this directory: a foreign or forged keystore "
                "file, or one of another life of the node. Nothing was changed; bring back what was there last."
            ) from None
        except (NotDecodableError, WrapDamagedError) as error:
            raise OutsideAnchorDamagedError(
                f"the outside anchor {self} is damaged: statement {self._number}: {error}. Nothing was changed; bring "
                "that object back, or attach the anchor again once you know that the node is the latest."
            ) from None

    # -- writing ------------------------------------------------------------------------------------------------------

    def keystore_in_force(self, generation: int, fingerprint: bytes) -> None:
        """Note the keystore file that is in force alone, and state it; errors as `publish`."""
        with self._lock:
            self._generation, self._fingerprint = generation, fingerprint
            self.publish()

    def store_anchored(self, store_id: bytes, state: AnchorState, *, sync: bool) -> None:
        """Note how far a store has come; state it if that is durable inside, or each commit is to be stated.

        Raises:
            OutsideAnchorConflictError: another copy of this node writes here.
        """
        with self._lock:
            self.require_alone()
            self._states[store_id] = StoreState(state.epoch, state.sequence, state.tag)
            if sync or self.each_commit:
                self.publish()

    def forget(self, store_id: bytes) -> None:
        """Leave a store that is gone out of the next statement."""
        with self._lock:
            self._states.pop(store_id, None)

    def publish(self) -> None:
        """Write a statement, unless the last one says the same; a place that cannot be reached is noted in `problem`.

        Raises:
            OutsideAnchorConflictError: another copy of this node writes here.
        """
        with self._lock:
            self.require_alone()
            body = layout.encode_body(StatementBody(self._generation, self._fingerprint, self._states))
            if body == self._stated:
                return
            try:
                self._put(body)
            except OutsideAnchorUnreachableError as error:
                self.problem = error

    def _put(self, body: bytes) -> None:
        if self._pending is not None:
            self._send(*self._pending)
        if body != self._stated:
            number, written_ns = self._number + 1, time.time_ns()
            head = layout.encode_head(StatementHead(self._node_id, number, written_ns), len(body) + OVERHEAD_BYTES)
            # SAFETY: wrap takes a fresh salt and nonce for each statement.
            self._send(head + wrap(self._key, body, _PURPOSE, head), body)
        self.problem = None

    def _send(self, data: bytes, body: bytes) -> None:
        number = self._number + 1
        self._pending = data, body
        # An earlier try may have arrived although it seemed to fail: then the object is the very same, and is no other.
        if not outside_places.put(self._place, self._node_id, number, data):
            self._conflict = (
                f"the outside anchor {self} has a statement {number} by somebody else: another copy of this node is in "
                "use. What was committed here is kept; close one of the two, and open the one that is to stay."
            )
            self.require_alone()
        self._pending, self._stated = None, body
        self._number, self._written_ns = number, layout.split(data)[0].written_ns
        if number > KEPT:
            outside_places.prune(self._place, self._node_id, number - KEPT)

    def require_alone(self) -> None:
        """Refuse once another copy of this node was seen here.

        Raises:
            OutsideAnchorConflictError: it was.
        """
        if self._conflict is not None:
            raise OutsideAnchorConflictError(self._conflict)
