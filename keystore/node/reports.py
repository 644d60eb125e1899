"""What the operations on a node tell. Nothing in here is secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from keystore.errors import KeystoreError
from keystore.keys.fingerprint import key_name
from keystore.keys.hierarchy import Database
from keystore.keys.master import MasterKey


@dataclass(frozen=True)
class MasterInfo:
    """A master key, for people.

    Attributes:
        key_id: the key URI, exactly as configured.
        key_version: what the KMS says it used.
        name: tells one key from another and reveals nothing.
    """

    generation: int
    provider: str
    key_id: str
    key_version: str
    name: str

    @classmethod
    def of(cls, master: MasterKey) -> Self:
        """Describe a master key."""
        wrapped = master.wrapped
        return cls(master.generation, wrapped.provider, wrapped.key_id, wrapped.key_version, key_name(master.key))


@dataclass(frozen=True)
class Rotation:
    """A change of the master key; data files were not touched."""

    old: MasterInfo
    new: MasterInfo


@dataclass(frozen=True)
class DataKeyInfo:
    """One generation of a database's data key, for people.

    Attributes:
        seals: pages and blocks sealed under it, as far as they were counted.
        destroyed_ns: when it was destroyed, or None.
    """

    generation: int
    created_ns: int
    decrypt_only: bool
    name: str
    seals: int = 0
    destroyed_ns: int | None = None

    @property
    def state(self) -> Literal["current", "decrypt-only", "destroyed"]:
        if self.destroyed_ns is not None:
            return "destroyed"
        return "decrypt-only" if self.decrypt_only else "current"


@dataclass(frozen=True)
class DatabaseInfo:
    database_id: bytes
    name: str
    created_ns: int
    data_keys: tuple[DataKeyInfo, ...]
    file_count: int
    shredded_ns: int | None = None

    @classmethod
    def of(cls, database: Database) -> Self:
        """Describe a database, and all data keys that it ever had."""
        known = [
            DataKeyInfo(key.generation, key.created_ns, key.decrypt_only, key_name(key.key), key.seals)
            for key in database.data_keys
        ]
        known += [
            DataKeyInfo(key.generation, key.created_ns, True, key.name.hex(), destroyed_ns=key.destroyed_ns)
            for key in database.destroyed
        ]
        return cls(
            database.database_id,
            database.name,
            database.created_ns,
            tuple(sorted(known, key=lambda key: key.generation)),
            len(database.stores),
            None if database.shredded is None else database.shredded.shredded_ns,
        )


@dataclass(frozen=True)
class FileInfo:
    """A file of a database.

    Attributes:
        byte_length: the user's own bytes, or None where the store does not open.
        stored_bytes: what the store takes on disk, or None where it is missing.
        problem: why the store does not open, or None.
    """

    database: str
    name: str
    store_id: bytes
    page_size: int
    created_ns: int
    byte_length: int | None
    stored_bytes: int | None
    problem: KeystoreError | None = None


@dataclass(frozen=True)
class Transfer:
    """A file that went in or out.

    Attributes:
        sha256: of the user's own bytes, hexadecimal.
    """

    database: str
    name: str
    byte_length: int
    sha256: str


@dataclass(frozen=True)
class StoreCheck:
    """What the check of one store found.

    Attributes:
        pages: pages that were read and verified.
        problems: empty if all is well. A `StoreDamagedError` names the part and its number.
        notes: what opening the store found invalid and mended without loss (F-21).
    """

    database: str
    name: str
    pages: int
    problems: tuple[KeystoreError, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeCheck:
    """What the check of a node found.

    Attributes:
        unknown_files: what lies among the stores and belongs to no file of the catalogue. Nothing reads it.
        begun_ns: when the check began that this one took up; what was read since then was not read again. None where
            it took up none.
    """

    stores: tuple[StoreCheck, ...]
    unknown_files: tuple[Path, ...]
    begun_ns: int | None = None

    @property
    def ok(self) -> bool:
        return not self.unknown_files and not any(store.problems for store in self.stores)
