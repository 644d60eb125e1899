"""What a node held at every commit (a model), and what its log says was there at a time."""

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from keystore.crypto.secret import SecretKey
from keystore.format.log_segment import SegmentHead
from keystore.format.manifest import LogPosition
from keystore.keys.hierarchy import DataKey
from keystore.keys.master import MasterKey, open_master
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.objects.opening import open_place
from keystore.pages.protocols import Buffer
from keystore.pages.store import PageStore
from keystore.snapshots.log_reading import LogReader
from keystore.snapshots.log_segment import OpenedSegment, open_segment
from keystore.snapshots.log_tail import read_front
from keystore.snapshots.log_timeline import Timeline
from keystore.testing import ThrowawayKeys

SIZE = 4096
State = tuple[int, int, dict[int, bytes]]
"""Pages and bytes of a store, and the pages that are no holes."""
Moments = list[tuple[int, State]]
"""States by the time from which they hold."""


def state_of(store: PageStore) -> State:
    pages = {number: store.read(number) for number in range(store.page_count)}
    return store.page_count, store.byte_length, {number: page for number, page in pages.items() if any(page)}


@dataclass
class History:
    """The states of the stores of a node after each of their commits, by record time."""

    moments: dict[str, Moments] = field(default_factory=dict)

    def note(self, name: str, store: PageStore) -> None:
        """Note the state of a store after a commit."""
        self.moments.setdefault(name, []).append((store._state.time_ns, state_of(store)))

    def at(self, name: str, time_ns: int) -> State | None:
        """Return what a store was at a time; None before its first commit."""
        moments = self.moments[name]
        found = bisect_right([each for each, _ in moments], time_ns)
        return moments[found - 1][1] if found else None

    def times(self) -> list[int]:
        return sorted(each for moments in self.moments.values() for each, _ in moments)


def change(store: PageStore, random: Random) -> None:
    """Make a commit of any kind."""
    kind = random.randrange(8)
    if kind == 0 and store.page_count > 2:
        store.commit(page_count=random.randrange(1, store.page_count), byte_length=random.randrange(9999))
    elif kind == 1 and store.page_count:
        store.commit({random.randrange(store.page_count): None})
    else:
        pages: dict[int, Buffer | None] = {
            random.randrange(24): random.randbytes(SIZE - 1) + b"!" for _ in range(random.randrange(1, 4))
        }
        store.commit(pages, byte_length=random.randrange(9999))


class LogOpener:
    """Opens the segments of a node's log as a restore does, each era's master key once."""

    def __init__(self, place: Path, node: Node, connect: KmsConnector) -> None:
        with node.held() as custody:
            self.signer = custody.keystore.signing.public
            self.volume = custody.volume
        self.place, self.node_id, self._connect = open_place(str(place)), node.node_id, connect
        self.masters: dict[bytes, MasterKey] = {}

    def master(self, head: SegmentHead) -> MasterKey:
        if head.commitment not in self.masters:
            kms = self._connect(head.wrapped.key_id)
            self.masters[head.commitment] = open_master(kms, head.wrapped, head.node_id, head.era, head.commitment)
        return self.masters[head.commitment]

    def reader(self) -> LogReader:
        return LogReader(self.place, self.node_id, self.signer, self.master, lambda _: self.volume)

    def whole(self) -> list[OpenedSegment]:
        """Return all segments of a log that was enabled once."""
        first = read_front(self.place, self.node_id, 1)
        return [open_segment(first, self.master(first.head), "the first segment"), *self.segments()]

    def segments(self, after: int = 1) -> list[OpenedSegment]:
        """Return the segments after the first, which enabling wrote and which is empty."""
        start = LogPosition(after, read_front(self.place, self.node_id, after).checksum)
        return list(self.reader().segments(start))

    def told(self, at_ns: int, room: Path) -> dict[str, State]:
        """Return what the log alone says of a node that was empty when it was enabled; stores are built in `room`."""
        reader, timeline = self.reader(), Timeline([], [], 0, at_ns)
        keys: dict[tuple[bytes, int], DataKey] = {}
        start = LogPosition(1, read_front(self.place, self.node_id, 1).checksum)
        for segment in reader.segments(start):
            timeline.take(segment)
            keys |= segment.data_keys
            if timeline.is_proven:
                break
        assert timeline.is_proven, "the log ends before that time"
        assert timeline.breaks() == []
        found = {}
        for store, overlay in timeline.stores():
            known = StoreKeys(
                {generation: key for (owner, generation), key in keys.items() if owner == store.database_id}
            )
            path = room / store.store_id.hex()
            with PageStore.create(path, name=store.name, keys=known, page_size=store.page_size) as made:
                for part in overlay.in_place_order():
                    for batch in reader.batches(part, store.page_size):
                        made.adopt(store.sessions, batch)
                made.commit(page_count=store.page_count, byte_length=store.byte_length)
                found[store.name] = state_of(made)
            path.unlink()
        return found


class StoreKeys(ThrowawayKeys):
    """The data keys of segments to read with, and one that is thrown away to write with."""

    def __init__(self, known: dict[int, DataKey]) -> None:
        super().__init__()
        self._known = known
        self._fresh = max(known, default=0) + 1

    def current(self) -> tuple[int, SecretKey]:
        return self._fresh, super().current()[1]

    def by_generation(self, generation: int) -> SecretKey:
        return super().by_generation(1) if generation == self._fresh else self._known[generation].key
