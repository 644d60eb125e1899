"""Keystore file, anchors and volume key on a disk that loses, tears and reorders what was not synced.

A life of changes; every state is opened, compared with what was acknowledged, changed again, and crashed again while
that goes on. Half of the lives have a volume layer, and an outside anchor that must never be ahead of the disk.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random

import pytest
from obstore.store import MemoryStore

from keystore.errors import KeystoreError
from keystore.format.outside import STATEMENT_BYTES_MAX
from keystore.keys import keyfile
from keystore.keys.hierarchy import DataKey, Keystore, OutsideSetting, StoreRecord, generate_database, generate_id
from keystore.keys.master import generate_master
from keystore.keys.volume import generate_volume
from keystore.kms.connect import connect
from keystore.node.converting import Converter
from keystore.node.custody import Custody
from keystore.node.key_life import KeyLife
from keystore.node.layout import Layout
from keystore.node.opening import open_custody, write_first
from keystore.node.outside import OutsideAnchor
from keystore.node.outside_choice import OutsideChoice
from keystore.node.stores import Stores
from keystore.node.volume import rewrap_volume
from keystore.objects.bucket import BucketPlace
from keystore.pages.protocols import AnchorState
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.pages.determined import Determined, determined
from tests.simulated_files import Disk, PowerCut, SimulatedFiles

WANTED = STATES // 20
STEPS = 24
CUTS, CUTS_AGAIN, MOMENTS_AGAIN = 40, 6, 3
"""Power cuts tried at each moment of a life, of what follows a crash, and how many moments of that."""
DATABASE = "d"
NODE_ID = b"n" * 16
LAYOUT, PLACE = Layout(Path("/node")), "memory"

Catalogue = str
"""Everything in a keystore file but its keys, and how often the volume key was wrapped, as text."""
Statement = tuple[str, bytes] | None
"""Name and bytes of the last one that an outside anchor has. It is durable, and never taken back."""


def catalogue(custody: Custody) -> Catalogue:
    databases = custody.keystore.databases.values()
    told = [(d.name, [key.generation for key in d.data_keys], len(d.destroyed), sorted(d.stores)) for d in databases]
    wrapped = custody.volume.record.generation if custody.volume else 0
    layer = custody.volume is not None, custody.keystore.volume_change, custody.keystore.is_converting
    return repr((custody.file_generation, custody.master.generation, wrapped, layer, sorted(told)))


@dataclass(frozen=True)
class Moment:
    """The disk just before an operation, and what may then be found on it."""

    disk: Disk
    statement: Statement
    catalogues: frozenset[Catalogue]
    anchors: dict[bytes, frozenset[AnchorState | None]]


@dataclass
class NodeLife:
    """A node's small files, and what their owner may rely on."""

    cmk: str
    files: SimulatedFiles
    statement: Statement = None
    moments: list[Moment] = field(default_factory=list)
    anchors: dict[bytes, frozenset[AnchorState | None]] = field(default_factory=dict)
    """What each anchor may be after a crash: the value last synced, and each one since."""

    def __post_init__(self) -> None:
        self.place = None if self.statement is None else BucketPlace(MemoryStore(), PLACE)
        if self.place is not None and self.statement is not None:
            self.place.put(*self.statement)
        self.custody = open_custody(LAYOUT, self.files, connect, lambda: 5, OutsideChoice(self.place))
        self.sequences = count(1)

    def stated(self) -> Statement:
        if self.place is None:
            return None
        name = self.place.names()[-1].name
        return name, self.place.get(name, STATEMENT_BYTES_MAX)

    def do(self, act: Callable[[], object], synced: bool = True) -> None:
        """Do one thing that is whole or absent after a crash; `synced` if it makes all anchors durable."""
        seen: list[tuple[Disk, Statement]] = []
        self.files.saw = lambda disk: seen.append((disk, self.stated()))
        before = catalogue(self.custody)
        act()
        self.files.saw = None
        allowed = frozenset({before, catalogue(self.custody)})
        self.moments += [Moment(disk, statement, allowed, dict(self.anchors)) for disk, statement in seen]
        if synced:
            self.anchors = {store: frozenset({self.loaded(store)}) for store in self.anchors}
        now = frozenset({catalogue(self.custody)})
        self.moments.append(Moment(self.files.disk, self.stated(), now, dict(self.anchors)))

    def loaded(self, store: bytes) -> AnchorState | None:
        return self.custody.anchors.of(store).load()

    def change(self, make_next: Callable[[Keystore], Keystore]) -> None:
        self.do(lambda: self.custody.change(make_next))

    def rotate(self, contents: Callable[[Keystore], Keystore] = lambda keystore: keystore) -> None:
        new = lambda former: generate_master(connect(self.cmk), NODE_ID, former.generation + 1)  # noqa: E731
        self.do(lambda: self.custody.change_master(new, contents))

    def new_store(self, database: str) -> None:
        record = StoreRecord(store_id := generate_id(), store_id.hex(), 4096, 2)
        self.do(lambda: self.custody.anchors.add(store_id))
        self.anchors[store_id] = frozenset({None})
        self.change(lambda keystore: keystore.with_database(keystore.database(database).with_store(record)))

    def forget_anchor(self, store_id: bytes) -> None:
        self.anchors.pop(store_id, None)
        self.do(lambda: self.custody.anchors.remove(store_id), synced=False)


def write_node(cmk: str, files: SimulatedFiles, *, guarded: bool) -> Statement:
    """Write a new node, all durable. A guarded one has a volume layer, and an outside anchor with what is returned."""
    kms = connect(cmk)
    volume = generate_volume(kms) if guarded else None
    keystore = Keystore.generate("n", 1, volume.record.volume_id if volume else None)
    if guarded:
        keystore = keystore.with_outside_anchor(OutsideSetting(PLACE, each_commit=False))
    write_first(LAYOUT, files, keystore, generate_master(kms, NODE_ID, 1), 1, volume)
    if not guarded:
        return None
    loaded, place = keyfile.load(files, LAYOUT.keystore), BucketPlace(MemoryStore(), PLACE)
    OutsideAnchor(place, keystore.anchor_key, NODE_ID).keystore_in_force(1, loaded.fingerprint)
    (first,) = place.names()
    return first.name, place.get(first.name, STATEMENT_BYTES_MAX)


def begin(life: NodeLife) -> None:
    life.change(lambda keystore: keystore.with_database(generate_database(DATABASE, 2)))


def rotate(life: NodeLife, _: Random) -> None:
    life.rotate()


def new_database(life: NodeLife, random: Random) -> None:
    life.change(lambda keystore: keystore.with_database(generate_database(f"d{random.randrange(1 << 30)}", 2)))


def new_data_key(life: NodeLife, _: Random) -> None:
    life.change(lambda keystore: keystore.with_database(keystore.database(DATABASE).with_new_generation(3)))


def destroyed_key(life: NodeLife, random: Random) -> None:
    new_data_key(life, random)
    oldest: DataKey = life.custody.keystore.database(DATABASE).data_keys[0]
    life.change(lambda keystore: keystore.with_database(keystore.database(DATABASE).without_key(oldest.generation, 4)))


def shredded(life: NodeLife, random: Random) -> None:
    """The data keys of a database, its stores and the master key go at once, or not at all."""
    new_database(life, random)
    name = random.choice([name for name in life.custody.keystore.databases if name != DATABASE])
    if life.custody.keystore.database(name).shredded is None:
        life.new_store(name)
        gone = life.custody.keystore.database(name).stores.values()
        life.rotate(lambda keystore: keystore.with_database(keystore.database(name).shred(5, b"f" * 32, 1)))
        for record in gone:
            life.forget_anchor(record.store_id)


def new_store(life: NodeLife, _: Random) -> None:
    life.new_store(DATABASE)


def dropped_store(life: NodeLife, random: Random) -> None:
    new_store(life, random)
    record = random.choice(list(life.custody.keystore.database(DATABASE).stores.values()))
    life.change(lambda keystore: keystore.with_database(keystore.database(DATABASE).without_store(record.name)))
    life.forget_anchor(record.store_id)


def rewrapped(life: NodeLife, _: Random) -> None:
    if life.custody.volume is not None:
        life.do(lambda: rewrap_volume(LAYOUT, life.files, life.custody, life.cmk, connect, connect), synced=False)


def converted(life: NodeLife, random: Random) -> None:
    """The layer comes, or turns round on its way, or goes; nothing has to be moved, as no store has a file here."""
    stores = Stores(LAYOUT, life.files, life.custody, None, lambda: 5)  # type: ignore[arg-type]
    key_life = KeyLife(life.custody, stores, lambda: 5)
    converter = Converter(LAYOUT, life.files, life.custody, stores, key_life, lambda: 5)
    wanted = None if life.custody.keystore.is_layered else life.cmk
    life.do(lambda: converter._begin(life.cmk, wanted, connect))
    if random.random() < 0.7:
        for database in life.custody.keystore.databases.values():
            life.change(lambda keystore, database=database: keystore.with_database(database.left_keys()))  # type: ignore[misc]
        life.do(converter._settle)


def commits(life: NodeLife, random: Random) -> None:
    """As stores do it: an anchor after each commit, a sync now and then."""
    new_store(life, random)
    for _ in range(6):
        store, sync = random.choice(list(life.anchors)), random.random() < 0.3
        state = AnchorState(1, next(life.sequences), random.randbytes(16))
        life.anchors[store] |= {state}
        anchor = life.custody.anchors.of(store)
        life.do(lambda anchor=anchor, state=state, sync=sync: anchor.store(state, sync=sync), synced=sync)  # type: ignore[misc]


KINDS = (
    rotate,
    new_database,
    new_data_key,
    destroyed_key,
    shredded,
    new_store,
    dropped_store,
    rewrapped,
    converted,
    commits,
    commits,
)


@dataclass
class NodeExplorer:
    """Opens every state of one life once."""

    cmk: str
    random: Random
    source: Determined
    crashes: Crashes
    seen: set[tuple[bytes, Statement]] = field(default_factory=set)

    def explore(self, moments: list[Moment], wanted: int) -> None:
        for moment in moments:
            if self.crashes.states >= wanted:
                return
            for disk in (moment.disk, *moment.disk.power_cuts(self.random, CUTS)):
                again = self.check(disk, moment, "again")
                for other in self.random.sample(again, min(MOMENTS_AGAIN, len(again))):
                    for worse in (other.disk, *other.disk.power_cuts(self.random, CUTS_AGAIN)):
                        self.check(worse, other, "once more")

    def check(self, disk: Disk, moment: Moment, stream: str) -> list[Moment]:
        """Open a disk if it is new; return the moments of its opening and of the rotation that follows."""
        if (state := (disk.digest(), moment.statement)) in self.seen:
            return []
        self.seen.add(state)
        self.crashes.states += 1
        self.source.begin(stream)
        opening: list[Disk] = []
        try:
            life = NodeLife(self.cmk, SimulatedFiles(disk, opening.append), moment.statement)
        except KeystoreError as error:
            raise LostError(f"the node does not open: {error}") from error
        self.compare(life, moment)
        # Until the opening has synced the directory, a power cut may take back the name that it found.
        life.moments = [replace(moment, disk=seen) for seen in opening]
        life.rotate()
        after = NodeLife(self.cmk, life.files.after_kill(), life.stated())
        if catalogue(after.custody) != catalogue(life.custody):
            raise WrongError("the rotation after the crash is not there after the next kill")
        return life.moments

    def compare(self, life: NodeLife, moment: Moment) -> None:
        found = catalogue(life.custody)
        if found not in moment.catalogues:
            raise LostError(f"the keystore file says {found}, and allowed is {set(moment.catalogues)}")
        if len(life.custody.anchors.fingerprints) != 1:
            raise WrongError("two keystore files are accepted after an opening")
        stores = [store.store_id for d in life.custody.keystore.databases.values() for store in d.stores.values()]
        for store in stores:
            if store in moment.anchors and life.loaded(store) not in moment.anchors[store]:
                raise LostError(f"the anchor of {store.hex()} is one that was replaced before a sync")
            if store in moment.anchors and is_ahead(life.custody.anchors.outside, store, moment.anchors[store]):
                raise WrongError(f"the outside anchor of {store.hex()} states what a power cut can take back")
        life.anchors = {store: moment.anchors[store] for store in stores if store in moment.anchors}


def is_ahead(outside: OutsideAnchor | None, store_id: bytes, durable: frozenset[AnchorState | None]) -> bool:
    """Tell whether a store is stated at a later commit than one that its anchor may be left at (A-5)."""
    stated = outside.state_of(store_id) if outside else None
    return stated is not None and any(state is None or state.sequence < stated.sequence for state in durable)


@pytest.mark.parametrize("guarded", [False, True])
def test_no_crash_state_of_a_nodes_files_loses_anything(cmk: str, crashes: Crashes, guarded: bool) -> None:
    outside = " with an outside anchor and a volume layer" if guarded else ""
    crashes.kind, wanted = f"keystore file and anchors{outside}", WANTED // 2
    for number in range(wanted):
        if crashes.states >= wanted:
            break
        seed = f"{SEED}/{guarded}/{number}"
        with determined(seed) as source, crashes.judged(f"node life {seed}"):
            random, files = Random(seed), SimulatedFiles()
            life = NodeLife(cmk, files, write_node(cmk, files, guarded=guarded))
            begin(life)
            for kind in random.sample(KINDS * 3, STEPS):
                kind(life, random)
            random.shuffle(life.moments)
            NodeExplorer(cmk, random, source, crashes).explore(life.moments, wanted)
    assert crashes.states >= wanted


def test_the_wrapping_of_the_volume_key_that_an_opening_found_is_durable(cmk: str) -> None:
    """Its owner may rely on what the opened node tells, and end the former platform key."""
    start = SimulatedFiles()
    statement = write_node(cmk, start, guarded=True)
    found = []
    for at in range(20):
        life = NodeLife(cmk, start.after_kill(), statement)
        life.files.operations, life.files.cut_at = 0, at
        with contextlib.suppress(PowerCut):
            rewrapped(life, Random(SEED))
            break
        killed = life.files.after_kill()
        found.append(wrapping(NodeLife(cmk, killed, statement)))
        for left in killed.after_power_cut():
            assert wrapping(NodeLife(cmk, left, statement)) == found[-1]
    assert found == sorted(found)
    assert set(found) == {1, 2}


def wrapping(life: NodeLife) -> int:
    assert life.custody.volume is not None
    return life.custody.volume.record.generation


class LyingFiles(SimulatedFiles):
    """Nothing that is synced is durable."""

    def sync(self, fd: int) -> None:
        self._step()


def test_a_disk_whose_syncs_do_nothing_is_found_out(cmk: str) -> None:
    crashes = Crashes()
    with determined(SEED) as source:
        files = SimulatedFiles()
        write_node(cmk, files, guarded=False)
        life = NodeLife(cmk, LyingFiles(files.disk))
        begin(life)
        explorer = NodeExplorer(cmk, Random(SEED), source, crashes)
        with pytest.raises(LostError), crashes.judged("a node life on a lying disk"):
            explorer.explore(life.moments, 100)
    assert crashes.lost == 1
