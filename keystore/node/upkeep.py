"""Looks after the stores of a node, one after the other: their figures, whether they are whole, giving space back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keystore.errors import KeystoreError
from keystore.node.custody import Custody
from keystore.node.reports import NodeCheck
from keystore.node.scrub_state import ScrubState
from keystore.node.stores import Stores
from keystore.pages.compact import CompactReport
from keystore.pages.pace import Pace
from keystore.pages.stats import StoreStats
from keystore.progress import Progress, parts, untold


@dataclass(frozen=True)
class FileStats:
    """The figures of one file."""

    database: str
    name: str
    stats: StoreStats


@dataclass(frozen=True)
class Compacted:
    """What was done to one file.

    Attributes:
        report: None where it could not be done, or not to its end.
        problem: why, or None.
    """

    database: str
    name: str
    report: CompactReport | None = None
    problem: KeystoreError | None = None


class Upkeep:
    """The stores of an open node."""

    def __init__(self, custody: Custody, stores: Stores, now_ns: Callable[[], int]) -> None:
        self._custody, self._stores, self._now_ns = custody, stores, now_ns

    def stats(self, database: str | None = None) -> list[FileStats]:
        """Return the figures of the files of one database, or of all; each store is opened.

        Raises:
            NameUnknownError: there is no such database.
            StoreError: a store does not open.
        """
        found = []
        for entry, record in self._custody.keystore.stores(database):
            with self._stores.using(entry.name, record.name) as store:
                found.append(FileStats(entry.name, record.name, store.stats()))
        return found

    def stored_bytes(self) -> int:
        """Return what all stores take on disk; none is opened, and one that is missing takes nothing."""
        return sum(self._stores.stored_bytes(entry, record) for entry, record in self._custody.keystore.stores())

    def compact(
        self, database: str | None = None, *, progress: Progress | None = None, pace: Pace | None = None
    ) -> list[Compacted]:
        """Give space at the end of the stores of one database, or of all, back.

        A store that cannot be done, or not to its end, is in the list with its problem; the others are done.

        Args:
            progress: is told bytes done and in all, as the stores take them on disk.

        Raises:
            NameUnknownError: there is no such database.
        """
        chosen = self._custody.keystore.stores(database)
        sizes = [self._stores.stored_bytes(entry, record) for entry, record in chosen]
        done = []
        for (entry, record), part in zip(chosen, parts(progress or untold, sizes), strict=True):
            try:
                with self._stores.using(entry.name, record.name) as store:
                    report = store.compact(progress=part, pace=pace)
                done.append(Compacted(entry.name, record.name, report))
            except KeystoreError as error:
                done.append(Compacted(entry.name, record.name, problem=error))
        return done

    def verify(self, progress: Progress | None, pace: Pace | None, resume: Path | None) -> NodeCheck:
        """Read and check everything in every store; see `Node.verify`."""
        scrub = ScrubState.load(resume, self._custody.keystore.anchor_key, self._now_ns())
        chosen = self._custody.keystore.stores()
        sizes = [self._stores.stored_bytes(entry, record) for entry, record in chosen]
        with scrub.kept():
            checks = [
                self._stores.check(entry, record, part, pace, scrub)
                for (entry, record), part in zip(chosen, parts(progress or untold, sizes), strict=True)
            ]
        scrub.remove()
        return NodeCheck(tuple(checks), tuple(self._stores.unknown_files()), scrub.begun_ns)
