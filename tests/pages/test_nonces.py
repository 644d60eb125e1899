"""No pair of key and nonce seals twice, whatever is copied, killed, restored, refused or forked (F-7 and F-8).

Every seal of the process is recorded at the library that does it. Two copies of a file share data keys, session table
and counters; only the salt of a new session keeps them apart.
"""

import errno
import hashlib
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto import kernel, wrap
from keystore.crypto.secret import SecretKey
from keystore.errors import CommitUnknownError, StoreForkedError, StoreFullError
from keystore.format.record import CHANGE
from keystore.pages import sessions
from keystore.pages.store import PageStore
from tests.crypto.recording import record_commits
from tests.pages.simdisk import Fault, Machine
from tests.pages.stores import MemoryAnchor, StaticKeys

PAGE_BYTES = 4096
Pair = tuple[bytes, bytes]


class Seals:
    """All pairs that sealed so far."""

    def __init__(self) -> None:
        self.pairs: set[Pair] = set()

    def add(self, pair: Pair) -> None:
        assert pair not in self.pairs, "a nonce sealed twice under one key"
        self.pairs.add(pair)

    def recorder(self) -> type:
        seals = self

        class Recorder:
            def __init__(self, key: Any) -> None:
                self._real, self._key = AESGCM(key), hashlib.sha256(key).digest()

            def encrypt(self, nonce: Any, *rest: Any) -> bytes:
                seals.add((self._key, bytes(nonce)))
                return self._real.encrypt(nonce, *rest)

            def encrypt_into(self, nonce: Any, *rest: Any) -> int:
                seals.add((self._key, bytes(nonce)))
                return self._real.encrypt_into(nonce, *rest)

            def decrypt(self, *args: Any) -> bytes:
                return self._real.decrypt(*args)

            def decrypt_into(self, *args: Any) -> int:
                return self._real.decrypt_into(*args)

        return Recorder


@pytest.fixture
def seals(
    monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> Iterator[Seals]:
    seals = Seals()
    monkeypatch.setattr(kernel._CONTEXTS, "_make", seals.recorder())
    monkeypatch.setattr(wrap, "AESGCM", seals.recorder())
    if kernel.KERNEL.name == "native":  # the pages of a commit do not go through the library that is recorded
        seal_changes = kernel.KERNEL.seal_changes

        def recording(key: SecretKey, *rest: Any) -> bytes:
            rows = seal_changes(key, *rest)
            for nonce in np.frombuffer(rows, CHANGE)["entry"]["nonce"]:
                seals.add((hashlib.sha256(key.view()).digest(), nonce.tobytes()))
            return rows

        monkeypatch.setattr(kernel.KERNEL, "seal_changes", recording)
        record_commits(monkeypatch, lambda key, nonce: seals.add((hashlib.sha256(key.view()).digest(), nonce)))
    yield seals
    monkeypatch.undo()
    what = request.node.name.removeprefix("test_").replace("_", " ")
    tell(f"{len(seals.pairs)} seals, no pair of key and nonce twice: {what}")
    assert len(seals.pairs) > 20


def create(path: Path, keys: StaticKeys) -> PageStore:
    return PageStore.create(path, name="s", keys=keys, page_size=PAGE_BYTES, anchor=MemoryAnchor())


def open_store(path: Path, keys: StaticKeys) -> PageStore:
    return PageStore.open(path, name="s", keys=keys)


def write(store: PageStore, commits: int = 5) -> None:
    """Commit the same pages with the same bytes every time: what differs is only what the store adds."""
    for _ in range(commits):
        store.commit(dict.fromkeys(range(3), b"x" * PAGE_BYTES))
    store.checkpoint()


def in_child(action: Callable[[], set[Pair]]) -> set[Pair]:
    """Run `action` in a fork that ends without closing anything, as if killed; return the pairs it sends back."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), os.fdopen(writer, "wb") as out:
            pickle.dump(action(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        pairs: set[Pair] = pickle.load(answer)
    os.waitpid(pid, 0)
    return pairs


def test_copies_of_a_closed_store_that_are_written_to(seals: Seals, tmp_path: Path) -> None:
    keys = StaticKeys()
    with create(tmp_path / "0", keys) as store:
        write(store)
    for name in "12":
        shutil.copyfile(tmp_path / "0", tmp_path / name)
    # Where the file system can, the copy shares its blocks; without `cp` of GNU it is a copy like the others.
    subprocess.run(["cp", "--reflink=auto", tmp_path / "0", tmp_path / "3"], check=True)
    stores = [open_store(tmp_path / name, keys) for name in "0123"]
    for _ in range(3):
        for store in stores:
            write(store)
    for store in stores:
        store.close()


def test_copies_of_an_open_store_that_go_on_beside_it(seals: Seals, tmp_path: Path) -> None:
    """What a snapshot of the volume is: the copy knows nothing of what its original seals next."""
    keys = StaticKeys()
    store = create(tmp_path / "0", keys)
    for name in "123":
        store.commit({0: b"y" * PAGE_BYTES})
        shutil.copyfile(tmp_path / "0", tmp_path / name)
        with open_store(tmp_path / name, keys) as copy:
            write(copy)
        write(store, 2)
    store.close()


def test_a_store_that_is_killed_again_and_again(seals: Seals, tmp_path: Path) -> None:
    keys = StaticKeys()
    create(tmp_path / "0", keys).close()

    def live() -> set[Pair]:
        seals.pairs.clear()
        store = open_store(tmp_path / "0", keys)
        write(store)
        store.commit({5: b"z" * PAGE_BYTES})
        return seals.pairs

    for _ in range(5):
        for pair in in_child(live):
            seals.add(pair)
    with open_store(tmp_path / "0", keys) as store:
        write(store)


def test_a_restore_and_its_original(seals: Seals, tmp_path: Path) -> None:
    """Adopted pages keep their session, which must not seal anything more in either store."""
    keys = StaticKeys()
    with create(tmp_path / "0", keys) as store:
        write(store)
        with store.pin() as pin:
            targets = [create(tmp_path / name, keys) for name in "12"]
            for target in targets:
                for batch in pin.sealed():
                    target.adopt(pin.sessions(), batch)
            for each in (store, *targets):
                write(each)
        for target in targets:
            target.close()
        write(store)
    for name in "012":
        with open_store(tmp_path / name, keys) as store:
            assert store.verify().damaged == []
            write(store)


def test_new_generations_and_sessions_that_reach_their_limit(
    seals: Seals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SEALS_MAX", 40)
    keys = StaticKeys()
    with create(tmp_path / "0", keys) as store:
        write(store, 30)
        keys.rotate()
        write(store, 30)
    assert len({key for key, _ in seals.pairs}) > 4


def test_a_commit_that_failed_and_is_tried_again(seals: Seals) -> None:
    """Its nonces are spent: the disk may have its pages."""
    refused = 0
    for number in range(12, 40):
        keys, machine = StaticKeys(), Machine(fault=Fault(number, errno.ENOSPC))
        store = PageStore.create(machine.disk, name="s", keys=keys, page_size=PAGE_BYTES)
        for _ in range(6):
            try:
                write(store, 2)
            except StoreFullError:
                refused += 1
            except CommitUnknownError:
                store.close()
                store = PageStore.open(machine.disk, name="s", keys=keys)
        store.close()
    assert refused > 5


def test_a_fork_can_use_nothing_that_was_open(seals: Seals, tmp_path: Path) -> None:
    keys = StaticKeys()
    store = create(tmp_path / "0", keys)
    write(store)
    uses: list[Callable[[], object]] = [
        lambda: store.read(0),
        lambda: store.read_many([0, 1]),
        lambda: store.read_into(0, bytearray(PAGE_BYTES)),
        lambda: store.commit({0: bytes(PAGE_BYTES)}),
        lambda: store.checkpoint(),
        lambda: store.pin(),
        lambda: store.verify(),
    ]

    def child() -> set[Pair]:
        before = set(seals.pairs)
        for use in uses:
            with pytest.raises(StoreForkedError):
                use()
        store.close()
        assert seals.pairs == before
        shutil.copyfile(tmp_path / "0", tmp_path / "1")
        with open_store(tmp_path / "1", keys) as copy:
            write(copy)
        return seals.pairs - before

    sealed = in_child(child)
    assert len(sealed) > 20
    for pair in sealed:
        seals.add(pair)
    write(store)
    assert store.read(1) == b"x" * PAGE_BYTES
    store.close()


def test_without_fresh_salts_and_nonces_the_repetition_is_seen(
    seals: Seals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = StaticKeys()
    with create(tmp_path / "0", keys) as store:
        write(store)
    shutil.copyfile(tmp_path / "0", tmp_path / "1")
    monkeypatch.setattr("secrets.token_bytes", bytes)
    with open_store(tmp_path / "0", keys) as store:
        write(store)
    with pytest.raises(AssertionError, match="sealed twice"):
        open_store(tmp_path / "1", keys)
