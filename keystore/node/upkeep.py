"""Space of a node's stores: what they take, and giving back what they do not need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from keystore.node.directory import Node
from keystore.pages.compact import CompactReport
from keystore.pages.pace import Pace
from keystore.pages.stats import StoreStats

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FileStats:
    """The figures of one file."""

    database: str
    name: str
    stats: StoreStats


@dataclass(frozen=True)
class Compacted:
    """What was done to one file."""

    database: str
    name: str
    report: CompactReport


def space_of(node: Node, database: str | None = None) -> list[FileStats]:
    """Return the figures of the files of one database, or of all; each store is opened.

    Raises:
        NameUnknownError: there is no such database.
        StoreError: a store does not open.
    """
    found = []
    for database_name, name in _files(node, database):
        with node.using_store(database_name, name) as store:
            found.append(FileStats(database_name, name, store.stats()))
    return found


def compact(
    node: Node, database: str | None = None, *, progress: Progress | None = None, pace: Pace | None = None
) -> list[Compacted]:
    """Give space at the end of the stores of one database, or of all, back; errors as `PageStore.compact`."""
    done = []
    for database_name, name in _files(node, database):
        with node.using_store(database_name, name) as store:
            done.append(Compacted(database_name, name, store.compact(progress=progress, pace=pace)))
    return done


def _files(node: Node, database: str | None) -> Iterator[tuple[str, str]]:
    """Yield database and name of the chosen files, as they are in the catalogue at the beginning."""
    with node.held() as custody:
        known = custody.keystore
        databases = [known.database(database)] if database is not None else list(known.databases.values())
    for entry in databases:
        for name in sorted(entry.stores):
            yield entry.name, name
