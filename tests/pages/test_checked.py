"""Pages that are copied as they are: each is opened before, whichever sessions they are of, and no plaintext stays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keystore.errors import StoreDamagedError
from keystore.format.entry import EntryArray, U64Array
from keystore.pages import checked
from keystore.pages.checked import Checker
from keystore.pages.pin import Pin
from keystore.pages.reading import UnreadableError
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys

PAGE = 4096
PAGES = 80


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PageStore]:
    """A store whose pages are of three sessions, in turns."""
    path, keys = tmp_path / "s", StaticKeys()
    PageStore.create(path, name="s", keys=keys, page_size=PAGE).close()
    for first in range(3):
        with PageStore.open(path, name="s", keys=keys) as written:
            written.commit({number: number.to_bytes(2, "little") * (PAGE // 2) for number in range(first, PAGES, 3)})
    with PageStore.open(path, name="s", keys=keys) as opened:
        yield opened


def all_of(pin: Pin) -> tuple[U64Array, EntryArray]:
    leaves = list(pin.leaves())
    return np.concatenate([numbers for numbers, _ in leaves]), np.concatenate([entries for _, entries in leaves])


def test_pages_are_read_into_the_buffer_that_is_given(store: PageStore) -> None:
    buffer = memoryview(bytearray(b"\xee" * (PAGES + 1) * PAGE))
    with store.pin() as pin:
        page_nos, entries = all_of(pin)
        assert len(np.unique(entries["session"])) == 3
        batch = pin.read(page_nos, entries, buffer)
        assert batch.ciphertext.obj is buffer.obj
        assert bytes(batch.ciphertext) == bytes(pin.read(page_nos, entries).ciphertext)
    assert len(batch.ciphertext) == PAGES * PAGE
    assert bytes(buffer[PAGES * PAGE :]) == b"\xee" * PAGE


@pytest.mark.parametrize("damaged", [0, 1, 41, PAGES - 1])
def test_the_page_that_does_not_open_is_named(store: PageStore, damaged: int) -> None:
    with store.pin() as pin:
        page_nos, entries = all_of(pin)
        batch = pin.read(page_nos, entries)
        batch.ciphertext[damaged * PAGE + 7] ^= 1
        with pytest.raises(UnreadableError, match=r"the tag of slot \d+ does not match") as caught:
            Checker(PAGE).check(store._state.sessions, batch)
        assert caught.value.index == damaged
        entries["nonce"][damaged] ^= 1
        with pytest.raises(StoreDamagedError, match=f"page {damaged}"):
            pin.read(page_nos, entries)


@pytest.mark.parametrize("damaged", [None, 41])
def test_no_plaintext_stays(store: PageStore, damaged: int | None) -> None:
    checker = Checker(PAGE)
    with store.pin() as pin:
        page_nos, entries = all_of(pin)
        batch = pin.read(page_nos, entries)
        if damaged is not None:
            batch.ciphertext[damaged * PAGE] ^= 1
            with pytest.raises(UnreadableError):
                checker.check(store._state.sessions, batch)
        else:
            checker.check(store._state.sessions, batch)
    assert not any(checker._scratch)


def test_more_than_the_scratch_holds(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit({number: bytes([number]) * PAGE for number in range(PAGES)})  # one session
    monkeypatch.setattr(checked, "SCRATCH_BYTES", 7 * PAGE)
    monkeypatch.setattr(checked, "_ZEROS", bytes(7 * PAGE))
    with store.pin() as pin:
        page_nos, entries = all_of(pin)
        batch = pin.read(page_nos, entries)
        Checker(PAGE).check(store._state.sessions, batch)
        batch.ciphertext[30 * PAGE] ^= 1
        with pytest.raises(UnreadableError) as caught:
            Checker(PAGE).check(store._state.sessions, batch)
    assert caught.value.index == 30
