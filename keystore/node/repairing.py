"""Finds good copies of damaged pages in snapshots, and puts them back.

Invariants:
1. A page that opens is never touched. A copy of the very version that the map names goes back as it is.
2. Another version goes back only where the caller accepts that, and the report names it with the time of its snapshot.

Leaves to others: what is damaged (`Node.verify`). Nodes of a store's own map are not in snapshots, so pages below a
damaged one are not repaired: which versions they had is lost with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from keystore.errors import KeystoreError, StoreDamagedError, WrongKeyError
from keystore.format.snapshot_map import StoreEntry
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.reports import NodeCheck, StoreCheck
from keystore.objects.place import Place
from keystore.pages.reading import Batch
from keystore.pages.repair import PageVersion, choose, versions_in
from keystore.pages.store import PageStore
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.opened import OpenedSnapshot, open_snapshot


@dataclass(frozen=True)
class PageCopy:
    """A good copy of a damaged page.

    Attributes:
        created_ns: time of the snapshot.
        same: whether it is the version that the store had; else it is another, as a rule older, one.
    """

    database: str
    name: str
    page_no: int
    snapshot_id: bytes
    created_ns: int
    same: bool


@dataclass
class CopySearch:
    """What was found for the damaged pages of a node.

    Attributes:
        missing: damaged pages of which no snapshot has a copy.
        problems: snapshots that could not be used.
    """

    copies: list[PageCopy] = field(default_factory=list)
    missing: list[tuple[str, str, int]] = field(default_factory=list)
    problems: list[KeystoreError] = field(default_factory=list)


@dataclass(frozen=True)
class Repair:
    """What `repair` did.

    Attributes:
        put_back: copies that are in their places now.
        refused: copies of other versions, which were not accepted.
        after: what a check of the node found afterwards.
    """

    put_back: tuple[PageCopy, ...]
    refused: tuple[PageCopy, ...]
    search: CopySearch
    after: NodeCheck


def find_copies(
    node: Node, check: NodeCheck, target: Place, connect: KmsConnector, snapshot_id: bytes | None = None
) -> CopySearch:
    """Look for good copies of the pages that `check` found damaged; nothing is changed.

    Snapshots are looked through from the newest on, until each page has a copy; each asks its KMS once.
    """
    finder = _Finder(target, connect, snapshot_id)
    for store_check in check.stores:
        wanted = damaged_pages(store_check)
        if wanted:
            with node.using_store(store_check.database, store_check.name) as store:
                for found in finder.look(store, store_check, wanted):
                    finder.search.copies += found.copies
    return finder.search


def repair(
    node: Node,
    target: Place,
    connect: KmsConnector,
    *,
    snapshot_id: bytes | None = None,
    accept_older: bool = False,
) -> Repair:
    """Check a node, put damaged pages back from snapshots at `target`, and check it again.

    Args:
        snapshot_id: use only this one; by default all, from the newest on.
        accept_older: also put back a version other than the damaged one, where no snapshot has that.

    Raises:
        StoreError: a store does not open, or a page cannot be written.
    """
    before = node.verify()
    finder = _Finder(target, connect, snapshot_id)
    done: list[PageCopy] = []
    refused: list[PageCopy] = []
    for check in before.stores:
        wanted = damaged_pages(check)
        if not wanted:
            continue
        with node.using_store(check.database, check.name) as store:
            for found in finder.look(store, check, wanted):
                finder.search.copies += found.copies
                chosen = [at for at, copy in enumerate(found.copies) if copy.same or accept_older]
                refused += [copy for copy in found.copies if not copy.same and not accept_older]
                if not chosen:
                    continue
                try:
                    numbers = store.put_back(found.entry.sessions, choose(found.batch, chosen, store.page_size))
                except (StoreDamagedError, WrongKeyError) as error:  # of the copy: its data key was destroyed, say
                    finder.search.problems.append(error)
                    continue
                done += [copy for copy in found.copies if copy.page_no in numbers]
    return Repair(tuple(done), tuple(refused), finder.search, node.verify() if done else before)


def damaged_pages(check: StoreCheck) -> list[int]:
    """Return the pages of a store that are damaged themselves."""
    return [
        problem.number
        for problem in check.problems
        if isinstance(problem, StoreDamagedError) and problem.part == "page" and problem.number is not None
    ]


@dataclass(frozen=True)
class _Found:
    """Copies of some pages of one store in one snapshot; `batch` has them in the order of `copies`."""

    entry: StoreEntry
    batch: Batch
    copies: list[PageCopy]


class _Finder:
    """Looks through the snapshots of a target."""

    def __init__(self, target: Place, connect: KmsConnector, snapshot_id: bytes | None) -> None:
        self._target, self._connect = target, connect
        self._ids = [snapshot_id] if snapshot_id is not None else snapshot_ids(target)[::-1]
        self._failed: set[bytes] = set()
        self.search = CopySearch()

    def look(self, store: PageStore, check: StoreCheck, wanted: list[int]) -> Iterator[_Found]:
        """Yield a copy of each of the `wanted` pages that has one, from the newest snapshot that has it."""
        left, versions = set(wanted), store.versions(wanted)
        for snapshot_id in self._ids:
            if not left or snapshot_id in self._failed:
                continue
            try:
                # SAFETY: whoever signed it, a copy goes back only if it opens under this node's own data keys.
                with open_snapshot(self._target, snapshot_id, self._connect) as snapshot:
                    for found in self._in_snapshot(snapshot, store, check, left, versions):
                        left -= {copy.page_no for copy in found.copies}
                        yield found
            except KeystoreError as error:
                self._failed.add(snapshot_id)
                self.search.problems.append(error)
        self.search.missing += [(check.database, check.name, number) for number in sorted(left)]

    def _in_snapshot(
        self,
        snapshot: OpenedSnapshot,
        store: PageStore,
        check: StoreCheck,
        wanted: set[int],
        versions: dict[int, PageVersion],
    ) -> Iterator[_Found]:
        for entry in snapshot.body.stores:
            if entry.store_id != store.store_id:
                continue
            for batch in snapshot.pages(entry, sorted(wanted)):
                yield _Found(entry, batch, self._copies(snapshot, check, entry, batch, versions))

    @staticmethod
    def _copies(
        snapshot: OpenedSnapshot,
        check: StoreCheck,
        entry: StoreEntry,
        batch: Batch,
        versions: dict[int, PageVersion],
    ) -> list[PageCopy]:
        head, found = snapshot.head, versions_in(batch, entry.sessions)
        return [
            PageCopy(
                check.database, check.name, number, head.snapshot_id, head.created_ns, versions.get(number) == version
            )
            for number, version in zip(batch.page_nos.tolist(), found, strict=True)
        ]
