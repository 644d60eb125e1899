"""The native reader of slots against pages sealed by the kernel: places, threads, faults, and what it refuses."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keystore.crypto.kernel import TAG_BYTES, PageKernel, choose
from keystore.crypto.protocols import SlotFault, SlotReader, SlotReading, U8Array
from keystore.crypto.secret import SecretKey
from keystore.format import layout
from keystore.format.entry import ENTRY, EntryArray, U64Array, encode_aad, encode_aads

SIZE = 4096
COUNT = 300
"""More than one piece of 256 KiB."""
ORIGINS = (b"a" * 16, b"b" * 16)


@pytest.fixture(scope="module")
def kernel() -> PageKernel:
    return choose("native")


class Sealed:
    """Pages in slots in no order, under two keys, with holes among them."""

    def __init__(self, kernel: PageKernel, path: Path) -> None:
        self.path, self.keys = path, [SecretKey.generate() for _ in ORIGINS]
        self.numbers = np.arange(1000, 1000 + COUNT, dtype=np.uint64)
        self.entries: EntryArray = np.zeros(COUNT, dtype=ENTRY)
        chosen = random.Random(7)
        slots = list(range(3, 3 + COUNT))
        for at in range(0, COUNT, 50):  # runs of adjacent slots, in another order than the pages
            slots[at : at + 50] = chosen.sample(slots[at : at + 50], 50) if at % 100 else slots[at : at + 50]
        self.entries["slot"], self.entries["session"] = slots, [chosen.randrange(2) + 5 for _ in slots]
        self.entries["nonce"][:, :8] = self.numbers.view(np.uint8).reshape(-1, 8)
        self.plain = np.frombuffer(random.Random(8).randbytes(COUNT * SIZE), dtype=np.uint8).reshape(COUNT, SIZE).copy()
        with path.open("wb") as file:
            for index in range(COUNT):
                file.seek(int(self.entries["slot"][index]) * SIZE)
                file.write(self._seal(kernel, index))
        for index in range(0, COUNT, 31):
            self.entries[index] = np.zeros((), dtype=ENTRY)
            self.plain[index] = 0

    def _seal(self, kernel: PageKernel, index: int) -> bytes:
        session, out = int(self.entries["session"][index]) - 5, bytearray(SIZE + TAG_BYTES)
        nonces, tags = self.entries["nonce"][index : index + 1].copy(), np.empty((1, TAG_BYTES), dtype=np.uint8)
        aads = encode_aads(layout.TREE_PAGES, 0, ORIGINS[session], self.numbers[index : index + 1])
        kernel.seal_pages(self.keys[session], self.plain[index].tobytes(), SIZE, nonces, aads, out, tags)
        self.entries["tag"][index] = tags[0]
        return bytes(out[:SIZE])

    def admit(self, reader: SlotReader) -> None:
        for number, (key, origin) in enumerate(zip(self.keys, ORIGINS, strict=True)):
            reader.admit(number + 5, key, encode_aad(layout.TREE_PAGES, 0, origin, 0))

    def begin(self, reader: SlotReader, out: memoryview, threads: int = 1) -> SlotReading | int:
        return reader.begin(rows(self.entries), rows(self.numbers), out, threads)


def rows(array: EntryArray | U64Array) -> U8Array:
    return array.view(np.uint8).reshape(len(array), -1)


@pytest.fixture
def sealed(kernel: PageKernel, tmp_path: Path) -> Sealed:
    return Sealed(kernel, tmp_path / "f")


@pytest.fixture
def reader(kernel: PageKernel, sealed: Sealed) -> Iterator[SlotReader]:
    fd = os.open(sealed.path, os.O_RDONLY)
    reader = kernel.slot_reader(fd, SIZE)
    assert reader is not None
    sealed.admit(reader)
    yield reader
    reader.close()
    os.close(fd)


def opened(begun: SlotReading | int) -> tuple[int, int, int] | None:
    assert not isinstance(begun, int)
    return begun.finish()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_pages_come_out_in_their_places(sealed: Sealed, reader: SlotReader, threads: int) -> None:
    out = memoryview(bytearray(b"\xff" * (COUNT * SIZE)))
    begun = sealed.begin(reader, out, threads)
    assert opened(begun) is None
    assert out == sealed.plain.tobytes()
    out[:] = bytes(len(out))
    assert opened(begun) is None
    assert not any(out)


def test_one_page_is_the_same_both_ways(sealed: Sealed, reader: SlotReader) -> None:
    for index in (1, 2, 60, 299):
        entry, number = sealed.entries[index].tobytes(), int(sealed.numbers[index])
        out = bytearray(SIZE)
        assert reader.read_page(entry, number) == sealed.plain[index].tobytes()
        assert reader.read_page_into(entry, number, memoryview(out)) == 0
        assert out == sealed.plain[index].tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("part", ["tag", "nonce", "number", "session", "ciphertext"])
@pytest.mark.parametrize("index", [1, 70, 299])
def test_a_page_that_was_changed_is_named(
    sealed: Sealed, reader: SlotReader, index: int, part: str, threads: int
) -> None:
    """No plaintext of it is left, pages before it are whole, and one call says the same as the other."""
    if part == "ciphertext":
        with sealed.path.open("r+b") as file:
            file.seek(int(sealed.entries["slot"][index]) * SIZE + 9)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 128]))
    elif part == "number":
        sealed.numbers[index] += 1
    elif part == "session":
        sealed.entries["session"][index] = 11 - sealed.entries["session"][index]
    else:
        sealed.entries[part][index][0] ^= 1
    out = memoryview(bytearray(b"\xff" * (COUNT * SIZE)))
    found = opened(sealed.begin(reader, out, threads))
    assert found is not None
    assert found[:2] == (index, SlotFault.TAG_MISMATCH)
    assert index - 64 < found[2] <= index
    assert out[: found[2] * SIZE] == sealed.plain.tobytes()[: found[2] * SIZE]
    assert not any(out[index * SIZE : (index + 1) * SIZE])
    entry, number = sealed.entries[index].tobytes(), int(sealed.numbers[index])
    one = bytearray(b"\xff" * SIZE)
    assert reader.read_page(entry, number) == SlotFault.TAG_MISMATCH
    assert reader.read_page_into(entry, number, memoryview(one)) == SlotFault.TAG_MISMATCH
    assert one == bytes(SIZE)


def test_a_slot_beyond_the_end_is_named(sealed: Sealed, reader: SlotReader) -> None:
    """Also one so far that no file could have it, and where it comes after others of one read."""
    out = memoryview(bytearray(COUNT * SIZE))
    for slot in (COUNT + 3, 1 << 52, (1 << 64) - 1):
        sealed.entries["slot"][100] = slot
        found = opened(sealed.begin(reader, out))
        assert found is not None
        assert found[:2] == (100, SlotFault.FILE_ENDS)
    os.truncate(sealed.path, 20 * SIZE + 5)
    found = opened(sealed.begin(reader, out))
    assert found is not None
    assert int(sealed.entries["slot"][found[0]]) == 20
    assert found[1:] == (SlotFault.FILE_ENDS, 0)
    assert not any(out[: 64 * SIZE])


def test_a_session_is_admitted_first(sealed: Sealed, reader: SlotReader) -> None:
    entry, number = sealed.entries[1].tobytes(), int(sealed.numbers[1])
    out = memoryview(bytearray(COUNT * SIZE))
    begun = sealed.begin(reader, out)
    reader.forget()
    assert sealed.begin(reader, out) in (5, 6)
    assert reader.read_page(entry, number) == SlotFault.SESSION_UNKNOWN
    assert reader.read_page_into(entry, number, out[:SIZE]) == SlotFault.SESSION_UNKNOWN
    assert not any(out)
    assert opened(begun) is None  # what was begun keeps its keys
    assert out == sealed.plain.tobytes()
    sealed.keys[0].wipe()
    with pytest.raises(ValueError, match="wiped"):
        reader.admit(5, sealed.keys[0], bytes(40))


def test_more_sessions_than_are_kept_are_admitted_anew(sealed: Sealed, reader: SlotReader) -> None:
    for number in range(100, 164):
        reader.admit(number, sealed.keys[0], bytes(40))
    assert reader.read_page(sealed.entries[1].tobytes(), 1001) == SlotFault.SESSION_UNKNOWN
    sealed.admit(reader)
    assert reader.read_page(sealed.entries[1].tobytes(), 1001) == sealed.plain[1].tobytes()


def test_nothing_is_read_after_the_close(sealed: Sealed, reader: SlotReader) -> None:
    out = memoryview(bytearray(COUNT * SIZE))
    begun = sealed.begin(reader, out)
    reader.close()
    with pytest.raises(ValueError, match="the file is closed"):
        opened(begun)
    with pytest.raises(ValueError, match="the file is closed"):
        reader.read_page(sealed.entries[1].tobytes(), 1001)
    assert not any(out)


def test_what_is_stopped_is_not_written(sealed: Sealed, reader: SlotReader) -> None:
    out = memoryview(bytearray(COUNT * SIZE))
    begun = sealed.begin(reader, out, 4)
    assert not isinstance(begun, int)
    begun.stop()
    out[:] = bytes(len(out))
    assert opened(begun) is None
    assert not any(out)


def test_what_the_system_refuses_is_an_os_error(kernel: PageKernel, sealed: Sealed) -> None:
    fd = os.open(sealed.path, os.O_WRONLY)
    try:
        reader = kernel.slot_reader(fd, SIZE)
        assert reader is not None
        sealed.admit(reader)
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            opened(sealed.begin(reader, memoryview(bytearray(COUNT * SIZE))))
        assert caught.value.errno == 9
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("width", "count", "length", "found"),
    [
        (39, COUNT, COUNT * SIZE, r"entries has shape \[300, 39\]; \(n, 40\) is needed"),
        (40, COUNT - 1, COUNT * SIZE, r"numbers has shape \[300, 8\]; \(299, 8\) is needed"),
        (40, COUNT, COUNT * SIZE - 1, "out has 1228799 bytes; 1228800 are needed"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(
    sealed: Sealed, reader: SlotReader, width: int, count: int, length: int, found: str
) -> None:
    out = memoryview(bytearray(length))
    with pytest.raises(ValueError, match=found):
        reader.begin(np.ones((count, width), dtype=np.uint8), rows(sealed.numbers), out, 1)
    assert not any(out)


def test_other_lengths_are_refused(sealed: Sealed, reader: SlotReader) -> None:
    entry = sealed.entries[1].tobytes()
    for call in (
        lambda: reader.read_page(entry[:39], 1001),
        lambda: reader.read_page_into(entry, 1001, memoryview(bytearray(SIZE + 1))),
        lambda: reader.read_page_into(entry, 1001, memoryview(bytes(SIZE))),
        lambda: reader.admit(5, sealed.keys[0], bytes(39)),
        lambda: sealed.begin(reader, memoryview(bytes(COUNT * SIZE))),
    ):
        with pytest.raises(ValueError, match=r"bytes|read-only"):
            call()
