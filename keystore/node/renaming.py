"""Another name for a file of a node, in one step.

The name stands in the keystore file and nowhere else, so one replacement of that renames a file, and takes another out
whose name it gets. CRASH: before that is durable nothing has happened; after it, the next opening removes what the
former file of that name leaves.
"""

from contextlib import ExitStack

from keystore.errors import NameTakenError
from keystore.keys.hierarchy import Database
from keystore.node.custody import Custody
from keystore.node.opening import Clock
from keystore.node.stores import Stores


def rename_file(
    custody: Custody, stores: Stores, now_ns: Clock, database_name: str, old: str, new: str, *, replace: bool
) -> None:
    """Give a file another name in its database; durable on return. Who has it open keeps it.

    Args:
        replace: take the place of a file that has that name; who reads that one keeps it until he closes it.

    Raises:
        NameTakenError: there is one, and `replace` is not set, or it came meanwhile.
        StoreLockedError: the file in its place is open for writing.
        InputError, NameUnknownError, KeyFileWriteError: as the text says; nothing was changed.
    """
    database = custody.keystore.database(database_name)
    database.store(old)
    if new == old:
        return
    former = database.stores.get(new)
    if former is not None and not replace:
        raise _taken(database, new)

    def renamed(now: Database) -> Database:
        if now.stores.get(new) != former:
            raise _taken(now, new)
        return now.with_renamed(old, new, now_ns())

    with ExitStack() as stack:
        if former is not None:
            stack.enter_context(stores.leaving(database, former, while_read=True))
        stores.change_database(database_name, renamed)


def _taken(database: Database, name: str) -> NameTakenError:
    return NameTakenError(f"database {database.name!r} has a file {name!r} already. Nothing was changed.")
