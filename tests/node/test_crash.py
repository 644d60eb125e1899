"""Keystore file and anchors on a disk that loses, tears and reorders what was not synced, through a life of changes.

Every state is opened, compared with what was acknowledged, changed again, and crashed again while that goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from keystore.errors import KeystoreError
from keystore.keys.hierarchy import DataKey, Keystore, StoreRecord, generate_database, generate_id
from keystore.keys.master import generate_master
from keystore.kms.connect import connect
from keystore.kms.protocol import Kms
from keystore.node.custody import Custody
from keystore.pages.protocols import AnchorState
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.node.test_replacement import NODE_ID, fresh, open_node
from tests.pages.determined import Determined, determined
from tests.simulated_files import Disk, SimulatedFiles

WANTED = STATES // 20
STEPS = 24
CUTS, CUTS_AGAIN, MOMENTS_AGAIN = 40, 6, 3
"""Power cuts tried at each moment of a life, of what follows a crash, and how many moments of that."""
DATABASE = "d"

Catalogue = str
"""Everything in a keystore file but its keys, as text."""


def catalogue(custody: Custody) -> Catalogue:
    databases = custody.keystore.databases.values()
    told = [(d.name, [key.generation for key in d.data_keys], len(d.destroyed), sorted(d.stores)) for d in databases]
    return repr((custody.file_generation, custody.master.generation, sorted(told)))


@dataclass(frozen=True)
class Moment:
    """The disk just before an operation, and what may then be found on it."""

    disk: Disk
    catalogues: frozenset[Catalogue]
    anchors: dict[bytes, frozenset[AnchorState | None]]


@dataclass
class NodeLife:
    """A node's small files, and what their owner may rely on."""

    kms: Kms
    files: SimulatedFiles
    moments: list[Moment] = field(default_factory=list)
    anchors: dict[bytes, frozenset[AnchorState | None]] = field(default_factory=dict)
    """What each anchor may be after a crash: the value last synced, and each one since."""

    def __post_init__(self) -> None:
        self.custody = open_node(self.files, self.kms)

    def do(self, act: Callable[[], object], synced: bool = True) -> None:
        """Do one thing that is whole or absent after a crash; `synced` if it makes all anchors durable."""
        disks: list[Disk] = []
        self.files.saw = disks.append
        before = catalogue(self.custody)
        act()
        self.files.saw = None
        allowed = frozenset({before, catalogue(self.custody)})
        self.moments += [Moment(disk, allowed, dict(self.anchors)) for disk in disks]
        if synced:
            self.anchors = {store: frozenset({self.loaded(store)}) for store in self.anchors}
        self.moments.append(Moment(self.files.disk, frozenset({catalogue(self.custody)}), dict(self.anchors)))

    def loaded(self, store: bytes) -> AnchorState | None:
        return self.custody.anchors.of(store).load()

    def change(self, make_next: Callable[[Keystore], Keystore]) -> None:
        self.do(lambda: self.custody.change(make_next))

    def rotate(self, contents: Callable[[Keystore], Keystore] = lambda keystore: keystore) -> None:
        new = lambda former: generate_master(self.kms, NODE_ID, former.generation + 1)  # noqa: E731
        self.do(lambda: self.custody.change_master(new, contents))


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
    """The data keys of a database and the master key go at once, or not at all."""
    new_database(life, random)
    name = random.choice([name for name in life.custody.keystore.databases if name != DATABASE])
    if life.custody.keystore.database(name).shredded is None:
        life.rotate(lambda keystore: keystore.with_database(keystore.database(name).shred(5, b"f" * 32, 1)))


def new_store(life: NodeLife, _: Random) -> None:
    store_id = generate_id()
    record = StoreRecord(store_id, store_id.hex(), 4096, 2)
    life.do(lambda: life.custody.anchors.add(record.store_id))
    life.anchors[record.store_id] = frozenset({None})
    life.change(lambda keystore: keystore.with_database(keystore.database(DATABASE).with_store(record)))


def dropped_store(life: NodeLife, random: Random) -> None:
    new_store(life, random)
    record = random.choice(list(life.custody.keystore.database(DATABASE).stores.values()))
    life.change(lambda keystore: keystore.with_database(keystore.database(DATABASE).without_store(record.name)))
    del life.anchors[record.store_id]
    life.do(lambda: life.custody.anchors.remove(record.store_id), synced=False)


def commits(life: NodeLife, random: Random) -> None:
    """As stores do it: an anchor after each commit, a sync now and then."""
    new_store(life, random)
    for _ in range(6):
        store, sync = random.choice(list(life.anchors)), random.random() < 0.3
        state = AnchorState(1, random.randrange(1 << 40), random.randbytes(16))
        life.anchors[store] |= {state}
        anchor = life.custody.anchors.of(store)
        life.do(lambda anchor=anchor, state=state, sync=sync: anchor.store(state, sync=sync), synced=sync)  # type: ignore[misc]


KINDS = (rotate, new_database, new_data_key, destroyed_key, shredded, new_store, dropped_store, commits, commits)


@dataclass
class NodeExplorer:
    """Opens every state of one life once."""

    kms: Kms
    random: Random
    source: Determined
    crashes: Crashes
    seen: set[bytes] = field(default_factory=set)

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
        if (digest := disk.digest()) in self.seen:
            return []
        self.seen.add(digest)
        self.crashes.states += 1
        self.source.begin(stream)
        opening: list[Disk] = []
        try:
            life = NodeLife(self.kms, SimulatedFiles(disk, opening.append))
        except KeystoreError as error:
            raise LostError(f"the node does not open: {error}") from error
        self.compare(life, moment)
        # Until the opening has synced the directory, a power cut may take back the name that it found.
        life.moments = [replace(moment, disk=seen) for seen in opening]
        life.rotate()
        if catalogue(open_node(life.files.after_kill(), self.kms)) != catalogue(life.custody):
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
        life.anchors = {store: moment.anchors[store] for store in stores if store in moment.anchors}


@pytest.mark.parametrize("part", range(2))
def test_no_crash_state_of_a_nodes_files_loses_anything(cmk: str, crashes: Crashes, part: int) -> None:
    crashes.kind, wanted = "keystore file and anchors", WANTED // 2
    for number in range(wanted):
        if crashes.states >= wanted:
            break
        seed = f"{SEED}/{part}/{number}"
        with determined(seed) as source, crashes.judged(f"node life {seed}"):
            kms, random = connect(cmk), Random(seed)
            life = NodeLife(kms, fresh(kms))
            begin(life)
            for kind in random.sample(KINDS * 3, STEPS):
                kind(life, random)
            random.shuffle(life.moments)
            NodeExplorer(kms, random, source, crashes).explore(life.moments, wanted)
    assert crashes.states >= wanted


class LyingFiles(SimulatedFiles):
    """Nothing that is synced is durable."""

    def sync(self, fd: int) -> None:
        self._step()


def test_a_disk_whose_syncs_do_nothing_is_found_out(cmk: str) -> None:
    crashes = Crashes()
    with determined(SEED) as source:
        kms, random = connect(cmk), Random(SEED)
        life = NodeLife(kms, LyingFiles(fresh(kms).disk))
        begin(life)
        explorer = NodeExplorer(kms, random, source, crashes)
        with pytest.raises(LostError), crashes.judged("a node life on a lying disk"):
            explorer.explore(life.moments, 100)
    assert crashes.lost == 1
