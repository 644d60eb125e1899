"""Files into a node and out: every length, from a file or a pipe, in two buffers that are wiped, with few commits."""

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore import durable
from keystore.errors import StoreDamagedError
from keystore.node import transfer
from keystore.node.transfer import copy_in, copy_out, writing
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys

PAGE = 4096
CHUNK = 4 * PAGE
LENGTHS = [0, 1, PAGE - 1, PAGE, PAGE + 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + PAGE + 7]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transfer, "CHUNK_BYTES", CHUNK)
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("keystore")] == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PageStore]:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=PAGE) as made:
        yield made


def content_of(length: int) -> bytes:
    return (b"".join(number.to_bytes(4, "little") for number in range(1, length // 4 + 2)))[:length]


class Dribble(io.RawIOBase):
    """A pipe that gives little at once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        part = self._content[: min(len(buffer), 1000)]
        buffer[: len(part)], self._content = part, self._content[len(part) :]
        return len(part)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_every_length_goes_in_and_out(store: PageStore, tmp_path: Path, kind: str, length: int) -> None:
    content = content_of(length)
    (tmp_path / "source").write_bytes(content)
    told: list[tuple[int, int]] = []
    with (tmp_path / "source").open("rb", buffering=0) if kind == "file" else Dribble(content) as source:
        copied = copy_in(store, source, lambda done, total: told.append((done, total)))  # type: ignore[arg-type]
    assert copied == (length, hashlib.sha256(content).hexdigest())
    assert (store.byte_length, store.page_count) == (length, -(-length // PAGE))
    assert told[-1:] == ([(length, length)] if length else [])
    assert told == sorted(told)
    out = io.BytesIO()
    assert copy_out(store, out) == copied
    assert out.getvalue() == content
    if length % PAGE:
        assert not any(store.read(store.page_count - 1)[length % PAGE :])


def test_a_file_takes_two_commits_whatever_its_length(store: PageStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(content_of(40 * CHUNK))
    with (tmp_path / "source").open("rb") as source:
        copy_in(store, source)
    assert store.sequence == 2


def test_what_is_read_beyond_the_last_page_is_zeros(store: PageStore) -> None:
    store.commit({0: b"x" * PAGE, 2: b"y" * PAGE}, page_count=3, byte_length=CHUNK + PAGE)
    out = io.BytesIO()
    copy_out(store, out)
    assert out.getvalue() == b"x" * PAGE + bytes(PAGE) + b"y" * PAGE + bytes(CHUNK - 2 * PAGE)


def test_a_store_that_is_cut_meanwhile_ends_in_zeros(store: PageStore) -> None:
    store.commit({number: bytes([number + 1]) * PAGE for number in range(12)}, byte_length=12 * PAGE)

    class Cutting(io.BytesIO):
        def write(self, data: memoryview, /) -> int:  # type: ignore[override]
            if store.page_count == 12:
                store.cut(5, byte_length=5 * PAGE)
            return super().write(data)

    out = Cutting()
    copy_out(store, out)
    assert out.getvalue() == b"".join(bytes([number + 1]) * PAGE for number in range(5)) + bytes(7 * PAGE)


def test_nothing_in_clear_stays_whatever_happens(
    store: PageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[transfer._Copied] = []

    class Seen(transfer._Copied):
        def __enter__(self) -> "Seen":
            made.append(self)
            return self

    monkeypatch.setattr(transfer, "_Copied", Seen)
    (tmp_path / "source").write_bytes(content_of(3 * CHUNK))
    with (tmp_path / "source").open("rb") as source:
        copy_in(store, source)
    copy_out(store, io.BytesIO())
    with (tmp_path / "s").open("r+b") as file:
        file.seek(3 * PAGE)
        file.write(bytes(2 * CHUNK))
    with pytest.raises(StoreDamagedError):
        copy_out(store, io.BytesIO())
    assert len(made) == 3
    assert not any(any(buffer) for copied in made for buffer in copied._buffers)


def test_an_exported_file_is_written_out_as_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(transfer, "WRITTEN_OUT_BYTES", 100)
    monkeypatch.setattr(durable, "begin_writing", lambda fd, at, length: told.append((at, os.fstat(fd).st_size)))
    with writing(tmp_path / "out", overwrite=False) as file:
        for _ in range(5):
            file.write(bytes(50))
    assert told == [(0, 100), (100, 200)]
    assert (tmp_path / "out").read_bytes() == bytes(250)
