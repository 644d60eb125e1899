"""Who uses the open stores of a node, and when they are closed.

Invariants:
1. A store is opened for its first user and shared with all who come while it is open. It is closed when the last one
   leaves, or when the node closes; also one whose user forgot it, because it is kept here. A server has some stay open
   for the next user (`keep`): each opening is a recovery. Nobody has those, so they stand in nobody's way.
2. One place per store has one lock, held while the store is opened, closed or kept away from all. So nobody meets a
   store half way, and other stores do not wait.
3. Only the process that opened the stores counts users and closes. In a forked child nothing is lent.

Leaves to others: how a store is opened, and what may be done with it.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from keystore.errors import (
    InputError,
    KeystoreError,
    NameUnknownError,
    NodeClosedError,
    StoreDamagedError,
    StoreLockedError,
)
from keystore.pages.movable import MovableFile
from keystore.pages.store import PageStore


class LentStore(PageStore):
    """A store of a node. `close` ends the use of its owner, and closes it once nobody else uses it."""

    leave: Callable[[], None] | None = None
    movable: MovableFile
    """What it lies in."""

    def close(self) -> None:
        if self.leave is None:
            super().close()
        else:
            self.leave()

    def end(self) -> None:
        """Close it for everybody."""
        super().close()


Opener = Callable[[], LentStore]


class StoreRetiredError(NameUnknownError):
    """The store was replaced or removed after its user had looked it up."""


@dataclass
class _Place:
    """Where one store is, while anybody uses it.

    Attributes:
        users: how many use it or wait for it; guarded by the lock of `Lending`, all else by `lock`.
        lent: how many of them have the store.
        owned: whether one of them is to close it.
        end: is called when the last user of a store that is no more has left; None where it is still there.
    """

    store_id: bytes
    lock: threading.RLock = field(default_factory=threading.RLock)
    users: int = 0
    lent: int = 0
    owned: bool = False
    store: LentStore | None = None
    end: Callable[[], None] | None = None


class Lending:
    """The open stores of one node.

    Args:
        node_lock: stays alive, and with it the lock on the node, as long as any store is in somebody's hands.
    """

    def __init__(self, node_lock: object) -> None:
        self._node_lock = node_lock
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._places: dict[bytes, _Place] = {}
        self._idle: OrderedDict[bytes, _Place] = OrderedDict()
        self._idle_max = 0
        self._closed = False

    def keep(self, idle_max: int) -> None:
        """Let up to `idle_max` stores that nobody uses stay open, those that were used last."""
        self._idle_max = idle_max

    def own(self, store_id: bytes, opener: Opener) -> LentStore:
        """Return the store to a user who closes it.

        Raises:
            StoreLockedError: somebody else is to close it.
        """
        place = self._enter(store_id)
        try:
            with place.lock:
                if place.owned:
                    raise _in_use(store_id)
                store = self._store(place, opener)
                place.owned = True
                place.lent += 1
                return store
        except BaseException:
            self._leave(place)
            raise

    @contextmanager
    def using(self, store_id: bytes, opener: Opener, *, keep: bool = True) -> Iterator[LentStore]:
        """Lend the store for the block; unless `keep`, it is closed where it ends, if nobody else uses it."""
        place, lent = self._enter(store_id), 0
        try:
            with place.lock:
                store = self._store(place, opener)
                place.lent += 1
                lent = 1
            yield store
        except BaseException as error:
            with suppress(KeystoreError):
                # What went wrong may be mended by the next opening, and by nothing else. Damage is not, and a store
                # that stays open remembers that it takes no more commits.
                stays = isinstance(error, InputError | StoreDamagedError)
                self._leave(place, lent=lent, keep=keep and stays)
            raise
        self._leave(place, lent=lent, keep=keep)

    @contextmanager
    def reserved(self, store_id: bytes) -> Iterator[None]:
        """Let nobody use the store inside the block; who asks for it then is served afterwards.

        Raises:
            StoreLockedError: somebody uses it.
        """
        place = self._enter(store_id)
        try:
            with place.lock:
                if place.lent:
                    raise _in_use(store_id)
                self._end_store(place)
                yield
        finally:
            self._leave(place)

    @contextmanager
    def retiring(self, store_id: bytes, end: Callable[[], None], *, while_read: bool) -> Iterator[None]:
        """Let nobody come to the store inside the block, nor ever again where that ends well.

        Who comes is told by `StoreRetiredError`. `end` is called once nobody has it: before the return, or later by the
        last one who leaves.

        Args:
            while_read: also where others have it; they keep it until they leave.

        Raises:
            StoreLockedError: somebody has it; with `while_read`, one who is to close it and may write.
        """
        place = self._enter(store_id)
        try:
            with place.lock:
                if place.owned or (place.lent and not while_read):
                    raise _in_use(store_id)
                if not place.lent:
                    self._end_store(place)
                yield
                place.end = end
        finally:
            self._leave(place)

    def opened(self, store_ids: Iterable[bytes]) -> list[LentStore]:
        """Return those of the stores that are open just now; they stay their users'."""
        with self._lock:
            places = [self._places[store_id] for store_id in store_ids if store_id in self._places]
        return [place.store for place in places if place.store is not None]

    def store_ids(self) -> list[bytes]:
        """Return the stores that are in use or kept away from all just now."""
        with self._lock:
            return list(self._places)

    def close(self) -> None:
        """Close every store, also if closing one of them fails; the error comes out when all are closed."""
        with self._lock:
            self._closed = True
            places = list(self._places.values())
        with ExitStack() as stack:
            for place in places:
                stack.callback(_end, place)

    def _enter(self, store_id: bytes) -> _Place:
        self._check()
        with self._lock:
            place = self._places.setdefault(store_id, _Place(store_id))
            place.users += 1
            self._idle.pop(store_id, None)
            return place

    def _store(self, place: _Place, opener: Opener) -> LentStore:
        """Return the store of a place, opened if it is not; the caller has the lock of the place."""
        self._check()  # a node that closes has looked at this place already, or waits for the caller
        if place.end is not None:
            raise StoreRetiredError(f"store {place.store_id.hex()} was replaced or removed. Nothing was changed.")
        if place.store is None:
            place.store = opener()
            place.store.leave = partial(self._disown, place)
        return place.store

    def _disown(self, place: _Place) -> None:
        if os.getpid() != self._process:
            return
        with place.lock:
            owned, place.owned = place.owned, False
        if owned:
            self._leave(place, lent=1, keep=True)

    def _leave(self, place: _Place, *, lent: int = 0, keep: bool = False) -> None:
        if os.getpid() != self._process:
            return
        with place.lock:
            with self._lock:
                place.users -= 1
                place.lent -= lent
                if place.users:
                    return
                stays = place.store is not None and place.end is None and not self._closed
                keep = keep and self._idle_max > 0 and stays
                if keep:
                    self._idle[place.store_id] = place
            if not keep:
                self._end_idle(place)
        self._shrink()

    def _shrink(self) -> None:
        """Close what was not used for longest, where too many are kept. The caller has no lock of a place."""
        while True:
            with self._lock:
                if len(self._idle) <= self._idle_max:
                    return
                _, place = self._idle.popitem(last=False)
            with place.lock, suppress(KeystoreError):  # its commits are safe, and its user has nothing to do with it
                self._end_idle(place)

    def _end_idle(self, place: _Place) -> None:
        """Close the store of a place that has no users, and forget the place; the caller has its lock."""
        with self._lock:
            if place.users:
                return
        try:
            self._end_store(place)
        finally:
            with self._lock:
                if not place.users:
                    self._places.pop(place.store_id, None)
            end, place.end = place.end, None
            if end is not None:
                end()

    def _end_store(self, place: _Place) -> None:
        try:
            if place.store is not None:
                place.store.end()
        finally:
            place.store = None

    def _check(self) -> None:
        if self._closed or os.getpid() != self._process:
            raise NodeClosedError("the node of this store is closed, or was opened before a fork; open it again")


def _end(place: _Place) -> None:
    with place.lock:
        if place.store is not None:
            place.store.end()


def _in_use(store_id: bytes) -> StoreLockedError:
    return StoreLockedError(
        f"store {store_id.hex()} is open in this process; nothing was changed. Close it there, or wait until it ends"
    )
