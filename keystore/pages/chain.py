"""Reads what a store file says of itself: header, record chain, watermark (docs/FORMAT.md, section 8, steps 1 to 5).

Reads only. Leaves to others: acting on it (`recovery`).
"""

from dataclasses import dataclass, field

import numpy as np

from keystore.crypto.kernel import KERNEL, TagMismatchError
from keystore.errors import NotAStoreError, StoreDamagedError, WrongKeyError, cause_of
from keystore.format import block, layout
from keystore.format.block import NotABlockError, Prelude
from keystore.format.entry import encode_aads
from keystore.format.header import HeaderBody
from keystore.format.record import PAGES_SYNCED, RecordBody, SessionRecord
from keystore.pages.guarded import GuardedFile
from keystore.pages.protocols import AnchorState
from keystore.pages.sealed import read_raw
from keystore.pages.sessions import Session, SessionTable

CHAIN_MAX = 1 << 16
"""LIMIT: records followed from one header; a checkpoint comes at 4096, and an older header reaches twice as many."""


@dataclass(frozen=True)
class Link:
    """One record of the chain."""

    prelude: Prelude
    body: RecordBody
    tag: bytes
    runs: list[tuple[int, int]]


@dataclass
class Scan:
    """What steps 1 to 5 found."""

    header: Prelude
    body: HeaderBody
    links: list[Link]
    notes: list[str] = field(default_factory=list)
    touched: list[tuple[int, int]] = field(default_factory=list)

    @property
    def sequence(self) -> int:
        return self.links[-1].prelude.sequence if self.links else self.header.sequence

    @property
    def tag(self) -> bytes:
        return self.links[-1].tag if self.links else self.body.last_tag

    @property
    def places(self) -> tuple[int, int]:
        """Where the next two records were announced."""
        last = self.links[-1].body if self.links else self.body
        return last.next_place, last.later_place

    def tag_at(self, sequence: int) -> bytes | None:
        """Return the tag of record `sequence`, None where this chain does not tell."""
        if sequence == self.header.sequence:
            return self.body.last_tag
        at = sequence - self.header.sequence - 1
        return self.links[at].tag if 0 <= at < len(self.links) else None


class Scanner:
    """Steps 1 to 5 over one file; holds the keys it derived until `wipe`.

    Args:
        anchored: what the anchor says was acknowledged; it may know of later commits than the watermark.
    """

    def __init__(
        self, name: str, file: GuardedFile, sessions: SessionTable, anchored: AnchorState | None = None
    ) -> None:
        self._name, self._file, self._sessions, self._anchored = name, file, sessions, anchored
        self._opened: dict[SessionRecord, Session] = {}

    def wipe(self) -> None:
        for session in self._opened.values():
            session.close()

    def scan(self, store_id: bytes | None) -> Scan:
        """Find the newest state that the file proves.

        Raises:
            NotAStoreError, WrongKeyError, StoreDamagedError: as docs/FORMAT.md says in steps 1 to 5.
        """
        scan = self._newest_header(store_id)
        self._follow(scan)
        acknowledged = self._watermark(scan)
        self._drop_unfinished(scan, acknowledged)
        self._check_end(scan, *acknowledged)
        return scan

    # -- step 1 -------------------------------------------------------------------------------------------------------

    def _newest_header(self, store_id: bytes | None) -> Scan:
        found: list[tuple[Prelude, HeaderBody]] = []
        refused: list[tuple[int, NotABlockError | WrongKeyError]] = []
        for copy, offset in enumerate(layout.HEADER_OFFSETS):
            try:
                raw = read_raw(self._file, offset, block.HEADER)
                if raw.prelude.checkpoint % len(layout.HEADER_OFFSETS) != copy:
                    raise NotABlockError(f"header {raw.prelude.checkpoint} belongs in the other copy")
                body = HeaderBody.decode(raw.open(self._session(raw.prelude)))
                found.append((raw.prelude, body))
            except (NotABlockError, WrongKeyError) as error:
                refused.append((copy, error))
        if not found:
            raise self._no_header(refused)
        header, body = max(found, key=lambda each: each[0].checkpoint)
        if store_id is not None and header.store_id != store_id:
            text = f"it is store {header.store_id.hex()}, and {store_id.hex()} was expected under this name"
            raise StoreDamagedError(self._name, "store id", None, text)
        if self._file.size() < body.slot_count * header.page_size:
            text = f"{self._file.size()} bytes, and the header names {body.slot_count * header.page_size}"
            raise StoreDamagedError(self._name, "file length", None, text)
        causes = ((copy, cause_of(error).removeprefix(f"store {self._name}: ")) for copy, error in refused)
        scan = Scan(header, body, [], [f"header copy {copy} was invalid: {cause}" for copy, cause in causes])
        scan.touched.append((0, layout.RESERVED_BYTES))
        return scan

    def _no_header(
        self, refused: list[tuple[int, NotABlockError | WrongKeyError]]
    ) -> NotAStoreError | WrongKeyError | StoreDamagedError:
        for _, error in refused:
            if isinstance(error, WrongKeyError):
                return error
        texts = "; ".join(f"copy {copy}: {error}" for copy, error in refused)
        if self._file.size() < layout.RESERVED_BYTES or not self._has_magic():
            return NotAStoreError(f"{self._name} is not a page store ({texts}); it is unchanged")
        return StoreDamagedError(self._name, "header", None, texts)

    def _has_magic(self) -> bool:
        for offset in layout.HEADER_OFFSETS:
            magic = bytearray(len(layout.MAGIC))
            self._file.read(offset, memoryview(magic))
            if magic == layout.MAGIC:
                return True
        return False

    # -- step 2 -------------------------------------------------------------------------------------------------------

    def _follow(self, scan: Scan) -> None:
        while len(scan.links) < CHAIN_MAX:
            link = self._record_at(scan, scan.places[0], scan.sequence + 1)
            if link is None or link.body.previous_tag != scan.tag:
                return
            scan.touched.append((scan.places[0] * layout.BLOCK_BYTES, layout.BLOCK_BYTES))
            page_size = scan.header.page_size
            scan.touched += [(slot * page_size, count * page_size) for slot, count in link.runs]
            scan.links.append(link)
        raise StoreDamagedError(self._name, "commit record", scan.sequence, f"more than {CHAIN_MAX} records follow")

    def _record_at(self, scan: Scan, place: int, sequence: int) -> Link | None:
        offset = place * layout.BLOCK_BYTES
        if not layout.RESERVED_BYTES <= offset < self._file.size():
            return None
        try:
            raw = read_raw(self._file, offset, block.RECORD, scan.header.page_size)
            prelude = raw.prelude
            named = (prelude.store_id, prelude.epoch, prelude.sequence)
            if named != (scan.header.store_id, scan.header.epoch, sequence):
                return None
            body = RecordBody.decode(raw.open(self._session(prelude)))
        except (NotABlockError, WrongKeyError):
            return None
        return Link(prelude, body, raw.tag, raw.runs)

    # -- step 3 -------------------------------------------------------------------------------------------------------

    def _drop_unfinished(self, scan: Scan, acknowledged: tuple[int, bytes]) -> None:
        if not scan.links or scan.links[-1].body.flags & PAGES_SYNCED:
            return
        anchored = self._anchored and (self._anchored.sequence, self._anchored.tag)
        if (scan.sequence, scan.tag) in (acknowledged, anchored):
            return  # its sync returned, so a page that does not open is damage of that page, and reading it says so
        link, page_size = scan.links[-1], scan.header.page_size
        entries = link.body.changes["entry"]
        scan.touched += [(int(slot) * page_size, page_size) for slot in entries["slot"] if slot]
        if not self._pages_open(link, page_size):
            scan.links.pop()

    def _pages_open(self, link: Link, page_size: int) -> bool:
        present = link.body.changes[link.body.changes["entry"]["slot"] != 0]
        entries = present["entry"]
        if np.any(entries["session"] != link.body.session):
            return False
        session = self._session(link.prelude)
        aads = encode_aads(layout.TREE_PAGES, 0, session.record.origin, present["page"])
        ciphertext, plaintext = bytearray(page_size), bytearray(page_size)
        try:
            for at in range(len(present)):
                self._file.read(int(entries["slot"][at]) * page_size, memoryview(ciphertext))
                nonce, tag = entries["nonce"][at : at + 1].copy(), entries["tag"][at : at + 1].copy()
                KERNEL.open_pages(session.page_key, ciphertext, page_size, nonce, aads[at : at + 1], tag, plaintext)
        except (TagMismatchError, EOFError):
            return False
        finally:
            plaintext[:] = bytes(page_size)
        return True

    # -- steps 4 and 5 ------------------------------------------------------------------------------------------------

    def _watermark(self, scan: Scan) -> tuple[int, bytes]:
        """Return sequence and tag of the commit that was acknowledged last, as far as the file tells."""
        try:
            mark = read_raw(self._file, layout.WATERMARK_OFFSET, block.WATERMARK, scan.header.page_size)
            if mark.prelude.store_id != scan.header.store_id:
                raise NotABlockError("it belongs to another store")
            return mark.prelude.sequence, bytes(mark.open(self._session(mark.prelude)))
        except (NotABlockError, WrongKeyError) as error:
            raise StoreDamagedError(self._name, "watermark", None, str(error)) from None

    def _check_end(self, scan: Scan, acknowledged: int, tag: bytes) -> None:
        end = scan.sequence
        if self._record_at(scan, scan.places[1], end + 2) is not None:
            raise StoreDamagedError(self._name, "commit record", end + 1, f"record {end + 2} follows it")
        if acknowledged > end:
            text = f"commit {acknowledged} was acknowledged, and the file proves only {end}"
            raise StoreDamagedError(self._name, "commit record", end + 1, text)
        known = scan.tag_at(acknowledged)
        if known is not None and known != tag:
            text = "the watermark names another record of this number"
            raise StoreDamagedError(self._name, "commit record", acknowledged, text)

    def _session(self, prelude: Prelude) -> Session:
        key = self._sessions.record_of(prelude)
        if key not in self._opened:
            self._opened[key] = self._sessions.derive(key)
        return self._opened[key]
