"""What a crash may leave among the stores, and what does not belong there.

A store is filled as `HEX.incoming`, enters the catalogue, and is then renamed to `HEX.store`; a store that is dropped
goes the same way back. So for each incoming file the catalogue says which way to go: known, the rename is finished;
unknown, the file is removed. The next file of a store that was being converted is `HEX.converting` until it replaces
`HEX.store` by one rename; what is left of it is removed. Stores of a database that was shredded are removed: nothing
opens them. Anything else that nobody knows is reported and never touched.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from keystore.errors import NodeIOError
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, Keystore
from keystore.node.layout import CONVERTING_SUFFIX, INCOMING_SUFFIX, STORE_SUFFIX, Layout

_SUFFIXES = f"{re.escape(INCOMING_SUFFIX)}|{re.escape(CONVERTING_SUFFIX)}"
_UNFINISHED = re.compile(f"[0-9a-f]{{32}}({_SUFFIXES})")
_STORE = re.compile(f"[0-9a-f]{{32}}({re.escape(STORE_SUFFIX)}|{_SUFFIXES})")


def finish_leftovers(files: Files, layout: Layout, keystore: Keystore) -> None:
    """Finish or undo what a crash interrupted. May crash itself, and be started again."""
    for database in keystore.databases.values():
        remove_shredded(files, layout, database)
    known = {
        layout.incoming(database.database_id, record.store_id): layout.store(database.database_id, record.store_id)
        for database, record in keystore.stores()
    }
    try:
        for path in [path for path in _files_below(layout.databases) if _UNFINISHED.fullmatch(path.name)]:
            if path in known:
                files.rename(path, known[path])
            else:
                files.remove(path)
            files.sync_directory(path.parent)
    except OSError as error:
        raise NodeIOError(
            f"{layout.databases}: what a crash left cannot be cleared: {error.strerror}. Nothing else was changed; "
            "make the directory writable and open the node again."
        ) from error


def remove_shredded(
    files: Files, layout: Layout, database: Database, store_ids: Collection[bytes] | None = None
) -> None:
    """Remove the stores' files of a database that was shredded; may be called again after a crash.

    Args:
        store_ids: only the files of these, where the database may have begun anew meanwhile; by default all.

    Raises:
        NodeIOError: the system refuses.
    """
    if database.shredded is None:
        return
    directory = layout.database(database.database_id)
    try:
        found = sorted(directory.iterdir()) if directory.is_dir() else []
        wanted = None if store_ids is None else {store_id.hex() for store_id in store_ids}
        stores = [path for path in found if _STORE.fullmatch(path.name) and (wanted is None or path.stem in wanted)]
        for path in stores:
            files.remove(path)
        if stores:
            files.sync_directory(directory)
    except OSError as error:
        raise NodeIOError(
            f"{directory}: the files of the shredded database {database.name!r} cannot be removed: {error.strerror}. "
            "Its data keys are destroyed; make the directory writable, and shred it once more."
        ) from error


def unknown_files(layout: Layout, keystore: Keystore) -> list[Path]:
    """Return what lies among the stores and belongs to no file of the catalogue.

    Raises:
        NodeIOError: the directories cannot be read.
    """
    known = {
        path(database.database_id, record.store_id)
        for database, record in keystore.stores()
        for path in (layout.store, layout.incoming)
    }
    directories = {layout.database(database.database_id) for database in keystore.databases.values()}
    try:
        found = [path for path in _files_below(layout.databases) if path not in known]
    except OSError as error:
        raise NodeIOError(f"{layout.databases} cannot be read: {error.strerror}. Nothing was changed.") from error
    return sorted(path for path in found if path not in directories)


def _files_below(directory: Path) -> Iterator[Path]:
    """Return everything in the directories of the databases, and what else is beside them."""
    for entry in sorted(directory.iterdir()) if directory.is_dir() else []:
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from sorted(entry.iterdir())
