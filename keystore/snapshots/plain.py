"""Opens the pages of one store of a snapshot: for who wants its contents and no page store that adopts them."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import NoReturn

from keystore.crypto.secret import SecretKey
from keystore.errors import SnapshotDamagedError, WrongKeyError, cause_of
from keystore.format.entry import U64Array
from keystore.format.snapshot_map import StoreEntry
from keystore.pages.reading import UnreadableError, open_batch
from keystore.pages.sessions import SessionTable
from keystore.snapshots.opened import OpenedSnapshot


class FormerKeys:
    """The data keys of one database in a snapshot; they only open. Wiped with `close`."""

    def __init__(self, snapshot: OpenedSnapshot, entry: StoreEntry) -> None:
        database = snapshot.body.databases[entry.database]
        self._keys = {key.generation: key.key for key in snapshot.data_keys(database)}

    def current(self) -> NoReturn:
        raise AssertionError("nothing is sealed in a snapshot")

    def by_generation(self, generation: int) -> SecretKey:
        """Return the key of a generation; `KeyError` where the snapshot has none."""
        return self._keys[generation]

    def note_seals(self, generation: int, seals: int) -> NoReturn:
        raise AssertionError("nothing is sealed in a snapshot")

    def close(self) -> None:
        for key in self._keys.values():
            key.wipe()


def plain_batches(snapshot: OpenedSnapshot, entry: StoreEntry) -> Generator[tuple[U64Array, bytearray], None, None]:
    """Yield page numbers, ascending, and what the pages hold; a batch is wiped when the next is asked for.

    Raises:
        SnapshotDamagedError: a pack is not what was written. It may come after the last batch.
    """
    with closing(FormerKeys(snapshot, entry)) as keys:
        sessions = SessionTable(entry.name, entry.store_id, keys)
        try:
            for session in entry.sessions:
                sessions.load(session)
            with closing(snapshot.batches(entry)) as batches:
                for batch in batches:
                    with damage_in_pack(snapshot):
                        plain = open_batch(sessions, entry.page_size, batch)
                    try:
                        yield batch.page_nos, plain
                    finally:
                        plain[:] = bytes(len(plain))
        finally:
            sessions.wipe()


@contextmanager
def damage_in_pack(snapshot: OpenedSnapshot, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a page that does not open raises, `kinds` among it, into `SnapshotDamagedError`."""
    caught: tuple[type[Exception], ...] = (UnreadableError, WrongKeyError, *kinds)
    try:
        yield
    except caught as error:
        raise SnapshotDamagedError(
            f"snapshot {snapshot.name}: in {snapshot.pages_in}, {cause_of(error)}. Nothing was restored; use another "
            "snapshot."
        ) from error
