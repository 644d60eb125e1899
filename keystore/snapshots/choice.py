"""Which stores of a snapshot are wanted: all, those of some databases, or some files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keystore.errors import NameUnknownError
from keystore.format.snapshot_map import StoreEntry
from keystore.snapshots.opened import OpenedSnapshot


@dataclass(frozen=True)
class Choice:
    """What is wanted of a snapshot; everything where nothing is named.

    Attributes:
        files: database and name of each.
    """

    databases: Sequence[str] = ()
    files: Sequence[tuple[str, str]] = ()

    @property
    def everything(self) -> bool:
        return not self.databases and not self.files

    def wants(self, database: str, name: str) -> bool:
        """Tell whether a file is wanted."""
        return self.everything or database in self.databases or (database, name) in self.files

    def of(self, snapshot: OpenedSnapshot) -> "Chosen":
        """Return what of `snapshot` that is.

        Raises:
            NameUnknownError: it has no such database or file.
        """
        body = snapshot.body
        names = [database.name for database in body.databases]
        for name in self.databases:
            if name not in names:
                raise NameUnknownError(f"snapshot {snapshot.name} has no database {name!r}. {_has(names)}")
        there = {(names[store.database], store.name): store for store in body.stores}
        for database, name in self.files:
            if (database, name) not in there:
                held = sorted(f"{other}/{each}" for other, each in there)
                raise NameUnknownError(f"snapshot {snapshot.name} has no file {database}/{name}. {_has(held)}")
        stores = tuple(store for key, store in there.items() if self.wants(*key))
        whole = names if self.everything else [name for name in names if name in self.databases]
        return Chosen(stores, tuple(sorted({*whole, *(names[store.database] for store in stores)})))


@dataclass(frozen=True)
class Chosen:
    """What was wanted of one snapshot.

    Attributes:
        stores: in the order of the snapshot.
        databases: names of their databases, and of those that are wanted without a store.
    """

    stores: tuple[StoreEntry, ...]
    databases: tuple[str, ...]

    @property
    def logical_bytes(self) -> int:
        return sum(store.byte_length for store in self.stores)


NAMES_SHOWN = 10
"""LIMIT: names in a message."""


def _has(names: Iterable[str]) -> str:
    found = list(names)
    shown = ", ".join(found[:NAMES_SHOWN]) or "nothing"
    more = f" and {len(found) - NAMES_SHOWN} more" if len(found) > NAMES_SHOWN else ""
    return f"Nothing was restored; it has {shown}{more}."
