"""Key bytes: hidden, compared in constant time, wiped; and the memory they lie in."""

import copy
import ctypes
import gc
import mmap
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.crypto import locked
from keystore.crypto.locked import SecretMemory
from keystore.crypto.secret import SecretKey

KEY = bytes(range(32))


def address_of(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(view))


def flags_at(address: int) -> set[str]:
    """Return what the system says of the memory at an address (proc(5), smaps, VmFlags)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        fields = line.split()
        if "-" in fields[0] and not fields[0].endswith(":"):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            inside = start <= address < end
        elif inside and fields[0] == "VmFlags:":
            return set(fields[1:])
    raise AssertionError("the address is in no map")


def test_a_key_never_shows() -> None:
    key = SecretKey(KEY)
    for text in (repr(key), str(key), f"{key}"):
        assert text == "<SecretKey of 32 bytes>"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError):
            attempt(key)


def test_keys_compare_by_content_and_only_with_keys() -> None:
    assert SecretKey(KEY) == SecretKey(bytearray(KEY))
    assert SecretKey(KEY) != SecretKey(KEY[::-1])
    assert SecretKey(KEY) != SecretKey(KEY[:31])
    assert SecretKey(KEY) != KEY


def test_wiped_keys_are_zeros_and_refused() -> None:
    with SecretKey(KEY) as key:
        view = key.view()
        assert view.readonly
        assert view == KEY
    assert view == bytes(32)
    assert key.wiped
    key.wipe()
    with pytest.raises(ValueError, match="wiped"):
        key.view()


@pytest.mark.parametrize("length", [0, 1, 16, 32, 33, 64, 80, 4096, 100_000])
def test_keys_of_any_length_have_memory_of_their_own(length: int) -> None:
    keys = [SecretKey.generate(length) for _ in range(5)]
    assert {len(key) for key in keys} == {length}
    copies = [bytes(key.view()) for key in keys]
    keys[2].wipe()
    assert [bytes(key.view()) for key in keys if key is not keys[2]] == copies[:2] + copies[3:]
    if length >= 16:
        assert len(set(copies)) == 5


def test_without_the_c_library_random_bytes_come_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "_GETRANDOM", None)
    monkeypatch.setattr(os, "urandom", lambda length: b"r" * length)
    assert SecretKey.generate().view() == b"r" * 32


def test_a_forgotten_key_is_wiped_and_its_memory_used_again_once_no_view_is_left() -> None:
    memory = SecretMemory()
    piece = memory.take(32)
    piece[:] = KEY
    part = piece[4:8]
    place = address_of(piece)
    del piece
    gc.collect()
    others = [memory.take(32) for _ in range(locked.CHUNK_BYTES // 32 - 1)]
    assert place not in map(address_of, others)
    assert part == KEY[4:8]
    del part
    gc.collect()
    again = memory.take(32)
    assert address_of(again) == place
    assert again == bytes(32)
    assert memory.status().size == locked.CHUNK_BYTES


def test_key_memory_is_locked_and_in_no_core_dump() -> None:
    memory = SecretMemory()
    piece = memory.take(32)
    status, flags = memory.status(), flags_at(address_of(piece))
    assert status.undumped == status.size == locked.CHUNK_BYTES
    assert "dd" in flags
    assert ("lo" in flags) == (status.locked == status.size)


@pytest.mark.parametrize("mlock", [None, lambda address, length: -1], ids=["missing", "refused"])
def test_where_memory_cannot_be_locked_only_the_status_tells(
    monkeypatch: pytest.MonkeyPatch, mlock: Callable[[object, object], int] | None
) -> None:
    monkeypatch.setattr(locked, "_MLOCK", mlock)
    memory = SecretMemory()
    piece = memory.take(32)
    piece[:] = KEY
    assert piece == KEY
    assert memory.status().locked == 0


def test_where_dumps_cannot_be_told_only_the_status_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_DONTDUMP")
    memory = SecretMemory()
    assert len(memory.take(32)) == 32
    assert memory.status().undumped == 0


def test_threads_never_share_a_piece() -> None:
    memory = SecretMemory()
    wrong: list[memoryview] = []

    def work(mark: int) -> None:
        for _ in range(300):
            pieces = [memory.take(32) for _ in range(5)]
            for piece in pieces:
                piece[:] = bytes([mark]) * 32
            wrong.extend(piece for piece in pieces if piece != bytes([mark]) * 32)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_forked_child_has_keys_of_its_own() -> None:
    key = SecretKey(KEY)
    child = os.fork()
    if child == 0:
        fine = key.view() == KEY and len(SecretKey.generate()) == 32 and locked.MEMORY.status().locked < (1 << 40)
        key.wipe()
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert key.view() == KEY
