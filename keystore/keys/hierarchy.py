"""What a node's keystore file holds: its databases, their data keys and stores, and the node's own keys.

All values are frozen: an operation returns a new `Keystore`, so that a change that could not be made durable leaves the
former one as it was. Versions share their `SecretKey` objects; `Keystore.wipe` of the last one wipes them all, because
nothing is ever taken out without being wiped by whoever took it out.

Invariants:
1. Generations of a database's data keys rise from 1, and no number comes twice: not that of a destroyed one either. The
   last is for writing, all others only open. A database without a data key is shredded: nothing of it opens.
2. Names are unique, databases in the node and stores in their database; every id is random and unique.
3. Time comes in as an argument (ns since 1970).
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.errors import DatabaseShreddedError, InputError, NameTakenError, NameUnknownError
from keystore.format.keyfile import (
    ID_BYTES,
    VOLUME_GOING,
    VOLUME_SETTLED,
    DestroyedKey,
    ShredRecord,
    StoreRecord,
)
from keystore.format.names import name_problem
from keystore.keys.fingerprint import key_name

__all__ = [
    "DataKey",
    "Database",
    "DatabaseKeys",
    "DestroyedKey",
    "Keystore",
    "LogSetting",
    "OutsideSetting",
    "ShredRecord",
    "StoreRecord",
    "generate_database",
    "generate_id",
]


@dataclass(frozen=True)
class DataKey:
    """One generation of a database's data key.

    Attributes:
        seals: pages and blocks sealed under it, as far as they were counted (`keystore.node.metering`).
    """

    generation: int
    key: SecretKey
    created_ns: int
    decrypt_only: bool = False
    seals: int = 0

    def destroyed(self, now_ns: int) -> DestroyedKey:
        """Return what is kept of it when it is destroyed; wiping it is the caller's."""
        return DestroyedKey(self.generation, self.created_ns, now_ns, bytes.fromhex(key_name(self.key)))


@dataclass(frozen=True)
class Database:
    """A database: its keys and the catalogue of its stores.

    Attributes:
        destroyed: what is kept of data keys that were destroyed.
        shredded: how its last data key ended; None while it has one.
        left_below: a conversion is under way that is to end all data keys of lower generations; 0: none is.
    """

    database_id: bytes
    name: str
    created_ns: int
    data_keys: tuple[DataKey, ...]
    stores: Mapping[str, StoreRecord] = field(default_factory=lambda: MappingProxyType({}))
    destroyed: tuple[DestroyedKey, ...] = ()
    shredded: ShredRecord | None = None
    left_below: int = 0

    @property
    def to_be_left(self) -> tuple[DataKey, ...]:
        """The data keys that a conversion is to end."""
        return tuple(key for key in self.data_keys if key.generation < self.left_below)

    def leaving_keys(self, now_ns: int) -> "Database":
        """Return the database with a fresh data key for writing, and all former ones to be ended by a conversion.

        One that is shredded is as it was.
        """
        if self.shredded is not None:
            return self
        changed = self.with_new_generation(now_ns)
        return replace(changed, left_below=changed.current.generation)

    def left_keys(self) -> "Database":
        """Return the database with no data key to be ended by a conversion."""
        return replace(self, left_below=0)

    @property
    def current(self) -> DataKey:
        """The data key for writing.

        Raises:
            DatabaseShreddedError: there is none.
        """
        return self.unshredded().data_keys[-1]

    def unshredded(self) -> "Database":
        """Return the database itself; errors as `current`."""
        if not self.data_keys:
            raise DatabaseShreddedError(
                f"database {self.name!r} was shredded: its data keys are destroyed. Nothing was changed; nothing of it "
                "opens any more."
            )
        return self

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

    def with_renamed(self, old: str, new: str, now_ns: int) -> "Database":
        """Return the database with a store under another name, which one that has it loses; created is when it got it.

        Raises:
            NameUnknownError: it has none called `old`.
        """
        require_name(new, "file", path=True)
        record = replace(self.store(old), name=new, created_ns=now_ns)
        rest = {name: each for name, each in self.stores.items() if name not in (old, new)}
        return replace(self, stores=MappingProxyType({**rest, new: record}))

    def with_new_generation(self, now_ns: int) -> "Database":
        """Return the database with a fresh data key for writing; the former ones only open from now on.

        One that was shredded begins anew with it.
        """
        former = tuple(replace(data_key, decrypt_only=True) for data_key in self.data_keys)
        used = [key.generation for key in self.data_keys] + [key.generation for key in self.destroyed]
        fresh = DataKey(max(used) + 1, SecretKey.generate(), now_ns)
        return replace(self, data_keys=(*former, fresh), shredded=None)

    def without_key(self, generation: int, now_ns: int) -> "Database":
        """Return the database with a decrypt-only data key destroyed; the caller wipes it once that is durable.

        Raises:
            InputError: it is the current one, or destroyed already.
            NameUnknownError: there is no such generation.
        """
        gone = self.decrypt_only(generation)
        rest = tuple(data_key for data_key in self.data_keys if data_key is not gone)
        destroyed = sorted((*self.destroyed, gone.destroyed(now_ns)), key=lambda key: key.generation)
        return replace(self, data_keys=rest, destroyed=tuple(destroyed))

    def decrypt_only(self, generation: int) -> DataKey:
        """Return a data key that is not for writing any more; errors as `without_key`."""
        where = f"data key generation {generation} of database {self.name!r}"
        if any(key.generation == generation for key in self.destroyed):
            raise InputError(f"{where} is destroyed already. Nothing was changed.")
        found = next((key for key in self.data_keys if key.generation == generation), None)
        if found is None:
            raise NameUnknownError(f"there is no {where}. Nothing was changed.")
        if not found.decrypt_only:
            raise InputError(f"{where} is the current one. Nothing was changed; change the data key first.")
        return found

    def shred(self, now_ns: int, former_fingerprint: bytes, former_master: int) -> "Database":
        """Return the database with every data key destroyed and no store; the caller wipes the keys once durable."""
        gone = sorted(
            (*self.destroyed, *(key.destroyed(now_ns) for key in self.data_keys)), key=lambda key: key.generation
        )
        record = ShredRecord(now_ns, former_fingerprint, former_master, len(self.stores))
        return replace(
            self, data_keys=(), stores=MappingProxyType({}), destroyed=tuple(gone), shredded=record, left_below=0
        )

    def with_seals(self, generation: int, count: int) -> "Database":
        """Return the database with `count` more seals noted under a generation; as it is where that is destroyed."""
        keys = tuple(
            replace(key, seals=key.seals + count) if key.generation == generation else key for key in self.data_keys
        )
        return replace(self, data_keys=keys)


@dataclass(frozen=True)
class OutsideSetting:
    """Where a node's outside anchor is, and whether every commit is stated to it."""

    place: str
    each_commit: bool = False


@dataclass(frozen=True)
class LogSetting:
    """Where the segments of a node's point-in-time log go, and for how many days a restore may reach back."""

    place: str
    window_days: int


@dataclass(frozen=True)
class Keystore:
    """The contents of a keystore file, in memory.

    Attributes:
        signing: signs the node's snapshots and log.
        snapshot_secret: the keys of the maps of its snapshots are derived from it; so it opens the map of a former
            snapshot without a KMS, and no data.
        volume_id: id of the volume key that the node's stores lie under; None where it has no volume layer.
        volume_change: whether all of them do, are to, or are to no more.
    """

    node_name: str
    created_ns: int
    anchor_key: SecretKey
    signing: SigningKey
    snapshot_secret: SecretKey
    databases: Mapping[str, Database] = field(default_factory=lambda: MappingProxyType({}))
    volume_id: bytes | None = None
    outside_anchor: OutsideSetting | None = None
    log: LogSetting | None = None
    volume_change: int = VOLUME_SETTLED

    @classmethod
    def generate(cls, node_name: str, now_ns: int, volume_id: bytes | None = None) -> "Keystore":
        """Make the keystore of a new node: no databases yet."""
        require_name(node_name, "node")
        own = SecretKey.generate(), SigningKey.generate(), SecretKey.generate()
        return cls(node_name, now_ns, *own, volume_id=volume_id)

    def database(self, name: str) -> Database:
        """Return a database.

        Raises:
            NameUnknownError: there is none of that name.
        """
        if name not in self.databases:
            raise NameUnknownError(f"node {self.node_name!r} has no database {name!r}. Nothing was changed.")
        return self.databases[name]

    def stores(self, database: str | None = None) -> list[tuple[Database, StoreRecord]]:
        """Return the stores of one database, or of all, each with its database, by name; errors as `database`."""
        chosen = self.databases.values() if database is None else [self.database(database)]
        return [(entry, entry.stores[name]) for entry in chosen for name in sorted(entry.stores)]

    def with_database(self, database: Database) -> "Keystore":
        """Return the keystore with `database` in place of the one of its name, or in addition."""
        require_name(database.name, "database")
        return replace(self, databases=MappingProxyType({**self.databases, database.name: database}))

    def with_outside_anchor(self, setting: OutsideSetting | None) -> "Keystore":
        """Return the keystore with this outside anchor, or with none."""
        return replace(self, outside_anchor=setting)

    def with_log(self, setting: LogSetting | None) -> "Keystore":
        """Return the keystore with this point-in-time log, or with none."""
        return replace(self, log=setting)

    @property
    def is_layered(self) -> bool:
        """Whether new stores get the volume layer, and all are to have it once a conversion is done."""
        return self.volume_id is not None and self.volume_change != VOLUME_GOING

    @property
    def is_converting(self) -> bool:
        """Whether a conversion is under way."""
        return self.volume_change != VOLUME_SETTLED or any(each.left_below for each in self.databases.values())

    def with_volume(self, volume_id: bytes | None, change: int) -> "Keystore":
        """Return the keystore with this volume layer, or with none."""
        return replace(self, volume_id=volume_id, volume_change=change)

    def wipe(self) -> None:
        """Wipe every key."""
        self.anchor_key.wipe()
        self.signing.wipe()
        self.snapshot_secret.wipe()
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
        data_key = self._database().current
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

    def note_seals(self, generation: int, seals: int) -> None:
        """Nobody counts here; see `keystore.node.metering`."""
