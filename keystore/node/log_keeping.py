"""The point-in-time log of an open node: enabled, disabled, and told of every store and of the catalogue.

Leaves to others: how segments get to their place (`keystore.node.archiver`), and restoring from them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keystore.errors import InputError, LogError
from keystore.format.log_body import Event
from keystore.format.manifest import NEVER, NO_LOG, LogPosition
from keystore.keys.hierarchy import Keystore, LogSetting, StoreRecord
from keystore.node import archiver
from keystore.node.archive_queue import StoreWitness
from keystore.node.archiver import Archiver, ArchiveStatus
from keystore.node.custody import Custody
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.places import require_place_of_snapshots
from keystore.node.stores import Stores
from keystore.objects.directory import DirectoryPlace
from keystore.objects.opening import open_place
from keystore.objects.place import Place
from keystore.pages.witness import Moment, Witness
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.log_ledger import Ledger, changes
from keystore.snapshots.log_pruning import Base, Pruned, prune_log
from keystore.snapshots.log_segment import LoggedStore
from keystore.snapshots.log_tail import LogEnd, find_end
from keystore.snapshots.source import NodeKeys

WINDOW_DAYS = 7
"""Days that a restore may reach back, where nobody says otherwise."""
WINDOW_DAYS_MAX = 3660
ENABLE_S = 60.0
"""LIMIT: how long enabling waits for the place of the log."""
KNOWN_S = 5.0
"""LIMIT: how long the opening of a store whose process was killed waits for the log to say what it has."""
LOOK_S = 10.0
"""LIMIT: how long a look at the log, or a snapshot, waits for its place."""


@dataclass(frozen=True)
class LogInfo:
    """The log of a node, and how it stands."""

    place: str
    window_days: int
    status: ArchiveStatus


class NodeLog:
    """The log of one open node, or none."""

    def __init__(self, custody: Custody, stores: Stores, now_ns: Callable[[], int]) -> None:
        self._custody, self._stores, self._now_ns = custody, stores, now_ns
        setting = custody.keystore.log
        self._archiver = None if setting is None else self._new_archiver(setting.place, new_run=False)
        custody.watcher, stores.witness = self._catalogue_changed, self._witness

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def info(self) -> LogInfo | None:
        """The log and how it stands; None where the node has none. The place is not asked."""
        with self._custody.held() as custody:
            setting = custody.keystore.log
        if setting is None or self._archiver is None:
            return None
        return LogInfo(setting.place, setting.window_days, self._archiver.status)

    def look(self) -> LogInfo | None:
        """Ask the place how far the log is; None where the node has none. A place that is away is in `problem`."""
        if self._archiver is not None:
            with suppress(LogError):
                self._archiver.position(LOOK_S)
        return self.info

    def position(self) -> LogPosition:
        """Return the last segment, for a snapshot that is about to begin.

        Where the place does not say it, the snapshot goes without: it is whole, and no restore to a time builds on it.
        """
        if self._archiver is not None:
            with suppress(LogError):
                return LogPosition(*self._archiver.position(LOOK_S))
        return NO_LOG

    def record_time_ns(self) -> int:
        """Return the time by the clock of the log, which never runs backwards."""
        return self._now_ns() if self._archiver is None else self._archiver.queue.tick()

    def flush(self, timeout_s: float = ENABLE_S) -> int:
        """Bring everything until now to the log; return the number of its last segment, 0 where there is no log.

        Raises:
            LogBehindError, LogConflictError: it is not all there.
        """
        return 0 if self._archiver is None else self._archiver.flush(timeout_s)

    # -- on and off ---------------------------------------------------------------------------------------------------

    def enable(self, place: str | os.PathLike[str], window_days: int = WINDOW_DAYS) -> LogInfo:
        """Begin a run of the log, with the next commit; durable on return.

        A restore to a time needs a snapshot that was taken after this.

        Raises:
            InputError: `place` is none, or is relative, or the window is out of range; or there is a log already.
            LogBehindError, PlaceError: it cannot be written. Nothing was changed.
        """
        setting = LogSetting(_require_place(os.fspath(place)), _require_window(window_days))
        with self._custody.held() as custody:
            if custody.make_identity_durable():
                keystore = custody.keystore
                KnownNodes.default().record(
                    KnownNode(custody.master.node_id, keystore.signing.public, keystore.node_name)
                )
            if custody.keystore.log is not None:
                raise InputError(
                    f"this node has a log already, in {custody.keystore.log.place}. Nothing was changed; disable it "
                    "first."
                )
            new = self._new_archiver(setting.place, new_run=True)
        try:
            new.flush(ENABLE_S, patient=False)
            self._custody.change(lambda keystore: keystore.with_log(setting))
        except BaseException:
            with suppress(LogError):
                new.close(0)
            raise
        self._archiver = new
        for database_id, record, store in self._stores.open_now():
            store.watch(self._witness(database_id, record))
        return LogInfo(setting.place, setting.window_days, new.status)

    def disable(self) -> None:
        """End the log with what was committed until now; its segments stay where they are. Durable on return.

        Raises:
            InputError: there is none.
            LogBehindError, LogConflictError: it is disabled, and what was committed last is not in it.
        """
        with self._custody.held() as custody:
            if custody.keystore.log is None or self._archiver is None:
                raise _no_log()
            former = self._archiver
        self._custody.change(lambda keystore: keystore.with_log(None))
        self._archiver = None
        for _, _, store in self._stores.open_now():
            store.watch(None)
        former.close()

    def prune(self, snapshots: Sequence[Place] = (), window_days: int | None = None) -> Pruned:
        """Remove segments that no restore to a time within the window needs.

        Only what this node signed, what is whole, and what has not expired counts as a snapshot to build on: whoever
        can write where the snapshots are may not be one who can remove the log.

        Args:
            snapshots: where snapshots of this node are, besides the place of the log.
            window_days: in place of the log's own window.

        Raises:
            InputError: the node has no log.
            LogMissingError: no snapshot is there to build on; nothing was removed.
            PlaceError: a place cannot be read, or a segment not be removed; those removed were needed by nobody.
        """
        with self._custody.held() as custody:
            setting, own = custody.keystore.log, (custody.master.node_id, custody.keystore.signing.public)
        if setting is None:
            raise _no_log()
        place, now_ns = open_place(setting.place), self._now_ns()
        listed = [item for each in (place, *snapshots) for item in list_snapshots(each) if item.state == "complete"]
        bases = [
            Base(head.created_ns, head.log.number)
            for head in (item.head for item in listed)
            if head and (head.node_id, head.signer) == own and not NEVER < head.expires_ns <= now_ns
        ]
        return prune_log(place, own[0], bases, window_days or setting.window_days, now_ns)

    def close(self) -> None:
        """Bring what is left to the log; errors as `Archiver.close`."""
        if self._archiver is not None:
            self._archiver.close()

    def after_fork_in_child(self) -> None:
        """The thread does not run here, and nobody commits."""
        if self._archiver is not None:
            self._archiver.abandon()

    # -- what it is told ----------------------------------------------------------------------------------------------

    def _witness(self, database_id: bytes, record: StoreRecord) -> Witness | None:
        if self._archiver is None:
            return None
        self._archiver.start()
        store = LoggedStore(record.store_id, database_id, record.page_size)
        return StoreWitness(self._archiver.queue, store, partial(self._archiver.known, timeout_s=KNOWN_S))

    def _catalogue_changed(self, before: Keystore, after: Keystore) -> None:
        archiver = self._archiver
        if archiver is not None and archiver.queue.changed(
            lambda now_ns: changes(before.databases, after.databases, now_ns)
        ):
            archiver.start()

    def _new_archiver(self, place: str, *, new_run: bool) -> Archiver:
        custody = self._custody
        node_id, databases = custody.master.node_id, tuple(custody.keystore.databases.values())

        def find(opened: Place) -> LogEnd:
            signer, secret = custody.keystore.signing.public, custody.keystore.snapshot_secret
            return find_end(opened, node_id, signer, secret, new_run=new_run)

        def begin(end: LogEnd, now_ns: int) -> tuple[Ledger, list[Event]]:
            if end.run == 0:
                return Ledger.of_run(databases), []
            ledger = Ledger(end.state)
            states = custody.anchors.states()
            ledger.go_on({each: Moment(at.epoch, at.sequence, at.tag) for each, at in states.items()}, databases)
            return ledger, ledger.missed(databases, end.settled_ns, now_ns)

        @contextmanager
        def held() -> Iterator[NodeKeys]:
            with custody.held():
                yield custody.node_keys()

        return Archiver(partial(open_place, place), held, find, begin, self._now_ns, archiver.LIMITS)


def _no_log() -> InputError:
    return InputError("this node has no log. Nothing was changed.")


def _require_place(text: str) -> str:
    if "://" not in text and not Path(text).is_absolute():
        meant = f"; write {Path(text).absolute()} if that is meant" if text else ""
        raise InputError(
            f"{text!r} is no place for a log: it is the absolute path of a directory, or a URL of an object store. "
            f"Nothing was changed{meant}."
        )
    opened = open_place(text)
    if isinstance(opened, DirectoryPlace):
        require_place_of_snapshots(opened.path)  # both may be in one place
    return text


def _require_window(days: int) -> int:
    if not 1 <= days <= WINDOW_DAYS_MAX:
        raise InputError(f"a window of {days} days; it is 1 to {WINDOW_DAYS_MAX}. Nothing was changed.")
    return days
