"""Brings what the stores of a node hand over to the point-in-time log: a bounded queue, one thread, segments.

What is handed over waits in memory. The thread makes segments of it and puts them into the place of the log. Nobody
waits for it but who closes the node, and that not for long.

Invariants:
1. A commit never waits for the place: what the queue has no room for is left out, and is a gap with a name.
2. Everything is taken in the order in which it came. The times of records rise over all stores of the node.
3. A number of a segment is written once. Who finds another one under it is one of two copies of a node, and stops.
4. A place that cannot be reached is tried again, with the same bytes, until the node closes.
CRASH: what was not put yet is lost to this queue; the stores' record chains hand it over again at their next opening.

Leaves to others: what the log knows (`keystore.snapshots.log_ledger`), and the form of a segment (`log_segment`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from keystore.errors import InputError, LogBehindError, LogConflictError, NodeClosedError, PlaceError, cause_of
from keystore.format.log_body import Event
from keystore.format.log_state import Gap, GapReason
from keystore.objects.place import Place
from keystore.pages.witness import Committed, Moment
from keystore.snapshots.log_ledger import Ledger
from keystore.snapshots.log_segment import Draft, LoggedStore, has_keys, object_name, seal_segment
from keystore.snapshots.log_tail import LogEnd
from keystore.snapshots.source import NodeKeys

Clock = Callable[[], int]


@dataclass(frozen=True)
class ArchiveLimits:
    """How much waits, and for how long.

    Attributes:
        segment_bytes: a segment is put when it has so many.
        segment_s: or when its oldest part is so old.
        queue_bytes: most bytes that wait; a commit beyond that is a gap.
        idle_s: a segment is put when there was none for so long, so that the log says until when nothing happened.
        retry_s: longest time between two tries to reach the place.
        close_s: how long closing waits for the place.
    """

    segment_bytes: int = 8 << 20
    segment_s: float = 10.0
    queue_bytes: int = 128 << 20
    idle_s: float = 600.0
    retry_s: float = 30.0
    close_s: float = 20.0


LIMITS = ArchiveLimits()
RECORD_BYTES = 256
"""What a commit takes in the queue beside its pages and rows."""


@dataclass(frozen=True)
class Handed:
    """One thing that was handed over, at `time_ns`."""

    time_ns: int
    byte_count: int = 0
    event: Event | None = None
    store: LoggedStore | None = None
    commit: Committed | None = None
    opened: Moment | None = None
    closed: Moment | None = None
    settled: bool = True


@dataclass(frozen=True)
class ArchiveStatus:
    """How an archiver stands.

    Attributes:
        number: of the last segment that was put or found; 0 where none was.
        settled_ns: what the log tells of until then is complete, but for gaps.
        waiting_bytes: of what is not in the log yet.
        gaps: commits that will never be in it.
        problem: why the last try failed, or None.
    """

    number: int = 0
    run: int = 0
    settled_ns: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    gaps: tuple[Gap, ...] = ()
    problem: str | None = None


class Archiver:
    """The way of one open node to its log. Threads may share it.

    Args:
        place: gives the place of the log, or says why not.
        held: gives the keys of the node, none of which goes before the block ends.
        find_end: reads where the log ends, with the node's own keys.
        begin: makes the ledger of what is found there; called once, in the archiver's thread.
    """

    def __init__(
        self,
        place: Callable[[], Place],
        held: Callable[[], AbstractContextManager[NodeKeys]],
        find_end: Callable[[Place], LogEnd],
        begin: Callable[[LogEnd, int], tuple[Ledger, list[Event]]],
        now_ns: Clock,
        limits: ArchiveLimits,
    ) -> None:
        self._open_place, self._held, self._find_end, self._begin = place, held, find_end, begin
        self._place: Place | None = None
        self._now_ns, self._limits = now_ns, limits
        self._condition = threading.Condition(threading.Lock())
        self._queue: deque[Handed] = deque()
        self._bytes, self._taken, self._since_s = 0, 0, 0.0
        self._in_flight: dict[bytes, int] = {}
        self._clock_ns = 0
        self._end: LogEnd | None = None
        self._ledger: Ledger | None = None
        self._thread: threading.Thread | None = None
        self._wanted = self._done = 0
        self._stop_at_s: float | None = None
        self._dead = False
        self._problem: str | None = None
        self._conflict: str | None = None
        self._put_s = time.monotonic()

    # -- what stores and the catalogue tell ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work, if it did not yet."""
        with self._condition:
            if self._thread is None and self._stop_at_s is None:
                # A daemon: a place that hangs must not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="keystore log", daemon=True)
                self._thread.start()

    def next_time(self, store_id: bytes, floor_ns: int) -> int:
        """Return the time of the next record of a store, which is under way from now on."""
        with self._condition:
            time_ns = self._in_flight[store_id] = self._tick(floor_ns)
            return time_ns

    def takes(self, byte_count: int) -> bool:
        """Tell whether the queue has room for so many bytes."""
        return not self._dead and self._bytes + byte_count + RECORD_BYTES <= self._limits.queue_bytes

    def committed(self, store: LoggedStore, commit: Committed) -> None:
        """Take a commit."""
        size = RECORD_BYTES + commit.changes.nbytes + len(commit.ciphertext or b"")
        with self._condition:
            if self._bytes + size > self._limits.queue_bytes:
                size, commit = 0, replace(commit, changes=commit.changes[:0], sessions=(), ciphertext=None)
            self._in_flight.pop(store.store_id, None)
            self._clock_ns = max(self._clock_ns, commit.time_ns)
            self._append(Handed(commit.time_ns, size, store=store, commit=commit))

    def opened(self, store: LoggedStore, at: Moment) -> None:
        """Note that a store was opened."""
        with self._condition:
            self._append(Handed(self._tick(), store=store, opened=at))

    def closed(self, store: LoggedStore, at: Moment, *, settled: bool) -> None:
        """Note that a store was closed."""
        with self._condition:
            self._in_flight.pop(store.store_id, None)
            self._append(Handed(self._tick(), store=store, closed=at, settled=settled))

    def changed(self, make_events: Callable[[int], list[Event]]) -> None:
        """Take the changes of the catalogue that `make_events` makes for the time it is given."""
        with self._condition:
            time_ns = self._tick()
            events = make_events(time_ns)
            for event in events:
                self._append(Handed(time_ns, event=event))
        if events:
            self.start()

    def known(self, store_id: bytes, timeout_s: float) -> Moment | None:
        """Return how far the log is with a store; None where it never heard of it, or does not tell in time."""
        self.start()
        with self._condition:
            self._condition.wait_for(lambda: self._ledger is not None or self._dead, timeout_s)
            position = self._ledger.position(store_id) if self._ledger else None
        return Moment(position.epoch, position.sequence, position.tag) if position else None

    def tick(self) -> int:
        """Return the time by the clock of the log."""
        with self._condition:
            return self._tick()

    def _tick(self, floor_ns: int = 0) -> int:
        """Return the time, later than every one before; the caller has the lock."""
        self._clock_ns = max(self._now_ns(), self._clock_ns + 1, floor_ns)
        return self._clock_ns

    def _append(self, item: Handed) -> None:
        if self._dead:
            return
        if not self._queue:
            self._since_s = time.monotonic()
        self._queue.append(item)
        self._bytes += item.byte_count
        self._condition.notify_all()

    # -- what others ask ----------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float, *, patient: bool = True) -> int:
        """Wait until all that was handed over until now is in the log; return the number of the last segment.

        Args:
            patient: wait also when a try fails: there will be another.

        Raises:
            LogBehindError: it is not, in that time; it is tried again.
            LogConflictError: another copy of the node writes to the log.
        """
        self.start()
        with self._condition:
            self._wanted += 1
            wanted = self._wanted
            self._condition.notify_all()
            self._condition.wait_for(
                lambda: self._done >= wanted or self._dead or not (patient or self._problem is None), timeout_s
            )
            if self._done < wanted:
                raise self._behind()
            return self._end.number if self._end else 0

    def position(self, timeout_s: float) -> tuple[int, bytes]:
        """Return number and checksum of the last segment, as a snapshot that is about to begin names it.

        Raises:
            LogBehindError, LogConflictError: nobody knows.
        """
        self.start()
        with self._condition:
            self._condition.wait_for(lambda: self._ledger is not None or self._dead, timeout_s)
            if self._dead or self._end is None or self._ledger is None:
                raise self._behind()
            return self._end.number, self._end.checksum

    @property
    def status(self) -> ArchiveStatus:
        with self._condition:
            end, waiting = self._end, len(self._queue) + self._taken
            gaps = self._ledger.state(0).gaps if self._ledger else ()
            numbers = (end.number, end.run, end.settled_ns) if end else (0, 0, 0)
            return ArchiveStatus(*numbers, waiting, self._bytes, gaps, self._conflict or self._problem)

    def close(self, wait_s: float | None = None) -> None:
        """Put what is left, and end the thread.

        Args:
            wait_s: how long to wait for the place; by default as the limits say.

        Raises:
            LogBehindError: the place was not reached in time; what is missing is a gap until the next snapshot.
            LogConflictError: another copy of the node writes to the log.
        """
        wait_s = self._limits.close_s if wait_s is None else wait_s
        with self._condition:
            thread, self._stop_at_s = self._thread, time.monotonic() + wait_s
            self._condition.notify_all()
        if thread is None:
            return
        thread.join(wait_s + 1)
        with self._condition:
            lost, self._dead = bool(self._queue) or self._taken > 0, True
            if lost or self._conflict:
                raise self._behind()

    def abandon(self) -> None:
        """Forget everything, in a forked child, where the thread does not run."""
        self._condition = threading.Condition(threading.Lock())
        self._dead, self._thread = True, None
        self._queue.clear()

    def _behind(self) -> LogBehindError | LogConflictError:
        if self._conflict is not None:
            return LogConflictError(self._conflict)
        why = cause_of(self._problem or "its place does not answer")
        return LogBehindError(
            f"the point-in-time log is behind: {why}. Every commit is safe in its store, and some are not in the log: "
            "times from there on cannot be restored before the next snapshot. Mend the place, and take one."
        )

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._try(self._find_and_begin):
                while self._archive():
                    pass
        except NodeClosedError:
            pass
        except Exception as error:  # nobody else would tell; it comes out when the node closes
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            with self._condition:
                self._dead = True
                self._condition.notify_all()

    def _find_and_begin(self) -> None:
        self._place = self._open_place()
        end = self._find_end(self._place)
        with self._condition:
            self._clock_ns = max(self._clock_ns, end.clock_ns)
            ledger, events = self._begin(end, self._tick())
            self._queue.extendleft(reversed([Handed(event.time_ns, event=event) for event in events]))
            self._end, self._ledger = end, ledger
            self._condition.notify_all()

    def _archive(self) -> bool:
        """Put one segment when it is time; return False at the end."""
        with self._condition:
            while not self._is_due():
                self._condition.wait(self._wait_s())
            wanted, ending = self._wanted, self._stop_at_s is not None
            items = self._take()
            settled_ns, rest = self._settled(), bool(self._queue)
        if items or not ending:
            data = self._seal(items, settled_ns)
            if not self._try(lambda: self._put(data, settled_ns)):
                return False
        with self._condition:
            self._bytes -= sum(item.byte_count for item in items)
            self._taken = 0
            if not rest:
                self._done = max(self._done, wanted)
            self._condition.notify_all()
            return not (ending and not self._queue)

    def _is_due(self) -> bool:
        if self._stop_at_s is not None or self._wanted > self._done:
            return True
        return self._wait_s() <= 0

    def _wait_s(self) -> float:
        """Return how long to wait for more; 0 or less: a segment is due."""
        now, limits = time.monotonic(), self._limits
        if self._queue and self._bytes >= limits.segment_bytes:
            return 0
        idle = self._put_s + limits.idle_s - now
        return min(idle, self._since_s + limits.segment_s - now) if self._queue else idle

    def _take(self) -> list[Handed]:
        """Take what the next segment has; the caller has the lock."""
        items: list[Handed] = []
        size = 0
        while self._queue and size < self._limits.segment_bytes:
            items.append(self._queue.popleft())
            size += items[-1].byte_count
        self._taken, self._since_s = len(items), time.monotonic()
        return items

    def _settled(self) -> int:
        """Return the time before which nothing is missing once what was taken is put; the caller has the lock."""
        waiting = [*self._in_flight.values(), *(item.time_ns for item in self._queue)]
        return min(waiting) if waiting else self._tick()

    def _seal(self, items: Collection[Handed], settled_ns: int) -> bytes:
        assert self._ledger is not None
        assert self._end is not None
        with self._held() as keys:
            with self._condition:  # for who asks the ledger meanwhile
                commits = [found for item in items if (found := self._note(item, keys)) is not None]
                state = self._ledger.state(self._clock_ns)
            events = tuple(item.event for item in items if item.event is not None)
            number = self._end.number + 1
            run = self._end.run or number
            draft = Draft(number, run, self._end.checksum, settled_ns, state, events, tuple(commits))
            return seal_segment(draft, keys)

    def _note(self, item: Handed, keys: NodeKeys) -> tuple[LoggedStore, Committed] | None:
        """Tell the ledger; return the commit if it belongs into the segment."""
        ledger, store = self._ledger, item.store
        assert ledger is not None
        if item.event is not None:
            ledger.event(item.event)
        elif store is not None and item.opened is not None:
            ledger.opened(store.store_id, item.opened, item.time_ns)
        elif store is not None and item.closed is not None:
            ledger.closed(store.store_id, item.closed, item.time_ns, settled=item.settled)
        elif store is not None and item.commit is not None:
            refused = None
            if item.commit.ciphertext is None:
                refused = GapReason.LAG
            elif not has_keys(keys, store.database_id, item.commit):
                refused = GapReason.KEY_GONE
            if ledger.committed(store.store_id, item.commit, refused):
                return store, item.commit
        return None

    def _put(self, data: bytes, settled_ns: int) -> None:
        assert self._end is not None
        assert self._place is not None
        end = self._end.after(data, settled_ns)
        if not self._place.put(object_name(end.node_id, end.number), data):
            self._conflict = (
                f"the point-in-time log in {self._place} has a segment {end.number} by somebody else: another copy of "
                "this node is in use. What was committed here is kept and is not in the log; close one of the two, and "
                "enable the log of the other anew."
            )
            raise LogConflictError(self._conflict)
        with self._condition:
            self._end, self._put_s = end, time.monotonic()

    def _try(self, action: Callable[[], None]) -> bool:
        """Do `action` until the place lets it; return False where it is given up."""
        wait_s = 0.5
        while True:
            try:
                action()
            except (PlaceError, InputError) as error:
                self._problem = str(error)
            except LogConflictError:
                return False
            else:
                self._problem = None
                return True
            with self._condition:
                stop_s = self._stop_at_s
                left_s = wait_s if stop_s is None else min(wait_s, stop_s - time.monotonic())
                self._condition.notify_all()
                if left_s <= 0:
                    return False
                self._condition.wait(left_s)
            wait_s = min(2 * wait_s, self._limits.retry_s)


class StoreWitness:
    """Tells an archiver of one store."""

    KNOWN_S = 5.0
    """LIMIT: how long the opening of a store whose process was killed waits for the log to say what it has."""

    def __init__(self, archiver: Archiver, store: LoggedStore) -> None:
        self._archiver, self._store = archiver, store

    def next_time(self, floor_ns: int) -> int:
        return self._archiver.next_time(self._store.store_id, floor_ns)

    def takes(self, byte_count: int) -> bool:
        return self._archiver.takes(byte_count)

    def committed(self, commit: Committed) -> None:
        self._archiver.committed(self._store, commit)

    def known(self, first: int, last: int, tag_at: Callable[[int], bytes | None]) -> int:
        at = self._archiver.known(self._store.store_id, self.KNOWN_S)
        if at is None or not first <= at.sequence <= last or tag_at(at.sequence) != at.tag:
            return first
        return at.sequence

    def opened(self, at: Moment) -> None:
        self._archiver.opened(self._store, at)

    def closed(self, at: Moment, *, settled: bool) -> None:
        self._archiver.closed(self._store, at, settled=settled)
