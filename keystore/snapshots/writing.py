"""Writes the packs of one store: pages as they are, map nodes sealed under the key of their pack.

Leaves to others: what goes into them (`difference`), and removing them where the snapshot fails (`create`).

SAFETY: a pack key is random and seals the nodes of one pack; `wrap` gives each node a key and nonce of its own.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.format.entry import EntryArray, U64Array
from keystore.format.manifest import PackObject
from keystore.format.pack import NODE_ROW, PACK_BYTES_MAX, SOURCE_BYTES, PackHeader, encode_node
from keystore.keys.volume import VolumeKey
from keystore.objects.place import ObjectWriter, Place
from keystore.snapshots.ids import new_id
from keystore.snapshots.keys import seal_node, wrap_pack_key
from keystore.snapshots.names import pack_name
from keystore.snapshots.reading import KeyedPack
from keystore.snapshots.volume import VolumePackWriter


@dataclass
class _Open:
    """The pack being written."""

    number: int
    pack_id: bytes
    out: ObjectWriter | VolumePackWriter
    key: SecretKey
    offset: int = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`; return where it begins."""
        at = self.offset
        self.out.write(data)
        self.offset += len(data)
        return at


class StorePacks:
    """Packs of one store, one after the other; a context manager that forgets the last one if it was not finished."""

    def __init__(
        self,
        place: Place,
        store_id: bytes,
        page_size: int,
        map_key: SecretKey,
        volume: VolumeKey | None,
        first_number: int,
        announce: Callable[[bytes], None],
        now_ns: Callable[[], int],
    ) -> None:
        """`announce` is told the id of each pack before it can appear."""
        self._place, self._store_id, self._page_size = place, store_id, page_size
        self._map_key, self._volume = map_key, volume
        self._number, self._announce, self._now_ns = first_number, announce, now_ns
        self._open: _Open | None = None
        self._written: list[KeyedPack] = []
        self._settled = 0
        self._stack = ExitStack()

    def add_pages(self, ciphertext: memoryview) -> tuple[int, U64Array]:
        """Write pages; return the number of their pack, and the offset of each in it."""
        pack = self._with_room(len(ciphertext))
        first = pack.write(ciphertext)
        return pack.number, np.arange(first, pack.offset, self._page_size, dtype=np.uint64)

    def add_node(self, level: int, number: int, source: bytes, rows: EntryArray) -> tuple[int, bytes]:
        """Seal and write a node of the map, made from the store's node of the entry `source`.

        Returns:
            The number of its pack, and its row.
        """
        content = encode_node(rows)
        pack = self._with_room(len(content))
        sealed = seal_node(pack.key, content, pack.pack_id, level, number, pack.offset)
        row = np.zeros(1, dtype=NODE_ROW)
        row["pack"], row["length"], row["offset"] = pack.number, len(sealed), pack.write(sealed)
        return pack.number, source + row.tobytes()[SOURCE_BYTES:]

    @property
    def full(self) -> bool:
        """Whether a pack was filled since the last `finish`, or nearly: time to note what is done."""
        nearly = self._open is not None and self._open.offset >= PACK_BYTES_MAX - PACK_BYTES_MAX // 8
        return nearly or len(self._written) > self._settled

    def finish(self) -> list[KeyedPack]:
        """Let the pack appear that is being written; return all so far."""
        if self._open is not None:
            self._finish(self._open)
        self._settled = len(self._written)
        return list(self._written)

    def _with_room(self, length: int) -> _Open:
        if self._open is not None and self._open.offset + length > PACK_BYTES_MAX:
            self._finish(self._open)
        if self._open is None:
            self._open = self._begin()
        return self._open

    def _begin(self) -> _Open:
        pack_id, number = new_id(self._now_ns()), self._number
        self._number += 1
        self._announce(pack_id)
        out: ObjectWriter | VolumePackWriter = self._stack.enter_context(self._place.create(pack_name(pack_id)))
        if self._volume is not None:
            out = VolumePackWriter(out, self._volume.file_key("pack", pack_id))
        pack = _Open(number, pack_id, out, self._stack.enter_context(SecretKey.generate()))
        pack.write(PackHeader(self._page_size, pack_id, self._store_id).encode())
        return pack

    def _finish(self, pack: _Open) -> None:
        byte_length, digest = pack.out.finish()
        wrapped = wrap_pack_key(self._map_key, pack.key, pack.pack_id, self._store_id)
        self._written.append(KeyedPack(pack.number, PackObject(pack.pack_id, byte_length, digest), wrapped))
        self._open = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open = None
        self._stack.__exit__(*error)  # type: ignore[arg-type]
