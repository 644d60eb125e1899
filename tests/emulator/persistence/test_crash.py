"""The data directory on a disk that loses, tears and reorders what was not synced: nothing lost, no halves.

Every state is opened by a real store, compared, written to, and opened again.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from kms_emulator.core import Core
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.store import StoredState
from kms_emulator.storage import sealing, sqlite
from kms_emulator.storage.errors import DataDirError
from kms_emulator.storage.sqlite import SqliteStore
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.emulator.persistence.recording import recorded
from tests.simulated_files import Disk, SimulatedFiles, write_out

WANTED = STATES // 50
STEPS = 30
CUTS = 30


def told(state: StoredState) -> str:
    """Return everything in it, in one order."""
    keys = sorted(repr(key) for key in state.keys)
    materials = sorted((uid, number, material.to_stored()) for (uid, number), material in state.materials.items())
    rest = (state.aliases, state.folders, state.settings, state.grants, state.identities, state.credentials)
    return repr((keys, materials, *rest))


@dataclass
class Recorded:
    """The disk before each operation of SQLite, with what may be read from it after a crash."""

    place: Path
    files: SimulatedFiles = field(default_factory=SimulatedFiles)
    moments: list[tuple[Disk, frozenset[str]]] = field(default_factory=list)

    def live(self, random: Random, secret: bytes | None) -> None:
        """Make a data directory and change keys in it; every change is acknowledged when it returns."""
        disks: list[Disk] = []
        with recorded(self.files):
            fd = self.files.create(self.place / "keys.sqlite")
            self.files.close(fd)
            self.files.saw = disks.append
            store = SqliteStore(self.place / "keys.sqlite", secret)
            before = told(store.load())
            self.note(disks, before)
            core = Core(store)
            for number in range(STEPS):
                random.choice(KINDS)(core, random, number)
                after = told(store.load())
                self.note(disks, before, after)
                before = after
            store.close()
            self.note([*disks, self.files.disk], before)

    def note(self, disks: list[Disk], *allowed: str) -> None:
        self.moments += [(disk, frozenset(allowed)) for disk in disks]
        disks.clear()


def create(core: Core, random: Random, number: int) -> None:
    core.registry.create("aws", f"us-east-1/k{number}", KeyKind.AES_256, number)
    version(core, random, number)


def version(core: Core, random: Random, number: int) -> None:
    if keys := core.registry.keys("aws"):
        core.registry.add_version(random.choice(keys), core.registry.new_aes(), number)


def alias(core: Core, random: Random, number: int) -> None:
    if keys := core.registry.keys("aws"):
        core.registry.put_alias("aws", f"us-east-1/alias/{number}", random.choice(keys), number)


def folder(core: Core, _: Random, number: int) -> None:
    core.registry.create_folder("gcp", f"ring{number}", number)


def removed(core: Core, random: Random, _: int) -> None:
    if keys := core.registry.keys("aws"):
        core.registry.remove(random.choice(keys))


KINDS: tuple[Callable[[Core, Random, int], None], ...] = (create, create, version, alias, folder, removed)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys without the cost that Argon2 is for; costs say nothing about crashes."""
    monkeypatch.setattr(sealing, "_derive", lambda secret, salt, *_: blake2b(secret, salt=salt[:16]).digest())


@contextmanager
def unsynced() -> Iterator[None]:
    """Let SQLite sync nothing: what a look at a crash leaves is thrown away."""
    pragmas = tuple(pragma.replace("synchronous=FULL", "synchronous=OFF") for pragma in sqlite._PRAGMAS)
    assert "synchronous=OFF" in pragmas
    with patch.object(sqlite, "_PRAGMAS", pragmas):
        yield


def check(place: Path, allowed: frozenset[str], secret: bytes | None) -> None:
    try:
        store = SqliteStore(place / "keys.sqlite", secret)
        found = told(store.load())
    except DataDirError as error:
        raise LostError(f"the data directory does not open: {error}") from error
    if found not in allowed:
        raise LostError("it has neither what was acknowledged nor what was coming")
    Core(store).registry.create_folder("gcp", "afterwards", 9)
    after = told(store.load())
    store.close()
    store = SqliteStore(place / "keys.sqlite", secret)
    if told(store.load()) != after:
        raise WrongError("what was written after the crash reads back differently")
    store.close()


@pytest.mark.parametrize("secret", [None, b"correct horse battery staple"])
def test_no_crash_state_of_a_data_directory_loses_anything(
    tmp_path: Path, crashes: Crashes, secret: bytes | None
) -> None:
    crashes.kind, seen = "emulator's data directory", set[bytes]()
    for life in range(WANTED):
        random, made = Random(f"{SEED}/{secret!r}/{life}"), Recorded(tmp_path / f"life{life}")
        made.place.mkdir()
        made.live(random, secret)
        random.shuffle(made.moments)
        for disk, allowed in made.moments:
            for left in (disk, *disk.power_cuts(random, CUTS)):
                if (digest := left.digest()) in seen or crashes.states >= WANTED // 2:
                    continue
                seen.add(digest)
                crashes.states += 1
                write_out(left, made.place, tmp_path / "left")
                with unsynced(), crashes.judged(f"life {life} of a data directory, seed {SEED}"):
                    check(tmp_path / "left", allowed, secret)
                shutil.rmtree(tmp_path / "left")
        if crashes.states >= WANTED // 2:
            break
    assert crashes.states >= WANTED // 2


class LyingFiles(SimulatedFiles):
    """Nothing that is synced is durable."""

    def sync(self, fd: int) -> None:
        self._step()


def test_a_disk_whose_syncs_do_nothing_is_found_out(tmp_path: Path) -> None:
    crashes, made = Crashes(), Recorded(tmp_path / "life", LyingFiles())
    made.place.mkdir()
    made.live(Random(SEED), None)
    disk, allowed = made.moments[-1]
    write_out(next(disk.power_cuts(Random(SEED), CUTS)), made.place, tmp_path / "left")
    with pytest.raises(LostError), crashes.judged("a lying disk"):
        check(tmp_path / "left", allowed, None)
    assert crashes.lost == 1
