"""What was handed over and is not in the log yet: bounded, in the order in which it came; and the clock of the log.

Invariants:
1. A commit never waits: what there is no room for is left out, and its place in the queue says so. What a
   store tells after that is one thing, however long the place is away and however often the store is opened.
2. Every time that is given is later than all before, over all stores of the node, whatever the system's clock does.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from keystore.format.log_body import Event
from keystore.format.record import no_changes
from keystore.pages.witness import Committed, Moment
from keystore.snapshots.log_segment import LoggedStore

Clock = Callable[[], int]

RECORD_BYTES = 256
"""What a commit takes in the queue beside its pages and rows."""


@dataclass
class Handed:
    """One thing that was handed over, at `time_ns`: an event, or a commit, an opening or a closing of `store`.

    Attributes:
        last: of the row of commits that are left out from `commit` on; None where that is not left out.
        opened, closed: how the store was after that; at most one of them.
    """

    time_ns: int
    byte_count: int = 0
    event: Event | None = None
    store: LoggedStore | None = None
    commit: Committed | None = None
    last: Committed | None = None
    opened: Moment | None = None
    closed: Moment | None = None
    settled: bool = True


class ArchiveQueue:
    """The queue of one archiver. Threads may share it.

    Attributes:
        condition: its lock, and how the archiver is woken. Methods marked so are for who has it.
        byte_count: of everything that waits or is being put.
        taken: how many things are being put.
        since_s: when the oldest thing that waits came (`time.monotonic`).
        is_dead: nothing is taken any more.
    """

    def __init__(self, now_ns: Clock, bytes_max: int, wake_bytes: int) -> None:
        """Take up to `bytes_max` bytes; the archiver is woken by the first thing, and when there are `wake_bytes`."""
        self.condition = threading.Condition(threading.Lock())
        self._now_ns, self._bytes_max, self._wake_bytes = now_ns, bytes_max, wake_bytes
        self._items: deque[Handed] = deque()
        self._in_flight: dict[bytes, int] = {}
        self._growing: dict[bytes, Handed] = {}  # by store: the last that it told, where more may be put into it
        self._clock_ns = 0
        self.byte_count, self.taken, self.since_s = 0, 0, 0.0
        self.is_dead = False

    def __len__(self) -> int:
        return len(self._items)

    # -- what stores and the catalogue tell ---------------------------------------------------------------------------

    def next_time(self, store_id: bytes, floor_ns: int) -> int:
        """Return the time of the next record of a store, which is under way from now on."""
        with self.condition:
            time_ns = self._in_flight[store_id] = self.tick_held(floor_ns)
            return time_ns

    def refused(self, store_id: bytes) -> None:
        """Note that nothing of a store is under way."""
        with self.condition:
            self._in_flight.pop(store_id, None)

    def takes(self, byte_count: int) -> bool:
        """Tell whether there is room for so many bytes of pages."""
        return not self.is_dead and self.byte_count + byte_count + RECORD_BYTES <= self._bytes_max

    def committed(self, store: LoggedStore, commit: Committed) -> None:
        """Take a commit, or leave it out: it has no pages, or others took the room for them meanwhile."""
        size = RECORD_BYTES + commit.changes.nbytes + len(commit.ciphertext or b"")
        with self.condition:
            self._in_flight.pop(store.store_id, None)
            self._clock_ns = max(self._clock_ns, commit.time_ns)
            if commit.ciphertext is None or self.byte_count + size > self._bytes_max:
                self._leave_out(store, replace(commit, changes=no_changes(), sessions=(), ciphertext=None))
            else:
                self._growing.pop(store.store_id, None)
                self._append(Handed(commit.time_ns, size, store=store, commit=commit))

    def opened(self, store: LoggedStore, at: Moment) -> None:
        """Note that a store was opened."""
        with self.condition:
            row = self._growing.get(store.store_id)
            if row is not None and row.closed is not None and row.settled and _is_same(row.closed, at):
                row.closed, row.opened = None, at
            else:
                self._growing.pop(store.store_id, None)  # what the log makes of it depends on what it knows
                self._append(Handed(self.tick_held(), store=store, opened=at))

    def closed(self, store: LoggedStore, at: Moment, *, settled: bool) -> None:
        """Note that a store was closed."""
        with self.condition:
            self._in_flight.pop(store.store_id, None)
            row = self._growing.get(store.store_id)
            if row is not None and row.closed is None and _is_same(row.opened or row.last, at):
                row.closed, row.opened, row.settled = at, None, settled
            else:
                self._begin_row(Handed(self.tick_held(), store=store, closed=at, settled=settled), store)

    def changed(self, make_events: Callable[[int], Sequence[Event]]) -> bool:
        """Take what changes of the catalogue `make_events` makes for the time it is given; tell if there are any."""
        with self.condition:
            time_ns = self.tick_held()
            events = make_events(time_ns)
            for event in events:
                self._append(Handed(time_ns, event=event))
        return bool(events)

    def tick(self) -> int:
        """Return the time by the clock of the log."""
        with self.condition:
            return self.tick_held()

    # -- for who has the lock -----------------------------------------------------------------------------------------

    @property
    def clock_ns(self) -> int:
        """The latest time that was given, or that the log has."""
        return self._clock_ns

    def tick_held(self, floor_ns: int = 0) -> int:
        """Return the time, as `tick`, and at least `floor_ns`."""
        self._clock_ns = max(self._now_ns(), self._clock_ns + 1, floor_ns)
        return self._clock_ns

    def begin(self, clock_ns: int) -> None:
        """Go on from the time that the log has."""
        self._clock_ns = max(self._clock_ns, clock_ns)

    def put_first(self, events: Iterable[Event]) -> None:
        """Put events before everything that waits."""
        self._items.extendleft(reversed([Handed(event.time_ns, event=event) for event in events]))

    def take(self, bytes_max: int) -> list[Handed]:
        """Take the oldest things, until they have `bytes_max` bytes; they count until `release`."""
        items: list[Handed] = []
        size = 0
        self._growing.clear()  # nothing is put into what was taken
        while self._items and size < bytes_max:
            items.append(self._items.popleft())
            size += items[-1].byte_count
        self.taken, self.since_s = len(items), time.monotonic()
        return items

    def settled(self) -> int:
        """Return the time before which nothing is missing once what was taken is put."""
        waiting = [*self._in_flight.values(), *(item.time_ns for item in self._items)]
        return min(waiting) if waiting else self.tick_held()

    def release(self, items: Sequence[Handed]) -> None:
        """Let what was taken count no more."""
        self.byte_count -= sum(item.byte_count for item in items)
        self.taken = 0

    def _leave_out(self, store: LoggedStore, commit: Committed) -> None:
        row = self._growing.get(store.store_id)
        if row is not None and row.last is not None and row.closed is None:
            follows = (row.last.sequence + 1, row.last.tag) == (commit.sequence, commit.previous_tag)
            if follows and row.last.readable == commit.readable:
                row.last, row.opened = commit, None  # that it was open is plain now
                return
        self._begin_row(Handed(commit.time_ns, store=store, commit=commit, last=commit), store)

    def _begin_row(self, row: Handed, store: LoggedStore) -> None:
        self._growing[store.store_id] = row
        self._append(row)

    def _append(self, item: Handed) -> None:
        if self.is_dead:
            return
        if not self._items:
            self.since_s = time.monotonic()
        self._items.append(item)
        self.byte_count += item.byte_count
        if len(self._items) == 1 or self.byte_count >= self._wake_bytes:
            self.condition.notify_all()


def _is_same(one: Moment | Committed | None, at: Moment) -> bool:
    """Tell whether a store has not changed between two moments."""
    return one is not None and (one.sequence, one.tag) == (at.sequence, at.tag)


class StoreWitness:
    """Tells a queue of one store.

    Args:
        find: says how far the log is with a store; None where it never heard of it, or does not tell in time.
    """

    def __init__(self, queue: ArchiveQueue, store: LoggedStore, find: Callable[[bytes], Moment | None]) -> None:
        self._queue, self._store, self._find = queue, store, find

    def next_time(self, floor_ns: int) -> int:
        return self._queue.next_time(self._store.store_id, floor_ns)

    def refused(self) -> None:
        self._queue.refused(self._store.store_id)

    def takes(self, byte_count: int) -> bool:
        return self._queue.takes(byte_count)

    def committed(self, commit: Committed) -> None:
        self._queue.committed(self._store, commit)

    def known(self, first: int, last: int, tag_at: Callable[[int], bytes | None]) -> int:
        at = self._find(self._store.store_id)
        if at is None or not first <= at.sequence <= last or tag_at(at.sequence) != at.tag:
            return first
        return at.sequence

    def opened(self, at: Moment) -> None:
        self._queue.opened(self._store, at)

    def closed(self, at: Moment, *, settled: bool) -> None:
        self._queue.closed(self._store, at, settled=settled)
