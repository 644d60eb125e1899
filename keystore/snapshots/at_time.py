"""A node as it was at a time: a snapshot, and in place of its pages those that the log has of later commits.

It looks like a snapshot to whoever restores it. Nothing is replayed: the last version of each page until that time is
read where it lies.

Invariants:
1. Everything that can refuse refuses in `open_at`, before anything of a target exists: no snapshot to build on, a
   segment that is missing or damaged, a gap, a key that cannot be used.
2. The KMS is asked once for each master key, the snapshot's included.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.errors import KmsError, LogGapError, LogMissingError, WrongKeyError
from keystore.format.log_segment import SegmentHead
from keystore.format.manifest import ManifestHead
from keystore.format.snapshot_map import DatabaseEntry, ManifestBody, SessionUse, StoreEntry, StorePack
from keystore.keys.hierarchy import DataKey
from keystore.keys.master import MasterKey, open_master
from keystore.keys.volume import VolumeKey, open_volume
from keystore.kms.asked_once import AskedOnce
from keystore.kms.protocol import KmsConnector
from keystore.objects.place import Place
from keystore.pages.reading import Batch
from keystore.pages.repair import choose
from keystore.snapshots.choice import Choice
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.log_overlay import Overlay, PlacedArray
from keystore.snapshots.log_reading import LogReader
from keystore.snapshots.log_segment import damaged
from keystore.snapshots.log_tail import read_head, segment_numbers
from keystore.snapshots.log_timeline import BaseTooNewError, Break, DatabaseAt, StoreAt, Timeline
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.opened import Accept, OpenedSnapshot, open_snapshot
from keystore.snapshots.unlocking import by_either, explained
from keystore.units import format_moment

READ_PAGES_BYTES = 32 << 20
"""LIMIT: bytes of pages that are looked up in the log at once, so that neighbours in a segment are read together."""


class SnapshotAt(OpenedSnapshot):
    """A node as it was at a time; holds the keys that it needs until closed. A context manager.

    Attributes:
        head: of the snapshot that it builds on.
    """

    pages_in = "a pack, or a segment of the log"

    def __init__(
        self, base: OpenedSnapshot, reader: LogReader, timeline: Timeline, at_ns: int, found: "_Found"
    ) -> None:
        self._base, self._reader, self._at_ns, self._found = base, reader, at_ns, found
        self._bases = {store.store_id: store for store in base.body.stores}
        self._overlays: dict[bytes, Overlay] = {}
        databases = tuple(DatabaseEntry(each.database_id, each.name, each.created_ns) for each in timeline.databases)
        places = {database.database_id: place for place, database in enumerate(databases)}
        stores = []
        for store, overlay in timeline.stores():
            self._overlays[store.store_id] = overlay
            stores.append(self._entry(store, places[store.database_id], overlay))
        self.credentials = base.credentials
        self.head, self.body = base.head, ManifestBody(base.body.node_name, databases, tuple(stores))

    def _entry(self, store: StoreAt, database: int, overlay: Overlay) -> StoreEntry:
        """Return the entry of a store; its pages are a bound, for progress: some of the snapshot's were replaced."""
        base = self._bases.get(store.store_id)
        pages = min(store.page_count, (base.pages if base else 0) + len(overlay.pages()))
        return StoreEntry(
            database,
            store.store_id,
            store.name,
            store.page_size,
            store.page_count,
            store.byte_length,
            store.sequence,
            store.tag,
            store.created_ns,
            tuple(SessionUse(session, 1) for session in store.sessions),
            (StorePack(0, 0, pages, 0, b""),),
        )

    @property
    def name(self) -> str:
        return f"{self._base.name} at {format_moment(self._at_ns)}"

    def data_keys(self, database: DatabaseEntry) -> tuple[DataKey, ...]:
        """Return the data keys of a database, decrypt-only; the caller wipes them."""
        known = {
            key.generation: key
            for entry in self._base.body.databases
            if entry.database_id == database.database_id
            for key in self._base.data_keys(entry)
        }
        for (database_id, generation), key in self._found.data_keys.items():
            if database_id == database.database_id and generation not in known:
                known[generation] = replace(key, key=SecretKey(key.key.view()))
        return tuple(known[generation] for generation in sorted(known))

    def batches(self, store: StoreEntry) -> Generator[Batch, None, None]:
        """Yield the sealed pages of a store, ascending, each batch valid until the next.

        Raises:
            SnapshotDamagedError, LogDamagedError: a pack or segment is not what was written.
        """
        overlay, base = self._overlays[store.store_id], self._bases.get(store.store_id)
        kept = _kept(self._base.batches(base), overlay, store.page_size) if base else iter(())
        return _merged(kept, self._logged(overlay.pages(), store.page_size), store.page_size)

    def pages(self, store: StoreEntry, page_nos: Sequence[int]) -> Iterator[Batch]:
        """Yield those of some pages that are no holes, as `batches`."""
        overlay, base = self._overlays[store.store_id], self._bases.get(store.store_id)
        wanted = np.unique(np.array(page_nos, dtype=np.uint64))
        logged = overlay.pages()[np.isin(overlay.pages()["page"], wanted)]
        others = wanted[(wanted < overlay.kept_below) & ~np.isin(wanted, overlay.pages()["page"])]
        kept = self._base.pages(base, others.tolist()) if base and len(others) else iter(())
        return _merged(kept, self._logged(logged, store.page_size), store.page_size)

    def _logged(self, pages: PlacedArray, page_size: int) -> Iterator[Batch]:
        there = pages[pages["session"] != 0]
        step = max(1, READ_PAGES_BYTES // page_size)
        for at in range(0, len(there), step):
            yield self._read(there[at : at + step], page_size)

    def _read(self, pages: PlacedArray, page_size: int) -> Batch:
        """Read pages from wherever they lie in the log; they keep their order."""
        parts = []
        order = np.lexsort((pages["offset"], pages["segment"]))
        breaks = np.flatnonzero(np.diff(pages["segment"][order].astype(np.int64))) + 1
        for of_segment in np.split(order, breaks):
            parts += [
                Batch(batch.page_nos, batch.entries, memoryview(bytes(batch.ciphertext)))
                for batch in self._reader.batches(pages[of_segment], page_size)
            ]
        return _joined(parts, page_size)

    def close(self) -> None:
        self._base.close()
        self._found.close()


def _kept(batches: Iterator[Batch], overlay: Overlay, page_size: int) -> Iterator[Batch]:
    """Yield those pages of a snapshot that no later commit changed."""
    for batch in batches:
        kept = (batch.page_nos < overlay.kept_below) & ~np.isin(batch.page_nos, overlay.pages()["page"])
        if kept.all():
            yield batch
        elif kept.any():
            yield choose(batch, np.flatnonzero(kept).tolist(), page_size)


def _merged(first: Iterator[Batch], second: Iterator[Batch], page_size: int) -> Generator[Batch, None, None]:
    """Yield the pages of both, which have none in common, ascending."""
    one, two = next(first, None), next(second, None)
    while one is not None and two is not None:
        end = min(one.page_nos[-1], two.page_nos[-1])
        counts = [int(np.searchsorted(each.page_nos, end, side="right")) for each in (one, two)]
        yield _joined([_part(one, 0, counts[0], page_size), _part(two, 0, counts[1], page_size)], page_size)
        one = _rest(one, counts[0], first, page_size)
        two = _rest(two, counts[1], second, page_size)
    for batch, others in ((one, first), (two, second)):
        if batch is not None:
            yield batch
            yield from others


def _rest(batch: Batch, at: int, others: Iterator[Batch], page_size: int) -> Batch | None:
    return _part(batch, at, len(batch.page_nos), page_size) if at < len(batch.page_nos) else next(others, None)


def _part(batch: Batch, start: int, stop: int, page_size: int) -> Batch:
    ciphertext = batch.ciphertext[start * page_size : stop * page_size]
    return Batch(batch.page_nos[start:stop], batch.entries[start:stop], ciphertext)


def _joined(parts: Sequence[Batch], page_size: int) -> Batch:
    """Return one batch of all pages, ascending."""
    there = [part for part in parts if len(part.page_nos)]
    if len(there) == 1 and bool(np.all(np.diff(there[0].page_nos.astype(np.int64)) > 0)):
        return there[0]
    numbers = np.concatenate([part.page_nos for part in there])
    entries = np.concatenate([part.entries for part in there])
    order = np.argsort(numbers)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    ciphertext, at = memoryview(bytearray(len(numbers) * page_size)), 0
    for part in there:
        for index in range(len(part.page_nos)):
            place = int(places[at]) * page_size
            ciphertext[place : place + page_size] = part.ciphertext[index * page_size : (index + 1) * page_size]
            at += 1
    return Batch(numbers[order], entries[order], ciphertext)


# -- opening ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PointInTime:
    """A time to restore to.

    Attributes:
        at_ns: ns since 1970; None: the latest that the log tells of.
        log: the place of the node's log, where that is not the place of its snapshots.
    """

    at_ns: int | None
    log: Place | None = None


class _Found:
    """What the log gave besides pages: data keys, and the master keys of its eras."""

    def __init__(self, connect: KmsConnector, log: Place) -> None:
        self._asked, self._log = AskedOnce(connect), log
        self._masters: dict[bytes, MasterKey] = {}
        self._volumes: dict[bytes, VolumeKey] = {}
        self.volume_of_base: VolumeKey | None = None
        """That of the snapshot, which wipes it; a segment may have another, or none, where a node was converted."""
        self.data_keys: dict[tuple[bytes, int], DataKey] = {}

    @property
    def connect(self) -> KmsConnector:
        return self._asked

    def master(self, head: SegmentHead) -> MasterKey:
        """Return the master key of the era of a segment; it stays ours to wipe."""
        if head.commitment not in self._masters:
            where = f"segment {head.number} of the log in {self._log}, of {format_moment(head.settled_ns)},"
            try:
                master, _ = by_either(
                    self._asked,
                    head.wrapped.key_id,
                    head.credential,
                    lambda kms: open_master(kms, head.wrapped, head.node_id, head.era, head.commitment),
                )
            except KmsError as error:
                raise explained(where, error) from error
            except WrongKeyError as error:
                raise damaged(where, str(error)) from None
            self._masters[head.commitment] = master
        return self._masters[head.commitment]

    def volume(self, head: SegmentHead) -> VolumeKey | None:
        """Return the key of the volume layer of a segment, None where it has none; it stays ours to wipe."""
        record = head.volume
        if record is None:
            return None
        base = self.volume_of_base
        if base is not None and base.record.volume_id == record.volume_id:
            return base
        if record.volume_id not in self._volumes:
            where = f"the volume layer of segment {head.number} of the log in {self._log}"
            try:
                opened, _ = by_either(
                    self._asked, record.wrapped.key_id, head.credential, lambda kms: open_volume(kms, record)
                )
            except KmsError as error:
                raise explained(where, error, "its platform key") from error
            except WrongKeyError as error:
                raise damaged(where, str(error)) from None
            self._volumes[record.volume_id] = opened
        return self._volumes[record.volume_id]

    def add(self, data_keys: Mapping[tuple[bytes, int], DataKey]) -> None:
        """Take data keys over, and wipe those that are known."""
        for name, key in data_keys.items():
            if name in self.data_keys:
                key.key.wipe()
            else:
                self.data_keys[name] = key

    def close(self) -> None:
        for key in self.data_keys.values():
            key.key.wipe()
        for master in self._masters.values():
            master.wipe()
        for volume in self._volumes.values():
            volume.wipe()
        self._asked.close()


def open_at(
    place: Place,
    snapshot_id: bytes,
    connect: KmsConnector,
    moment: PointInTime | None,
    accept: Accept = lambda head: None,
    choice: Choice | None = None,
) -> OpenedSnapshot:
    """Open a snapshot, or, where a time is given, the node that it is of as it was then.

    Args:
        snapshot_id: with a time: any snapshot of the node; what is built on is the last one before that time.
        accept: as for `open_snapshot`; a snapshot that another signed is not built on.
        choice: with a time: what is wanted; nothing else is in what is opened.

    Raises:
        SnapshotMissingError, SnapshotDamagedError, SnapshotError, PlaceError, KmsError: as `open_snapshot`.
        LogMissingError: there is no log for that time, or it was removed.
        LogGapError: the log does not tell what was at that time; the message names times that it tells of.
        LogDamagedError: a segment is missing or not what was written.
    """
    if moment is None:
        return open_snapshot(place, snapshot_id, connect, accept)
    named, log = read_manifest(place, snapshot_id).head, moment.log or place
    accept(named)
    node_id = named.node_id
    at_ns = _last_ns(log, node_id) if moment.at_ns is None else moment.at_ns
    heads = [item.head for item in list_snapshots(place) if item.head is not None and item.state == "complete"]
    heads = [head for head in heads if (head.node_id, head.signer) == (node_id, named.signer)]
    heads.sort(key=lambda head: head.created_ns)
    for head in heads:
        if head.created_ns == at_ns:
            return open_snapshot(place, head.snapshot_id, connect, accept)
    opener = _Opener(place, log, connect, heads, at_ns, accept, choice or Choice())
    for head in reversed(opener.bases()):
        try:
            return opener.build_on(head)
        except BaseTooNewError:
            continue
    raise opener.no_base()


def _last_ns(log: Place, node_id: bytes) -> int:
    """Return the latest time that the log can tell of, as its last segment says."""
    numbers = segment_numbers(log, node_id)
    if not numbers:
        raise _no_log(log, node_id)
    return read_head(log, node_id, numbers[-1]).settled_ns - 1


def _no_log(log: Place, node_id: bytes) -> LogMissingError:
    return LogMissingError(
        f"{log} has no log of node {node_id.hex()}. Nothing was restored; name the place of its log (--log), or "
        "restore a snapshot itself."
    )


class _Opener:
    """Finds what was at one time."""

    def __init__(
        self,
        place: Place,
        log: Place,
        connect: KmsConnector,
        heads: Sequence[ManifestHead],
        at_ns: int,
        accept: Accept,
        choice: Choice,
    ) -> None:
        self._place, self._log, self._connect, self._accept = place, log, connect, accept
        self._heads, self._at_ns, self._choice = heads, at_ns, choice

    def bases(self) -> list[ManifestHead]:
        """Return the snapshots that can be built on, oldest first."""
        return [head for head in self._heads if head.created_ns < self._at_ns and head.log.number]

    def no_base(self) -> LogMissingError | LogGapError:
        earlier = [head for head in self._heads if head.created_ns < self._at_ns]
        if not earlier:
            return self._gap("no snapshot was taken before", None)
        return LogMissingError(
            f"{format_moment(self._at_ns)} cannot be restored: no snapshot before was taken while the node kept a log. "
            "Nothing was restored; restore a snapshot itself."
        )

    def build_on(self, head: ManifestHead) -> SnapshotAt:
        """Follow the log from a snapshot on.

        Raises:
            BaseTooNewError: the snapshot has a later commit.
        """
        with ExitStack() as stack:
            found = _Found(self._connect, self._log)
            stack.callback(found.close)
            base = stack.enter_context(open_snapshot(self._place, head.snapshot_id, found.connect, self._accept))
            found.volume_of_base = base.volume
            reader = LogReader(self._log, head.node_id, head.signer, found.master, found.volume)
            timeline = self._follow(head, base, reader, found)
            stack.pop_all()
        return SnapshotAt(base, reader, timeline, self._at_ns, found)

    def _follow(self, head: ManifestHead, base: OpenedSnapshot, reader: LogReader, found: _Found) -> Timeline:
        body = base.body
        databases = [DatabaseAt(each.database_id, each.name, each.created_ns) for each in body.databases]
        stores = [
            StoreAt(
                each.store_id, body.databases[each.database].database_id, each.name, each.page_size, each.created_ns,
                each.page_count, each.byte_length, each.sequence, each.tag, each.sessions,
            )
            for each in body.stores
        ]  # fmt: skip
        timeline = Timeline(databases, stores, head.created_ns, self._at_ns, self._choice.wants)
        for segment in reader.segments(head.log):
            found.add(segment.data_keys)
            timeline.take(segment)
            if timeline.is_proven:
                break
        breaks = timeline.breaks()
        if timeline.settled_ns <= self._at_ns:
            raise self._ended(head.node_id, max(timeline.settled_ns - 1, head.created_ns), reader.next_run_ns)
        if breaks:
            raise self._gap(_told(breaks), min(each.from_ns for each in breaks))
        return timeline

    def _ended(self, node_id: bytes, last_ns: int, next_run_ns: int | None) -> LogMissingError | LogGapError:
        if not segment_numbers(self._log, node_id):
            return _no_log(self._log, node_id)
        if next_run_ns is not None:
            told = f"the log was off from {format_moment(last_ns)} to {format_moment(next_run_ns)}"
        else:
            told = f"the log ends at {format_moment(last_ns)}"
        return self._gap(told, last_ns)

    def _gap(self, told: str, before_ns: int | None) -> LogGapError:
        after_ns = min((head.created_ns for head in self._heads if head.created_ns > self._at_ns), default=None)
        nearest = [] if before_ns is None else [f"{format_moment(before_ns)}, before it"]
        nearest += [] if after_ns is None else [f"{format_moment(after_ns)}, the time of a snapshot after it"]
        where = f"the nearest that can be: {', and '.join(nearest)}" if nearest else "no time near it can be"
        return LogGapError(
            f"{format_moment(self._at_ns)} cannot be restored: {told}. Nothing was restored; {where}.",
            before_ns,
            after_ns,
        )


def _told(breaks: Sequence[Break]) -> str:
    first = min(breaks, key=lambda each: each.from_ns)
    until = f" until {format_moment(first.to_ns)}" if first.to_ns else " on"
    more = f", and {len(breaks) - 1} more of this kind" if len(breaks) > 1 else ""
    return f"{first.told()}, from {format_moment(first.from_ns)}{until}{more}"
