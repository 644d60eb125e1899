"""Writes and reads packs: sealed pages copied as they are, an index sealed under the pack's own key before each batch.

Leaves to others: opening pages (the store that adopts them does), and where packs lie (`target`).

SAFETY: a pack key is random and used for the indexes of one pack; `wrap` gives every index a key and nonce of its own.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import OVERHEAD_BYTES, WrapDamagedError, unwrap, wrap
from keystore.errors import SnapshotDamagedError, WrongKeyError
from keystore.format.cursor import NotDecodableError
from keystore.format.pack import (
    HEADER_BYTES,
    PRELUDE_BYTES,
    BatchPrelude,
    PackHeader,
    decode_index,
    encode_index,
)
from keystore.pages.reading import Batch
from keystore.snapshots.target import PackWriter

INDEX_PURPOSE = "snapshot pack index 1"


class Reader(Protocol):
    """A stream of bytes; short only at its end."""

    def read(self, length: int, /) -> bytes: ...

    def readinto(self, buffer: memoryview, /) -> int: ...


@dataclass(frozen=True)
class PackContent:
    """What was written into a pack, for the manifest."""

    pages: int
    batches: int


def write_pack(
    out: PackWriter,
    header: PackHeader,
    key: SecretKey,
    batches: Iterable[Batch],
    progress: Callable[[int], None],
) -> PackContent:
    """Write `batches` behind `header`; `progress` is told the bytes of pages of each batch."""
    encoded_header = header.encode()
    out.write(encoded_header)
    pages = position = 0
    for batch in batches:
        rows = encode_index(batch.page_nos, batch.entries)
        prelude = BatchPrelude(position, len(batch.page_nos), len(rows) + OVERHEAD_BYTES).encode()
        out.write(prelude + wrap(key, rows, INDEX_PURPOSE, encoded_header, prelude))
        out.write(batch.ciphertext)
        pages, position = pages + len(batch.page_nos), position + 1
        progress(len(batch.ciphertext))
    return PackContent(pages, position)


def read_pack(file: Reader, header: PackHeader, key: SecretKey, expected: PackContent, where: str) -> Iterator[Batch]:
    """Yield the batches of a pack after checking everything but the pages themselves.

    The ciphertext of a batch stands in one buffer that the next batch overwrites.

    Args:
        file: at its start; read once, front to back.
        where: names snapshot and store in messages.

    Raises:
        SnapshotDamagedError: anything is not as it was written; what was yielded before it may be used for nothing.
    """
    try:
        yield from _read_batches(file, header, key, expected)
    except (NotDecodableError, WrapDamagedError, WrongKeyError, EOFError) as error:
        raise SnapshotDamagedError(
            f"{where}: pack {header.pack_id.hex()} is damaged: {error}. Nothing was restored; use another snapshot."
        ) from None


def _read_batches(file: Reader, header: PackHeader, key: SecretKey, expected: PackContent) -> Iterator[Batch]:
    encoded_header = _read(file, HEADER_BYTES, "its header")
    if PackHeader.decode(encoded_header) != header:
        raise NotDecodableError("it belongs to another snapshot or store")
    buffer = bytearray()
    pages, last_page = 0, -1
    for position in range(expected.batches):
        encoded_prelude = _read(file, PRELUDE_BYTES, f"batch {position}")
        prelude = BatchPrelude.decode(encoded_prelude, position, header.page_size, OVERHEAD_BYTES)
        sealed = _read(file, prelude.index_bytes, f"the index of batch {position}")
        page_nos, entries = decode_index(unwrap(key, sealed, INDEX_PURPOSE, encoded_header, encoded_prelude))
        if int(page_nos[0]) <= last_page or (len(page_nos) > 1 and not np.all(page_nos[1:] > page_nos[:-1])):
            raise NotDecodableError(f"pages of batch {position} do not rise")
        if len(buffer) < prelude.pages * header.page_size:
            buffer = bytearray(prelude.pages * header.page_size)
        view = memoryview(buffer)[: prelude.pages * header.page_size]
        if file.readinto(view) != len(view):
            raise EOFError(f"it ends inside batch {position}")
        pages, last_page = pages + prelude.pages, int(page_nos[-1])
        yield Batch(page_nos, entries, view)
    if pages != expected.pages or file.read(1):
        raise NotDecodableError(f"{pages} pages, or more bytes, where {expected.pages} pages were expected")


def _read(file: Reader, length: int, what: str) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise EOFError(f"it ends inside {what}")
    return data
