"""Reads and seals blocks of the three trees (docs/FORMAT.md, section 4), with a cache of opened nodes.

Invariant: nothing leaves `read` whose tag did not match under its place, level, tree and origin.
"""

from collections import OrderedDict
from threading import Lock

from keystore.crypto.kernel import TagMismatchError, open_block, seal_block
from keystore.errors import StoreDamagedError
from keystore.format import layout
from keystore.format.entry import encode_aad, entry_nonce, entry_session, entry_slot, entry_tag
from keystore.pages.guarded import GuardedFile
from keystore.pages.sessions import Session, SessionTable

NODE_CACHE_BYTES = 16 << 20
"""LIMIT: bytes of opened nodes kept; enough for the leaves over 6.7 GB of 16 KiB pages."""


class Blocks:
    """The tree blocks of one store, by entry."""

    def __init__(self, name: str, file: GuardedFile, page_size: int, sessions: SessionTable) -> None:
        self.name, self.file, self.page_size, self.sessions = name, file, page_size, sessions
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cache_lock = Lock()

    def read(self, tree: int, level: int, number: int, entry: bytes) -> bytes:
        """Return the content of a block of metadata (never a page): `page_size` bytes.

        Raises:
            StoreDamagedError: its tag does not match, its session is unknown, or its slot is not in the file.
        """
        with self._cache_lock:
            cache = self._cache  # `forget_all` may put another one in its place meanwhile
            content = cache.get(entry)
            if content is not None:
                cache.move_to_end(entry)
                return content
        content = self.read_from_disk(tree, level, number, entry)
        self.remember(entry, content)
        return content

    def remember(self, entry: bytes, content: bytes) -> None:
        """Keep an opened node; an entry names one version of one block, so it never goes stale."""
        with self._cache_lock:
            self._cache[entry] = content
            while len(self._cache) * self.page_size > max(NODE_CACHE_BYTES, 4 * self.page_size):
                self._cache.popitem(last=False)

    def forget_all(self) -> None:
        """Drop every opened node; also right in a forked child, where a thread that is gone may hold the lock."""
        self._cache_lock = Lock()
        self._cache = OrderedDict()

    def read_from_disk(self, tree: int, level: int, number: int, entry: bytes) -> bytes:
        """As `read`, but never from the cache."""
        part = layout.TREE_NAMES[tree]
        ciphertext = bytearray(self.page_size)
        try:
            session = self.sessions.get(entry_session(entry))
            self.file.read(entry_slot(entry) * self.page_size, memoryview(ciphertext))
            aad = encode_aad(tree, level, session.record.origin, number)
            plain = open_block(session.metadata_key, entry_nonce(entry), ciphertext, entry_tag(entry), aad)
        except KeyError:
            raise StoreDamagedError(self.name, part, number, "it names an unknown session") from None
        except EOFError:
            raise StoreDamagedError(self.name, part, number, "the file ends before it") from None
        except TagMismatchError:
            found = f"the tag of slot {entry_slot(entry)} (level {level}) does not match its parent"
            raise StoreDamagedError(self.name, part, number, found) from None
        return bytes(plain)

    def seal(
        self, tree: int, level: int, number: int, content: bytes, session: Session, slot: int
    ) -> tuple[bytes, bytes]:
        """Seal a block of metadata for `slot`; return its entry and its ciphertext."""
        nonce = session.nonce()
        aad = encode_aad(tree, level, session.record.origin, number)
        sealed = seal_block(session.metadata_key, nonce, content, aad)
        ciphertext, tag = sealed[: self.page_size], sealed[self.page_size :]
        entry = slot.to_bytes(8, "little") + session.record.number.to_bytes(4, "little") + nonce + tag
        self.remember(entry, content)
        return entry, ciphertext


class SlotWriter:
    """Writes slots, adjacent ones together."""

    RUN_BYTES_MAX = 1 << 20
    """LIMIT: bytes gathered before they are written."""

    def __init__(self, file: GuardedFile, page_size: int) -> None:
        self._file, self._page_size = file, page_size
        self._first = 0
        self._run: list[bytes] = []

    def put(self, slot: int, ciphertext: bytes) -> None:
        if self._run and (
            slot != self._first + len(self._run) or len(self._run) * self._page_size >= self.RUN_BYTES_MAX
        ):
            self.flush()
        if not self._run:
            self._first = slot
        self._run.append(ciphertext)

    def flush(self) -> None:
        if self._run:
            self._file.write(self._first * self._page_size, b"".join(self._run))
            self._run = []
