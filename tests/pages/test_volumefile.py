"""The volume layer under a page store: it changes no byte that the store reads, and no rule of a torn disk."""

from random import Random
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.pages.protocols import BlockFile, Buffer
from keystore.pages.store import PageStore
from keystore.pages.volumefile import VolumeFile
from tests.pages.stores import CountedFile, StaticKeys, each_commit_marked
from tests.pages.workload import PAGE_BYTES, page_of

KEY = bytes(range(64))
SIZE = 3 * 4096


class RamFile:
    """A file in memory."""

    def __init__(self, size: int = SIZE) -> None:
        self.content = bytearray(size)

    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > len(self.content):
            raise EOFError
        buffer[:] = self.content[offset : offset + len(buffer)]

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        assert offset + len(data) <= len(self.content)
        self.content[offset : offset + len(data)] = data

    def extend(self, size: int, *, written: bool = False) -> None:
        self.content.extend(bytes(size - len(self.content)))

    def truncate(self, size: int) -> None:
        del self.content[size:]

    def sync(self) -> None:
        pass

    def evict(self, offset: int, length: int) -> None:
        pass

    def close(self) -> None:
        pass


def layered(file: BlockFile) -> VolumeFile:
    return VolumeFile(file, SecretKey(KEY))


def content(file: BlockFile) -> bytes:
    found = bytearray(file.size())
    file.read(0, memoryview(found))
    return bytes(found)


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(max_size=5000)), max_size=12))
def test_it_reads_as_the_plain_file_would(writes: list[tuple[int, bytes]]) -> None:
    plain, inner = RamFile(), RamFile()
    file = layered(inner)
    for offset, data in writes:
        data = data[: SIZE - offset]
        plain.write(offset, data)
        file.write(offset, data)
    assert content(file) == plain.content
    for offset, data in writes:
        part = bytearray(len(data[: SIZE - offset]))
        file.read(offset, memoryview(part))
        assert part == plain.content[offset : offset + len(part)]
    file.extend(SIZE + 8192)
    assert content(file) == plain.content + bytes(8192)
    file.truncate(4096)
    assert content(file) == plain.content[:4096]


def test_a_write_of_512_bytes_changes_no_other_sector_of_the_disk() -> None:
    counted = CountedFile(RamFile())
    file = layered(counted)
    file.write(0, bytes(range(256)) * (SIZE // 256))
    before = content(counted)
    counted.bytes.clear()
    file.write(512, b"w" * 512)
    after = content(counted)
    assert counted.bytes["write"] == 512
    assert counted.bytes["read"] == SIZE  # by `content`: the write itself read nothing
    assert (after[:512], after[1024:]) == (before[:512], before[1024:])
    assert after[512:1024] != before[512:1024]


def test_what_surrounds_an_unaligned_write_keeps_its_ciphertext() -> None:
    inner = RamFile()
    file = layered(inner)
    file.write(0, b"a" * SIZE)
    before = bytes(inner.content)
    file.write(4090, b"b" * 20)
    changed = [i for i in range(SIZE) if inner.content[i] != before[i]]
    assert min(changed) >= 4080
    assert max(changed) < 4112
    assert content(file) == b"a" * 4090 + b"b" * 20 + b"a" * (SIZE - 4110)


def test_threads_that_write_into_one_block_lose_nothing() -> None:
    file = layered(RamFile())
    file.write(0, bytes(SIZE))

    def write(at: int) -> None:
        for _ in range(200):
            file.write(at, bytes([at + 1]))

    threads = [Thread(target=write, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert content(file)[:5] == b"\1\2\3\4\0"


def test_a_store_under_it_shows_nothing_of_its_own_on_the_disk() -> None:
    keys, random, inner = StaticKeys(), Random(1), RamFile(0)
    pages = {number: page_of(random) for number in range(30)}
    with PageStore.create(layered(inner), name="s", keys=keys, page_size=PAGE_BYTES) as store:
        store.commit(dict(pages))
        store_id = store.store_id
    assert b"CMKPAGES" not in inner.content
    assert store_id not in inner.content
    assert b"CMKPAGES" in content(layered(inner))
    with PageStore.open(layered(inner), name="s", keys=keys) as store:
        assert store.verify().damaged == []
        assert {number: store.read(number) for number in pages} == pages


class TracedFile(CountedFile):
    """Keeps what is done to the file: what, where, how many blocks of 16 bytes."""

    def __init__(self, file: BlockFile) -> None:
        super().__init__(file)
        self.trace: list[tuple[str, int, int]] = []

    def write(self, offset: int, data: Buffer) -> None:
        self.trace.append(("write", offset, -(-len(data) // 16)))
        super().write(offset, data)

    def extend(self, size: int, *, written: bool = False) -> None:
        self.trace.append(("extend", size, 0))
        super().extend(size, written=written)

    def sync(self) -> None:
        self.trace.append(("sync", 0, 0))
        super().sync()


def test_every_operation_of_a_store_reaches_the_disk_in_its_place_and_order() -> None:
    """So what is proved of the store on a disk is true of it on the layer."""
    plain, inner = TracedFile(RamFile(0)), TracedFile(RamFile(0))
    for file in (plain, layered(inner)):
        random = Random(3)
        with (
            each_commit_marked(),
            PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE_BYTES) as store,
        ):
            for _ in range(3):
                store.commit({number: page_of(random) for number in range(200)})
    assert plain.trace == inner.trace
    assert plain.calls["sync"] >= 6
