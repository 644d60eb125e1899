"""Which version of each page of a store the log has last, and where; in memory that is bounded by the pages changed."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from keystore.format.log_body import LogRecord, Rows

PLACED = np.dtype(
    [
        ("page", "<u8"),
        ("segment", "<u8"),
        ("offset", "<u8"),
        ("session", "<u4"),
        ("nonce", "u1", (12,)),
        ("tag", "u1", (16,)),
    ]
)
"""A page, and where its ciphertext lies: the number of a segment, and bytes from the start of its pages. Session 0: a
hole. 56 bytes."""

PlacedArray = npt.NDArray[np.void]
FOLD_ROWS = 1 << 18
"""LIMIT: rows that wait before former versions of the same page are dropped."""


class Overlay:
    """The pages of one store that the log has; later ones take the place of earlier ones."""

    def __init__(self, page_count: int) -> None:
        self.page_count = page_count
        self.kept_below = page_count
        """Pages of the snapshot from here on were cut off once, and count no more."""
        self._folded: PlacedArray = np.empty(0, dtype=PLACED)
        self._waiting: list[PlacedArray] = []
        self._rows = 0

    def add(self, record: LogRecord, rows: Rows, segment: int, offset: int, page_size: int) -> None:
        """Apply a record, with `rows` in place of its own, whose pages begin at `offset` of a segment."""
        if record.page_count < self.page_count:
            self._cut(record.page_count)
        self.page_count = record.page_count
        placed = np.zeros(len(rows), dtype=PLACED)
        for name in ("page", "session", "nonce", "tag"):
            placed[name] = rows[name]
        there = placed["session"] != 0
        placed["segment"] = segment
        placed["offset"][there] = offset + np.arange(np.count_nonzero(there), dtype=np.uint64) * page_size
        self._waiting.append(placed)
        self._rows += len(placed)
        if self._rows >= FOLD_ROWS:
            self._fold()

    def pages(self) -> PlacedArray:
        """Return the pages, holes too, ascending."""
        self._fold()
        return self._folded

    def in_place_order(self) -> Iterator[PlacedArray]:
        """Yield the pages that are no holes, segment by segment, each in the order in which they lie there."""
        pages = self.pages()
        pages = pages[pages["session"] != 0]
        pages = pages[np.lexsort((pages["offset"], pages["segment"]))]
        breaks = np.flatnonzero(np.diff(pages["segment"].astype(np.int64))) + 1
        yield from (part for part in np.split(pages, breaks) if len(part))

    def _cut(self, page_count: int) -> None:
        self._fold()
        self._folded = self._folded[self._folded["page"] < page_count]
        self.kept_below = min(self.kept_below, page_count)

    def _fold(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate([self._folded, *self._waiting])[::-1]  # the last version first: `unique` takes that
        _, first = np.unique(rows["page"], return_index=True)
        self._folded, self._waiting, self._rows = rows[first], [], 0
