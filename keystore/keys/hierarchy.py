"""What a node's keystore file holds: its databases, their data keys and stores, and the anchor key.

All values are frozen: an operation returns a new `Keystore`, so that a change that could not be made durable leaves the
former one as it was. Versions share their `SecretKey` objects; `Keystore.wipe` of the last one wipes them all, because
nothing is ever taken out without being wiped by whoever took it out.

Invariants:
1. A database has at least one data key. Its generations rise from 1; the last is for writing, all others only open.
2. Names are unique, databases in the node and stores in their database; every id is random and unique.
3. Time comes in as an argument (ns since 1970).
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from keystore.crypto.secret import SecretKey
from keystore.errors import InputError, NameTakenError, NameUnknownError
from keystore.format.keyfile import ID_BYTES, StoreRecord
from keystore.format.names import name_problem

__all__ = ["DataKey", "Database", "DatabaseKeys", "Keystore", "StoreRecord", "generate_database", "generate_id"]


@dataclass(frozen=True)
class DataKey:
    """One generation of a database's data key."""

    generation: int
    key: SecretKey
    created_ns: int
    decrypt_only: bool = False


@dataclass(frozen=True)
class Database:
    """A database: its keys and the catalogue of its stores."""

    database_id: bytes
    name: str
    created_ns: int
    data_keys: tuple[DataKey, ...]
    stores: Mapping[str, StoreRecord] = field(default_factory=lambda: MappingProxyType({}))

    def store(self, name: str) -> StoreRecord:
        """Return the record of a store.

        Raises:
            NameUnknownError: there is none of that name.
        """
        if name not in self.stores:
            raise NameUnknownError(f"database {self.name!r} has no file {name!r}. Nothing was changed.")
        return self.stores[name]

    def with_store(self, record: StoreRecord) -> "Database":
        """Return the database with one more store.

        Raises:
            NameTakenError: it has one of that name.
        """
        require_name(record.name, "file", path=True)
        if record.name in self.stores:
            raise NameTakenError(f"database {self.name!r} has a file {record.name!r} already. Nothing was changed.")
        return replace(self, stores=MappingProxyType({**self.stores, record.name: record}))

    def without_store(self, name: str) -> "Database":
        """Return the database without a store."""
        self.store(name)
        rest = {other: record for other, record in self.stores.items() if other != name}
        return replace(self, stores=MappingProxyType(rest))

    def with_new_generation(self, now_ns: int) -> "Database":
        """Return the database with a fresh data key for writing; the former ones only open from now on."""
        former = tuple(replace(data_key, decrypt_only=True) for data_key in self.data_keys)
        fresh = DataKey(former[-1].generation + 1, SecretKey.generate(), now_ns)
        return replace(self, data_keys=(*former, fresh))


@dataclass(frozen=True)
class Keystore:
    """The contents of a keystore file, in memory."""

    node_name: str
    created_ns: int
    anchor_key: SecretKey
    databases: Mapping[str, Database] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def generate(cls, node_name: str, now_ns: int) -> "Keystore":
        """Make the keystore of a new node: no databases yet."""
        require_name(node_name, "node")
        return cls(node_name, now_ns, SecretKey.generate())

    def database(self, name: str) -> Database:
        """Return a database.

        Raises:
            NameUnknownError: there is none of that name.
        """
        if name not in self.databases:
            raise NameUnknownError(f"node {self.node_name!r} has no database {name!r}. Nothing was changed.")
        return self.databases[name]

    def with_database(self, database: Database) -> "Keystore":
        """Return the keystore with `database` in place of the one of its name, or in addition."""
        require_name(database.name, "database")
        return replace(self, databases=MappingProxyType({**self.databases, database.name: database}))

    def wipe(self) -> None:
        """Wipe every key."""
        self.anchor_key.wipe()
        for database in self.databases.values():
            for data_key in database.data_keys:
                data_key.key.wipe()


def generate_database(name: str, now_ns: int) -> Database:
    """Make a database with a data key of its own."""
    require_name(name, "database")
    return Database(generate_id(), name, now_ns, (DataKey(1, SecretKey.generate(), now_ns),))


def generate_id() -> bytes:
    """Return a random id."""
    return secrets.token_bytes(ID_BYTES)


def require_name(name: str, of: str, *, path: bool = False) -> None:
    """Refuse a name that cannot be one.

    Raises:
        InputError: the message says why.
    """
    problem = name_problem(name, path=path)
    if problem:
        raise InputError(f"{name[:80]!r} cannot be the name of a {of}: {problem}. Nothing was changed.")


class DatabaseKeys:
    """The data keys of one database as a page store asks for them.

    Args:
        database: gives the database as it is now, so that a new generation is used as soon as it is durable.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def current(self) -> tuple[int, SecretKey]:
        """Return generation and key for new sessions."""
        data_key = self._database().data_keys[-1]
        return data_key.generation, data_key.key

    def by_generation(self, generation: int) -> SecretKey:
        """Return the key of a generation.

        Raises:
            KeyError: the database has no such generation.
        """
        for data_key in self._database().data_keys:
            if data_key.generation == generation:
                return data_key.key
        raise KeyError(generation)
