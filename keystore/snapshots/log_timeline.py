"""Follows the log from a snapshot on, and tells what was at a time; or that it does not tell, and why.

Pure: segments come in opened and in order. What is at a time follows from records whose numbers and tags follow on each
other from the snapshot on, and from what a later segment says of each store: that no other commit was missed.

Invariants:
1. A record counts only if it follows on the one before, and its time is not after the time asked for.
2. A store is proven at that time only by a segment that was settled later and is certain of it (L-12).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from keystore.format.log_body import Event, EventKind, LogRecord, LogStore, Rows
from keystore.format.log_state import Gap, GapReason, StorePosition
from keystore.format.record import SessionRecord
from keystore.snapshots.log_ledger import UNSEEN
from keystore.snapshots.log_overlay import Overlay
from keystore.snapshots.log_segment import OpenedSegment


class BaseTooNewError(Exception):
    """The snapshot has a commit that is later than the time asked for; an earlier one must be built on."""


@dataclass(frozen=True)
class DatabaseAt:
    """A database of the catalogue."""

    database_id: bytes
    name: str
    created_ns: int


@dataclass(frozen=True)
class StoreAt:
    """A store as a snapshot, or the log, has it at a moment."""

    store_id: bytes
    database_id: bytes
    name: str
    page_size: int
    created_ns: int
    page_count: int = 0
    byte_length: int = 0
    sequence: int = 0
    tag: bytes = b""
    sessions: tuple[SessionRecord, ...] = ()


@dataclass(frozen=True)
class Break:
    """From a time on the log does not tell what a store was; until `to_ns`, 0: it never tells again.

    Attributes:
        commits: how many are missing, 0 where that is not known.
    """

    name: str
    reason: str
    from_ns: int
    to_ns: int
    commits: int = 0

    def told(self) -> str:
        """Return what is missing, for a message."""
        many = "a commit" if self.commits == 1 else f"{self.commits} commits" if self.commits else "commits"
        return f"{many} of {self.name} {'is' if self.commits == 1 else 'are'} not in the log ({self.reason})"


_REASONS = {
    GapReason.LAG: "more was committed than the archiver may hold back",
    GapReason.KILLED: "the process ended before they were archived",
    GapReason.KEY_GONE: "their data key was destroyed before they were archived",
    GapReason.UNREADABLE: "their pages did not open any more",
    GapReason.UNKNOWN: "the store was changed without the log",
}
_UNSAID = "nothing says why"
_NOT_SETTLED = "it was not opened since a process was killed"


@dataclass
class _Track:
    """One store on its way to the time asked for."""

    store: StoreAt
    base_sequence: int
    base_ns: int
    at_ns: int
    overlay: Overlay
    sequence: int
    tag: bytes
    page_count: int
    byte_length: int
    last_ns: int = 0
    proven_ns: int = 0
    certain: bool = False
    found: Break | None = None
    sessions: dict[tuple[bytes, bytes], SessionRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, store: StoreAt, base_ns: int, at_ns: int) -> "_Track":
        sessions = {(session.salt, session.origin): session for session in store.sessions}
        return cls(
            store, store.sequence, base_ns, at_ns, Overlay(store.page_count), store.sequence, store.tag,
            store.page_count, store.byte_length, sessions=sessions,
        )  # fmt: skip

    @property
    def is_past(self) -> bool:
        """Whether everything until the time asked for is known: a later record followed, or a segment says so."""
        return self.last_ns > self.at_ns or self.proven_ns >= self.at_ns

    def follow(self, record: LogRecord, known: LogStore, segment: int, offset: int) -> None:
        if self.found is not None:
            return
        if record.sequence <= self.base_sequence:
            if record.time_ns > self.at_ns:
                raise BaseTooNewError
            self.last_ns = max(self.last_ns, record.time_ns)
            if record.sequence == self.base_sequence and record.tag != self.tag:
                self._break(record.time_ns, 0)
            return
        if record.sequence != self.sequence + 1 or self.tag not in (b"", record.previous_tag):
            self._break(record.time_ns, max(0, record.sequence - self.sequence - 1))
            return
        self.sequence, self.tag, self.last_ns = record.sequence, record.tag, record.time_ns
        if not self.is_past:
            self.overlay.add(record, self._renumbered(record, known), segment, offset, known.page_size)
            self.page_count, self.byte_length = record.page_count, record.byte_length

    def compare(self, position: StorePosition, settled_ns: int) -> None:
        """Compare with how far a segment says that the log is with this store."""
        if self.found is not None:
            return
        self.certain = position.certain and position.epoch != UNSEEN and position.sequence >= self.sequence
        if position.epoch == UNSEEN or position.sequence < self.sequence:
            return
        if position.sequence != self.sequence or self.tag not in (b"", position.tag):
            self._break(settled_ns, position.sequence - self.sequence)
            return
        self.tag = position.tag
        if self.certain:
            self.proven_ns = max(self.proven_ns, settled_ns - 1)

    def drop(self, gap: Gap | None, time_ns: int) -> None:
        """Note that the store was dropped after its last commit; `gap` says that it was not told of all of them."""
        if gap is not None and self.found is None:
            self._break(time_ns, 0)
        self.certain = True

    def _break(self, to_ns: int, commits: int) -> None:
        from_ns = max(self.last_ns, self.base_ns, self.proven_ns)
        self.found = Break(self.store.name, _UNSAID, from_ns, max(to_ns, from_ns), commits)

    def _renumbered(self, record: LogRecord, known: LogStore) -> Rows:
        """Return the rows with the numbers that sessions have here: the store may have used a number twice."""
        numbers = {0: 0}
        for session in known.sessions:
            here = self.sessions.get((session.salt, session.origin))
            if here is None:
                number = 1 + max((each.number for each in self.sessions.values()), default=0)
                here = self.sessions[session.salt, session.origin] = replace(session, number=number)
            numbers[session.number] = here.number
        rows = record.rows.copy()
        rows["session"] = [numbers[number] for number in rows["session"].tolist()]
        return rows

    def result(self) -> StoreAt:
        used = set(np.unique(self.overlay.pages()["session"]).tolist()) | {each.number for each in self.store.sessions}
        sessions = tuple(sorted((s for s in self.sessions.values() if s.number in used), key=lambda each: each.number))
        return replace(
            self.store, page_count=self.page_count, byte_length=self.byte_length, sequence=self.sequence,
            tag=self.tag, sessions=sessions,
        )  # fmt: skip


class Timeline:
    """What was at `at_ns`, built on a snapshot of `base_ns`.

    Args:
        wanted: tells by database and name which stores are; others are left out, and no gap of theirs matters.
    """

    def __init__(
        self,
        databases: Iterable[DatabaseAt],
        stores: Iterable[StoreAt],
        base_ns: int,
        at_ns: int,
        wanted: Callable[[str, str], bool] = lambda _, __: True,
    ) -> None:
        self._databases = {each.database_id: each for each in databases}
        self._tracks = {each.store_id: _Track.of(each, base_ns, at_ns) for each in stores}
        self._there = set(self._tracks)
        self._catalogue_break: Break | None = None
        self._gaps: dict[tuple[bytes, int], Gap] = {}
        self._base_ns, self._at_ns, self._wanted = base_ns, at_ns, wanted
        self.settled_ns = 0
        """Until when the segments taken tell."""

    @property
    def databases(self) -> list[DatabaseAt]:
        return list(self._databases.values())

    @property
    def is_proven(self) -> bool:
        """Whether no later segment can add anything."""
        return self.settled_ns > self._at_ns and all(
            track.certain or track.found is not None or track.is_past for track in self._relevant()
        )

    def take(self, segment: OpenedSegment) -> None:
        """Go on by one segment.

        Raises:
            BaseTooNewError: the snapshot cannot be built on.
        """
        offset, body = 0, segment.body
        for record in body.records:
            known = body.stores[record.store]
            track = self._tracks.get(known.store_id)
            if track is None:  # of a store that is not in the catalogue yet
                store = StoreAt(known.store_id, known.database_id, known.store_id.hex(), known.page_size, 0)
                track = self._tracks[known.store_id] = _Track.of(store, self._base_ns, self._at_ns)
            track.follow(record, known, segment.head.number, offset)
            offset += record.pages * known.page_size
        for gap in segment.state.gaps:
            self._gaps[gap.store_id, gap.from_sequence] = gap
        for event in body.events:
            self._apply(event)
        for store_id, position in segment.state.stores.items():
            if store_id in self._tracks:
                self._tracks[store_id].compare(position, segment.head.settled_ns)
        self.settled_ns = max(self.settled_ns, segment.head.settled_ns)

    def _apply(self, event: Event) -> None:
        if event.kind is EventKind.STORE_DROPPED and event.store_id in self._tracks:
            track = self._tracks[event.store_id]
            track.drop(self._gaps.get((event.store_id, track.sequence)), event.time_ns)
        if event.time_ns > self._at_ns:
            if event.since_ns <= self._at_ns and self._catalogue_break is None:
                what = event.name or event.store_id.hex()
                reason = f"{what} came or went while no process told the log"
                self._catalogue_break = Break("the catalogue", reason, event.since_ns, event.time_ns)
            return
        if event.kind is EventKind.DATABASE_MADE:
            self._databases[event.database_id] = DatabaseAt(event.database_id, event.name, event.created_ns)
        elif event.kind is EventKind.STORE_MADE:
            self._there.add(event.store_id)
            made = StoreAt(event.store_id, event.database_id, event.name, event.page_size, event.created_ns)
            track = self._tracks.setdefault(event.store_id, _Track.of(made, self._base_ns, self._at_ns))
            track.store = replace(track.store, name=event.name, created_ns=event.created_ns)
        elif event.kind is EventKind.STORE_DROPPED:
            self._there.discard(event.store_id)
        else:
            self._databases.pop(event.database_id, None)

    def _relevant(self) -> list[_Track]:
        tracks = [self._tracks[store_id] for store_id in self._there]
        return [track for track in tracks if self._wanted(self._database(track.store), track.store.name)]

    def _database(self, store: StoreAt) -> str:
        found = self._databases.get(store.database_id)
        return found.name if found else ""

    def breaks(self) -> list[Break]:
        """Return why the time asked for cannot be told; nothing where it can."""
        found = [] if self._catalogue_break is None else [self._catalogue_break]
        for track in self._relevant():
            if track.is_past:
                continue
            if track.found is not None:
                gap = self._gaps.get((track.store.store_id, track.sequence))
                from_ns = max(track.found.from_ns, gap.from_ns if gap else 0)
                if from_ns < self._at_ns:
                    reason = _REASONS[gap.reason] if gap else _UNSAID
                    found.append(replace(track.found, reason=reason, from_ns=from_ns))
            elif not track.certain:
                from_ns = max(track.last_ns, track.proven_ns, self._base_ns)
                found.append(Break(track.store.name, _NOT_SETTLED, from_ns, 0))
        return found

    def stores(self) -> list[tuple[StoreAt, Overlay]]:
        """Return the stores of the catalogue as they were, each with the pages that the log has of it."""
        tracks = sorted(self._relevant(), key=lambda track: (track.store.database_id, track.store.name))
        return [(track.result(), track.overlay) for track in tracks]
