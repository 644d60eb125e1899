"""New stores in the place of files of a node, all at once, and with them, where it is asked for, a new master key.

Files that are not there yet are added. Steps, and what a crash leaves at each:

1. The new stores are filled, beside those in force, under names that no catalogue knows. A crash leaves files that the
   next opening removes.
2. The stores that are to go are renamed to such names too. A crash: the next opening gives them their names back.
3. One keystore file puts the new stores into the catalogue, takes the former ones out, and has the new master key, if
   there is to be one. From here on the new ones count.
4. The new stores are renamed to their final names, the former ones removed. A crash: the next opening does it.

So whatever happens, all files of the node are the former ones or all are the new ones. Stores that are missing or
damaged are replaced like any other.
"""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Self

from keystore.errors import InputError, NameTakenError
from keystore.keys.hierarchy import Database, Keystore, StoreRecord, generate_id
from keystore.keys.master import MasterKey, generate_master
from keystore.kms.protocol import KmsConnector
from keystore.node.custody import Custody
from keystore.node.reports import MasterInfo, Rotation
from keystore.node.stores import REPLACED_MAX, Stores, enter
from keystore.pages.store import PageStore


class ReplacedMeanwhileError(InputError):
    """Something else has the name of a new store than was found there."""


@dataclass(frozen=True)
class _Arrival:
    """A new store, and the one in whose place it comes, if any; `oldest` is the data key it was begun under."""

    database: Database
    record: StoreRecord
    former: StoreRecord | None
    oldest: int


def _now(arrival: _Arrival, database: Database, *, replace: bool) -> _Arrival:
    """Return an arrival that comes in the place of what has its name now."""
    former = database.stores.get(arrival.record.name)
    if former is not None and not replace:
        raise NameTakenError(f"database {database.name!r} has a file {former.name!r} already. Nothing was changed.")
    return dataclasses.replace(arrival, former=former)


class Replacement:
    """A replacement that is being prepared; a context manager that removes what was not put in force."""

    def __init__(self, custody: Custody, stores: Stores, connector: KmsConnector) -> None:
        self._custody, self._stores, self._connector = custody, stores, connector
        self._counted = ExitStack()
        self._arrivals: list[_Arrival] = []
        self._master: MasterKey | None = None
        self._process = os.getpid()

    def prepare_master(self) -> None:
        """Make the next master key under the node's own CMK, so that one that cannot wrap refuses early.

        Raises:
            KmsError: as the KMS refused; nothing was changed.
        """
        with self._custody.held() as custody:
            former = custody.master
        self._master = self._next_master(former)

    @contextmanager
    def filling(self, database_name: str, name: str, page_size: int, created_ns: int) -> Iterator[PageStore]:
        """Lend an empty store that is to take the place of a file, or to be a new one."""
        self._counted.enter_context(self._stores.counted(database_name))
        database = self._stores.database(database_name)
        record = StoreRecord(generate_id(), name, page_size, created_ns)
        former, oldest = database.stores.get(name), database.current.generation
        self._arrivals.append(_Arrival(database, record, former, oldest))
        with self._stores.incoming(database, record) as store:
            yield store

    def put_in_force(self) -> Rotation:
        """Put all stores that were filled in the place of the former ones, under a new master key; durable on return.

        Raises:
            StoreLockedError: one of the former stores is in use; nothing was changed.
            KmsError, KeyFileWriteError, OutsideAnchorConflictError, InputError: nothing was changed.
            NodeIOError: open the node again: all files are the former ones, or all are the new ones.
        """
        made: list[Rotation] = []

        def make_next(former: MasterKey) -> MasterKey:
            new, self._master = self._master, None
            if new is None or new.generation != former.generation + 1:
                new = self._next_master(former)
            with self._custody.held():
                made.append(Rotation(MasterInfo.of(former), MasterInfo.of(new)))
            return new

        with self._exchange():
            self._custody.change_master(make_next, self._changed)
        return made[0]

    def put_in_place(self, *, replace: bool = True) -> None:
        """Put all stores that were filled in the place of what has their names now; durable on return.

        The master key stays. Who reads one of the former stores keeps it until he closes it.

        Args:
            replace: whether there may be such files.

        Raises:
            NameTakenError: there is one, and there may be none; nothing was changed.
            StoreLockedError: one of them is open for writing; nothing was changed.
            KeyFileWriteError, NodeIOError: as `put_in_force`.
        """
        for left in reversed(range(REPLACED_MAX)):
            now = self._custody.keystore.databases
            self._arrivals = [_now(each, now[each.database.name], replace=replace) for each in self._arrivals]
            try:
                with self._exchange(while_read=True):
                    self._custody.change(self._changed)
                return
            except ReplacedMeanwhileError:
                if not left:
                    raise

    @contextmanager
    def _exchange(self, *, while_read: bool = False) -> Iterator[None]:
        """Take the former stores out of the way of a block that puts the new ones into the catalogue."""
        with ExitStack() as stack:
            for each in self._arrivals:
                stack.enter_context(self._stores.unused(each.database, each.record))
                if each.former is not None:
                    stack.enter_context(self._stores.leaving(each.database, each.former, while_read=while_read))
            yield
            for each in self._arrivals:
                self._stores.name_entered(each.database, each.record)
        self._arrivals.clear()

    def _changed(self, keystore: Keystore) -> Keystore:
        for each in self._arrivals:
            database = keystore.database(each.database.name)
            if database.stores.get(each.record.name) != each.former:
                raise ReplacedMeanwhileError(
                    f"{database.name}/{each.record.name} was replaced or removed meanwhile. Nothing was restored; look "
                    "at it, and restore again."
                )
            if each.former is not None:
                database = database.without_store(each.record.name)
            keystore = keystore.with_database(enter(each.record, each.oldest, database))
        return keystore

    def _next_master(self, former: MasterKey) -> MasterKey:
        with closing(self._connector(former.wrapped.key_id)) as kms:
            return generate_master(kms, former.node_id, former.generation + 1)

    def close(self) -> None:
        """Remove what was not put in force or in place. May be called twice."""
        if self._master is not None:
            self._master.wipe()
        if os.getpid() != self._process:
            return  # a forked child leaves the parent's work alone
        with self._counted:
            for each in self._arrivals:
                self._stores.discard(each.database, each.record)
            self._arrivals.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
