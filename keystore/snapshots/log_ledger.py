"""Follows what the stores of a node hand over, and tells what the log has of it and what is a gap.

Pure: no clock, no place, no thread. The archiver gives it everything in the order in which it happened, and writes down
its state with each segment; so the next process goes on from there.

Invariants:
1. A position moves only with what was handed over; where that does not follow on the position, a gap says so.
2. A store is certain only if every commit of it is in the log or in a gap: it was opened while its position was kept,
   or it was closed at its position and not opened since.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from keystore.format.log_body import Event, EventKind
from keystore.format.log_state import GAPS_MAX, Gap, GapReason, LogState, StorePosition
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.pages.witness import Committed, Moment

UNSEEN = 0
"""Epoch of a position of which nothing is known but that the store is in the catalogue."""


class Ledger:
    """The state of one log while it is being written."""

    def __init__(self, state: LogState) -> None:
        self._databases = set(state.databases)
        self._stores = dict(state.stores)
        self._gaps = list(state.gaps)

    @classmethod
    def of_run(cls, databases: Collection[Database]) -> "Ledger":
        """Begin a run of the log: the catalogue is known, and of its stores nothing yet."""
        stores = {
            record.store_id: StorePosition(record.store_id, UNSEEN, 0, bytes(16), entered=True, certain=False)
            for database in databases
            for record in database.stores.values()
        }
        return cls(LogState(0, frozenset(each.database_id for each in databases if each.data_keys), stores))

    def state(self, clock_ns: int) -> LogState:
        """Return how far the log is now."""
        return LogState(clock_ns, frozenset(self._databases), dict(self._stores), tuple(self._gaps))

    def position(self, store_id: bytes) -> StorePosition | None:
        """Return how far the log is with a store; None where it was never heard of."""
        found = self._stores.get(store_id)
        return None if found is None or found.epoch == UNSEEN else found

    # -- going on from a former process -------------------------------------------------------------------------------

    def go_on(self, anchored: Mapping[bytes, Moment], databases: Collection[Database]) -> None:
        """Go on after another process: `anchored` tells where the stores were last, `databases` what there is now."""
        for store_id, position in list(self._stores.items()):
            same = Moment(position.epoch, position.sequence, position.tag) == anchored.get(store_id)
            if not (same and position.closed):
                self._stores[store_id] = replace(position, certain=False)
        catalogue = {record.store_id for database in databases for record in database.stores.values()}
        for store_id, position in list(self._stores.items()):
            if store_id not in catalogue and not position.entered:
                del self._stores[store_id]  # it was being made, and never came to be

    def missed(self, databases: Collection[Database], since_ns: int, now_ns: int) -> list[Event]:
        """Return the changes of the catalogue that nobody told of, because a process was killed before it could."""
        events = []
        known = {store_id for store_id, position in self._stores.items() if position.entered}
        there: set[bytes] = set()
        for database in databases:
            if database.data_keys and database.database_id not in self._databases:
                events.append(_database_event(EventKind.DATABASE_MADE, database, now_ns, since_ns))
            for record in database.stores.values():
                there.add(record.store_id)
                if record.store_id not in known or record.created_ns > since_ns:  # made, or renamed
                    events.append(_store_event(EventKind.STORE_MADE, database.database_id, record, now_ns, since_ns))
        events += [Event(EventKind.STORE_DROPPED, now_ns, since_ns, bytes(16), gone) for gone in sorted(known - there)]
        for database in databases:
            if not database.data_keys and database.database_id in self._databases:
                events.append(_database_event(EventKind.DATABASE_SHREDDED, database, now_ns, since_ns))
        return events

    # -- what happens -------------------------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Note a change of the catalogue."""
        if event.kind is EventKind.DATABASE_MADE:
            self._databases.add(event.database_id)
        elif event.kind is EventKind.DATABASE_SHREDDED:
            self._databases.discard(event.database_id)
        elif event.kind is EventKind.STORE_DROPPED:
            position = self._stores.pop(event.store_id, None)
            if position is not None and not position.certain:
                self._gap(position, GapReason.KILLED, position.sequence, position.time_ns, event.time_ns)
        else:
            unseen = StorePosition(event.store_id, UNSEEN, 0, bytes(16), certain=False)
            self._stores[event.store_id] = replace(self._stores.get(event.store_id, unseen), entered=True)

    def opened(self, store_id: bytes, at: Moment, now_ns: int) -> None:
        """Note that a store was opened, after what its record chain still had was handed over."""
        position = self._stores.get(store_id)
        if position is None or position.epoch == UNSEEN:
            entered = position is not None and position.entered
            self._stores[store_id] = StorePosition(store_id, at.epoch, at.sequence, at.tag, entered=entered)
            return
        if (position.sequence, position.tag) != (at.sequence, at.tag):
            behind = position.sequence < at.sequence
            reason = GapReason.KILLED if behind else GapReason.UNKNOWN
            self._gap(position, reason, at.sequence, position.time_ns, now_ns)
        self._stores[store_id] = replace(
            position, epoch=at.epoch, sequence=at.sequence, tag=at.tag, closed=False, certain=True
        )

    def committed(self, store_id: bytes, commit: Committed, refused: GapReason | None) -> bool:
        """Note a commit; return whether it belongs into the log. `refused` says why it cannot get there."""
        position = self.position(store_id)
        if position is not None and commit.sequence <= position.sequence:
            return False  # what a killed process had archived, found once more in the record chain
        if position is None:
            former = self._stores.get(store_id)
            entered = former is not None and former.entered
            position = StorePosition(store_id, UNSEEN + 1, commit.sequence - 1, commit.previous_tag, entered=entered)
        if (commit.sequence, commit.previous_tag) != (position.sequence + 1, position.tag):
            self._gap(position, GapReason.KILLED, commit.sequence - 1, position.time_ns, commit.time_ns)
        if refused is not None:
            self._gap(position, refused, commit.sequence, commit.time_ns - 1, commit.time_ns)
        self._stores[store_id] = replace(
            position, sequence=commit.sequence, tag=commit.tag, time_ns=commit.time_ns, closed=False
        )
        return refused is None

    def left_out(self, store_id: bytes, first: Committed, last: Committed, reason: GapReason) -> None:
        """Note a row of commits that cannot get into the log."""
        self.committed(store_id, first, reason)
        position = self._stores[store_id]
        if last.sequence > position.sequence:
            self._gap(position, reason, last.sequence, position.time_ns, last.time_ns)
            self._stores[store_id] = replace(
                position, sequence=last.sequence, tag=last.tag, time_ns=last.time_ns, closed=False
            )

    def closed(self, store_id: bytes, at: Moment, now_ns: int, *, settled: bool) -> None:
        """Note that a store was closed."""
        position = self._stores.get(store_id)
        if position is None:
            return
        if (position.sequence, position.tag) != (at.sequence, at.tag):
            self._gap(position, GapReason.UNKNOWN, at.sequence, position.time_ns, now_ns)
        self._stores[store_id] = replace(
            position, epoch=at.epoch, sequence=at.sequence, tag=at.tag, closed=settled, certain=settled
        )

    def _gap(self, position: StorePosition, reason: GapReason, to_sequence: int, from_ns: int, to_ns: int) -> None:
        """Note that commits after `from_ns` are missing."""
        former = next((gap for gap in reversed(self._gaps) if gap.store_id == position.store_id), None)
        if former is not None and (former.reason, former.to_sequence) == (reason, position.sequence):
            self._gaps.remove(former)
            self._gaps.append(replace(former, to_sequence=to_sequence, to_ns=to_ns))
            return
        self._gaps.append(Gap(position.store_id, reason, position.sequence, to_sequence, from_ns, max(from_ns, to_ns)))
        del self._gaps[:-GAPS_MAX]


def changes(before: Mapping[str, Database], after: Mapping[str, Database], now_ns: int) -> list[Event]:
    """Return what a change of the catalogue did, at `now_ns`."""
    events = []
    for name in sorted(before.keys() | after.keys()):
        former, new = before.get(name), after.get(name)
        if new is not None and new.data_keys and (former is None or not former.data_keys):
            events.append(_database_event(EventKind.DATABASE_MADE, new, now_ns, now_ns))
        events += _stores_only_in(former, new, EventKind.STORE_DROPPED, now_ns)
        events += _stores_only_in(new, former, EventKind.STORE_MADE, now_ns)
        if former is not None and former.data_keys and (new is None or not new.data_keys):
            events.append(_database_event(EventKind.DATABASE_SHREDDED, former, now_ns, now_ns))
    return events


def _stores_only_in(first: Database | None, second: Database | None, kind: EventKind, now_ns: int) -> list[Event]:
    known = {record.store_id: record.name for record in second.stores.values()} if second else {}
    return [
        _store_event(kind, first.database_id, record, now_ns, now_ns)
        for record in (first.stores.values() if first else ())
        if first is not None and _is_new(record, known, kind)
    ]


def _is_new(record: StoreRecord, known: Mapping[bytes, str], kind: EventKind) -> bool:
    """Tell whether a store is not known, or, where stores are made, by another name: then it was renamed."""
    name = known.get(record.store_id)
    return name is None or (kind is EventKind.STORE_MADE and name != record.name)


def _store_event(kind: EventKind, database_id: bytes, record: StoreRecord, now_ns: int, since_ns: int) -> Event:
    return Event(
        kind, now_ns, since_ns, database_id, record.store_id, record.page_size, record.created_ns, record.name
    )  # fmt: skip


def _database_event(kind: EventKind, database: Database, now_ns: int, since_ns: int) -> Event:
    return Event(
        kind, now_ns, since_ns, database.database_id, created_ns=database.created_ns, name=database.name
    )  # fmt: skip
