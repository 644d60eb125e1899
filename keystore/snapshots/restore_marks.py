"""Marks of the snapshots that are being restored, so that nobody deletes one under its restore.

    restoring/<snapshot id>-<until, 20 digits>-<16 hex>      without content; `until` in nanoseconds since 1970

A mark ends by itself, because who made it may be dead; who restores for longer makes it anew. A place that cannot be
written can still be restored from, without a mark.

Order (S-23): a restore makes its mark, then sees that the manifest is there. Who deletes a snapshot removes its
manifest, and looks for marks after that too, before any pack goes.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

from keystore.errors import PlaceError, SnapshotMissingError
from keystore.objects.place import Place
from keystore.progress import Progress
from keystore.snapshots.names import manifest_name

RESTORING = "restoring/"
MARK_NS = 3600 * 1_000_000_000
"""How long a mark holds; it is made anew when half of that is over."""
AHEAD_NS_MAX = 24 * MARK_NS
"""LIMIT: how far a mark may reach; one of a machine whose clock is wrong keeps no snapshot for ever."""

_MARK = re.compile(RESTORING + r"([0-9a-f]{32})-([0-9]{20})-[0-9a-f]{16}")


class BeingRestored:
    """A snapshot is being restored while the block runs; to be entered before its packs are read.

    Attributes:
        marked: whether the place has a mark, so that the snapshot is not deleted meanwhile.
    """

    def __init__(self, place: Place, snapshot_id: bytes, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._place, self._snapshot_id, self._now_ns = place, snapshot_id, now_ns
        self._name, self._process, self._renew_ns = "", os.getpid(), 0

    @property
    def marked(self) -> bool:
        return bool(self._name)

    def renew(self) -> None:
        """Make the mark anew if half of its time is over; to be called now and then."""
        now_ns = self._now_ns()
        if now_ns < self._renew_ns:
            return
        self._renew_ns = now_ns + MARK_NS // 2
        former = self._name
        name = f"{RESTORING}{self._snapshot_id.hex()}-{now_ns + MARK_NS:020}-{secrets.token_hex(8)}"
        with suppress(PlaceError):
            self._place.put(name, b"")
            self._name = name
            if former:
                self._place.remove(former)

    def renewing(self, progress: Progress) -> Progress:
        """Return a progress that keeps the mark alive and tells `progress`."""

        def tell(done: int, total: int) -> None:
            self.renew()
            progress(done, total)

        return tell

    def __enter__(self) -> Self:
        """Make the mark.

        Raises:
            SnapshotMissingError: the snapshot was deleted meanwhile.
            PlaceError: the place cannot be read.
        """
        self.renew()
        try:
            if self._place.length(manifest_name(self._snapshot_id)) is None:
                raise SnapshotMissingError(
                    f"snapshot {self._snapshot_id.hex()} in {self._place} was deleted just now. Nothing was restored; "
                    "choose another."
                )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._name and os.getpid() == self._process:  # a forked child leaves its parent's mark alone
            with suppress(PlaceError):
                self._place.remove(self._name)


def being_restored(place: Place, now_ns: int) -> set[bytes]:
    """Return the ids of the snapshots that are being restored.

    Raises:
        PlaceError: the place cannot be listed.
    """
    return {snapshot_id for _, snapshot_id, until_ns in _marks(place) if now_ns < until_ns <= now_ns + AHEAD_NS_MAX}


def remove_lapsed_marks(place: Place, now_ns: int) -> int:
    """Remove the marks whose time is over, and return how many; errors as `being_restored`."""
    lapsed = [name for name, _, until_ns in _marks(place) if not now_ns < until_ns <= now_ns + AHEAD_NS_MAX]
    for name in lapsed:
        place.remove(name)
    return len(lapsed)


def _marks(place: Place) -> Iterator[tuple[str, bytes, int]]:
    for named in place.names(RESTORING):
        mark = _MARK.fullmatch(named.name)
        if mark is not None:
            yield named.name, bytes.fromhex(mark[1]), int(mark[2])
