"""Brings what the stores of a node hand over to the point-in-time log.

What is handed over waits in a bounded queue. One thread makes segments of it and puts them into the place of the log.
Nobody waits for it but who closes the node, and that not for long.

Invariants:
1. Everything gets to the log in the order in which it was handed over.
2. A number of a segment is written once. Who finds another one under it is one of two copies of a node, and stops.
3. A place that cannot be reached is tried again, with the same bytes, until the node closes.
CRASH: what was not put yet is lost to the queue; the stores' record chains hand it over again at their next opening.

Leaves to others: what the log knows (`keystore.snapshots.log_ledger`), and the form of a segment (`log_segment`).
"""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass

from keystore.errors import InputError, LogBehindError, LogConflictError, NodeClosedError, PlaceError, cause_of
from keystore.format.log_body import Event
from keystore.format.log_state import Gap, GapReason
from keystore.node.archive_queue import ArchiveQueue, Clock, Handed
from keystore.objects.place import Place
from keystore.pages.witness import Committed, Moment
from keystore.snapshots.log_ledger import Ledger
from keystore.snapshots.log_segment import Draft, LoggedStore, has_keys, object_name, seal_segment
from keystore.snapshots.log_tail import LogEnd
from keystore.snapshots.source import NodeKeys


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

    Attributes:
        queue: takes what is handed over.

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
        self._limits = limits
        self.queue = ArchiveQueue(now_ns, limits.queue_bytes, limits.segment_bytes)
        self._end: LogEnd | None = None
        self._ledger: Ledger | None = None
        self._ledger_lock = threading.Lock()  # not the queue's, for which commits would wait
        self._thread: threading.Thread | None = None
        self._wanted = self._done = 0
        self._stop_at_s: float | None = None
        self._problem: str | None = None
        self._conflict: str | None = None
        self._put_s = time.monotonic()

    # -- beginning ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work, if it did not yet."""
        with self.queue.condition:
            if self._thread is None and self._stop_at_s is None:
                # A daemon: a place that hangs must not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="keystore log", daemon=True)
                self._thread.start()

    def known(self, store_id: bytes, timeout_s: float) -> Moment | None:
        """Return how far the log is with a store; None where it never heard of it, or does not tell in time."""
        self.start()
        with self.queue.condition:
            self.queue.condition.wait_for(lambda: self._ledger is not None or self.queue.is_dead, timeout_s)
            ledger = self._ledger
        with self._ledger_lock:
            position = ledger.position(store_id) if ledger else None
        return Moment(position.epoch, position.sequence, position.tag) if position else None

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
        with self.queue.condition:
            self._wanted += 1
            wanted = self._wanted
            self.queue.condition.notify_all()
            self.queue.condition.wait_for(
                lambda: self._done >= wanted or self.queue.is_dead or not (patient or self._problem is None), timeout_s
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
        with self.queue.condition:
            self.queue.condition.wait_for(lambda: self._ledger is not None or self.queue.is_dead, timeout_s)
            if self.queue.is_dead or self._end is None or self._ledger is None:
                raise self._behind()
            return self._end.number, self._end.checksum

    @property
    def status(self) -> ArchiveStatus:
        with self.queue.condition:
            end, waiting = self._end, len(self.queue) + self.queue.taken
            ledger, byte_count, problem = self._ledger, self.queue.byte_count, self._conflict or self._problem
        with self._ledger_lock:
            gaps = ledger.state(0).gaps if ledger else ()
        numbers = (end.number, end.run, end.settled_ns) if end else (0, 0, 0)
        return ArchiveStatus(*numbers, waiting, byte_count, gaps, problem)

    def close(self, wait_s: float | None = None) -> None:
        """Put what is left, and end the thread.

        Args:
            wait_s: how long to wait for the place; by default as the limits say.

        Raises:
            LogBehindError: the place was not reached in time; what is missing is a gap until the next snapshot.
            LogConflictError: another copy of the node writes to the log.
        """
        wait_s = self._limits.close_s if wait_s is None else wait_s
        with self.queue.condition:
            thread, self._stop_at_s = self._thread, time.monotonic() + wait_s
            self.queue.condition.notify_all()
        if thread is None:
            return
        thread.join(wait_s + 1)
        with self.queue.condition:
            lost, self.queue.is_dead = len(self.queue) + self.queue.taken > 0, True
            if lost or self._conflict:
                raise self._behind()

    def abandon(self) -> None:
        """Forget everything, in a forked child, where the thread does not run."""
        self.queue.condition, self._ledger_lock = threading.Condition(threading.Lock()), threading.Lock()
        self.queue.is_dead, self._thread = True, None

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
            with self.queue.condition:
                self.queue.is_dead = True
                self.queue.condition.notify_all()

    def _find_and_begin(self) -> None:
        self._place = self._open_place()
        end = self._find_end(self._place)
        with self.queue.condition:
            self.queue.begin(end.clock_ns)
            ledger, events = self._begin(end, self.queue.tick_held())
            self.queue.put_first(events)
            self._end, self._ledger = end, ledger
            self.queue.condition.notify_all()

    def _archive(self) -> bool:
        """Put one segment when it is time; return False at the end."""
        with self.queue.condition:
            while not self._is_due():
                self.queue.condition.wait(self._wait_s())
            wanted, ending = self._wanted, self._stop_at_s is not None
            items = self.queue.take(self._limits.segment_bytes)
            settled_ns, rest = self.queue.settled(), bool(self.queue)
        if items or not ending:
            data = self._seal(items, settled_ns)
            if not self._try(lambda: self._put(data, settled_ns)):
                return False
        with self.queue.condition:
            self.queue.release(items)
            if not rest:
                self._done = max(self._done, wanted)
            self.queue.condition.notify_all()
            return not (ending and not self.queue)

    def _is_due(self) -> bool:
        if self._stop_at_s is not None or self._wanted > self._done:
            return True
        return self._wait_s() <= 0

    def _wait_s(self) -> float:
        """Return how long to wait for more; 0 or less: a segment is due."""
        now, limits = time.monotonic(), self._limits
        if self.queue and self.queue.byte_count >= limits.segment_bytes:
            return 0
        idle = self._put_s + limits.idle_s - now
        return min(idle, self.queue.since_s + limits.segment_s - now) if self.queue else idle

    def _seal(self, items: Collection[Handed], settled_ns: int) -> bytes:
        assert self._ledger is not None
        assert self._end is not None
        with self._held() as keys:
            clock_ns = self.queue.clock_ns
            with self._ledger_lock:
                commits = [found for item in items if (found := self._note(item, keys)) is not None]
                state = self._ledger.state(clock_ns)
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
        if store is None:
            return None
        taken = item.commit is not None and self._note_commits(ledger, store, item.commit, item.last, keys)
        if item.opened is not None:
            ledger.opened(store.store_id, item.opened, item.time_ns)
        if item.closed is not None:
            ledger.closed(store.store_id, item.closed, item.time_ns, settled=item.settled)
        return (store, item.commit) if taken and item.commit is not None else None

    def _note_commits(
        self, ledger: Ledger, store: LoggedStore, commit: Committed, last: Committed | None, keys: NodeKeys
    ) -> bool:
        if last is not None:
            reason = GapReason.LAG if last.readable else GapReason.UNREADABLE
            ledger.left_out(store.store_id, commit, last, reason)
            return False
        refused = None if has_keys(keys, store.database_id, commit) else GapReason.KEY_GONE
        return ledger.committed(store.store_id, commit, refused)

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
        with self.queue.condition:
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
            with self.queue.condition:
                self.queue.condition.notify_all()  # who waits for a first answer has one
                if not self._pause(wait_s):
                    return False
            wait_s = min(2 * wait_s, self._limits.retry_s)

    def _pause(self, wait_s: float) -> bool:
        """Wait before the next try, less where somebody waits for it; return False where there is to be none."""
        stop_s, wanted = self._stop_at_s, self._wanted
        end_s = time.monotonic() + wait_s
        if stop_s is not None:
            end_s = min(end_s, stop_s)
        while self._stop_at_s == stop_s and self._wanted == wanted and time.monotonic() < end_s:
            self.queue.condition.wait(end_s - time.monotonic())  # commits wake it too, and are to wait
        return self._stop_at_s is None or time.monotonic() < self._stop_at_s
