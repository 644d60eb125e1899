"""A file system for `fsspec` on a node: what reads and writes through it reads and writes encrypted files.

    fs = fsspec.filesystem("cmk", node="/data/node-1")
    with fs.open("cmk://sales/2026/orders.parquet", "wb") as file: ...

A path is DATABASE/NAME, as everywhere in a node. Names may have slashes; a directory is what names have in common, so
it is there for as long as a file is in it. One that was made empty is known to the file system that made it, and to no
other.

Leaves to others: what an open file does (`keystore.engines.stored_file`), and who has the node open (`open_nodes`).
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from glob import has_magic
from typing import IO, Any, ClassVar, Self, cast

from fsspec import AbstractFileSystem

from keystore.engines import open_nodes
from keystore.engines.stored_file import ChangedFile, NewFile, ReadFile
from keystore.errors import (
    FileModeError,
    FileTakenError,
    FileUnknownError,
    InputError,
    KeystoreError,
    NameUnknownError,
    PathMissingError,
    PathOutsideError,
    ReadOnlyError,
)
from keystore.format.names import name_problem
from keystore.keys.hierarchy import StoreRecord
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import PAGE_SIZE, Node

COPY_BYTES = 1 << 20

# What fsspec itself knows at every file system; none of it has an effect here.
_FSSPEC_OPTIONS = frozenset(
    {"asynchronous", "batch_size", "listings_expiry_time", "loop", "max_paths", "use_listings_cache"}
)

Info = dict[str, Any]


class KeystoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of a node, for `fsspec`.

    Args:
        node: its directory; opened at the first use and closed by `close`, or at the end of the process. All file
            systems of a process share it.
        kms_endpoint: as `keystore.kms.connect.connect`.
        key_connector: gives the client for a key URI, in place of that.
        page_size: bytes of a page of new files.
        read_only: refuse every change.
        opened: a node that somebody has open, and closes; see `on`.

    Raises:
        InputError: there is no such option; a mistyped `read_only` would else let everything be changed.
    """

    protocol: ClassVar[str] = "cmk"
    root_marker: ClassVar[str] = ""

    def __init__(
        self,
        node: str | os.PathLike[str] | None = None,
        *,
        kms_endpoint: str | None = None,
        key_connector: KmsConnector | None = None,
        page_size: int = PAGE_SIZE,
        read_only: bool = False,
        opened: Node | None = None,
        **storage_options: Any,
    ) -> None:
        if unknown := sorted(storage_options.keys() - _FSSPEC_OPTIONS):
            raise InputError(
                f"{', '.join(map(repr, unknown))}: no such option. Nothing was opened; there are 'node', "
                "'kms_endpoint', 'page_size' and 'read_only'."
            )
        super().__init__(**storage_options)
        self._directory, self._given, self._taken = node, opened, None
        self._connector = key_connector or connector(kms_endpoint)
        self._page_size, self._read_only = page_size, read_only
        self._made: set[str] = set()

    _taken: Node | None

    @classmethod
    def on(cls, node: Node, *, page_size: int = PAGE_SIZE, read_only: bool = False) -> Self:
        """Return a file system on a node that is open, and stays its owner's to close."""
        return cls(opened=node, page_size=page_size, read_only=read_only, skip_instance_cache=True)

    def close(self) -> None:
        """Give the node back, which closes it if no other file system uses it; the next use opens it again.

        Errors as `Node.close`.
        """
        taken, self._taken = self._taken, None
        if taken is not None:
            open_nodes.leave(taken)

    @property
    def node(self) -> Node:
        """The node, opened if it is not; errors as `Node.open`."""
        if self._given is not None:
            return self._given
        if self._taken is None:
            directory = self._directory
            if directory is None:
                raise PathMissingError(
                    "no node is named. Nothing was opened; give its directory as node=, or in FSSPEC_CMK_NODE."
                )
            self._taken = open_nodes.take(directory, lambda: Node.open(directory, self._connector))
        return self._taken

    # -- what is there ------------------------------------------------------------------------------------------------

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a directory, or a file, by name; with `detail` every file in it is opened."""
        database, name = self._split(path)
        if not database:
            found = sorted(self._databases())
            return [_directory(each) for each in found] if detail else found
        files = self._stores(database) or {}
        own = [files[name]] if name in files else []  # names below a file are no less there than it is
        before = f"{name}/" if name else ""
        below = sorted({each[len(before) :].partition("/")[:2] for each in files if each.startswith(before)})
        if not own and not below and not self.isdir(path):
            raise _unknown(path)
        paths = [f"{database}/{before}{first}" for first, _ in below]
        if not detail:
            return sorted({*paths, *(f"{database}/{each.name}" for each in own)})
        return [self._described(database, each) for each in own] + [
            _directory(each) if slash else self._described(database, files[f"{before}{first}"])
            for each, (first, slash) in zip(paths, below, strict=True)
        ]

    def info(self, path: str, **_: Any) -> Info:
        """Describe a file, which is opened for its size, or a directory."""
        database, name = self._split(path)
        record = self._record(database, name)
        if record is not None:
            return self._opened(database, record)
        if not self.isdir(path):
            raise _unknown(path)
        return _directory(f"{database}/{name}" if name else database)

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether a file or directory is there; nothing is opened but the node."""
        return self.isfile(path) or self.isdir(path)

    def isfile(self, path: str) -> bool:
        return self._record(*self._split(path)) is not None

    def isdir(self, path: str) -> bool:
        database, name = self._split(path)
        if not database or (f"{database}/{name}" if name else database) in self._made:
            return True
        stores = self._stores(database)
        return stores is not None and (not name or any(each.startswith(f"{name}/") for each in stores))

    def created(self, path: str) -> datetime:
        """Return since when the file has its name."""
        return cast(datetime, self._file_info(path)["created"])

    def modified(self, path: str) -> datetime:
        """Return a time that is not before the last change of the file; an opening of its store moves it too."""
        return cast(datetime, self._file_info(path)["mtime"])

    # -- opening ------------------------------------------------------------------------------------------------------

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> IO[bytes]:
        """Open a file.

        Modes are those of `open`: `rb` reads; `wb` and `xb` write a new one, which takes its place at `close`; `r+b`
        and `ab` change one in place, each flush one commit.

        Raises:
            FileUnknownError: there is none to read or to change. FileTakenError: there is one, and mode is `xb`.
            StoreLockedError: it is changed in place elsewhere in this process.
            ReadOnlyError, FileModeError, PathOutsideError: nothing was changed.
            StoreError: as `Node.open_store`.
        """
        database, name = self._file_path(path)
        kind = mode.replace("b", "")
        if kind == "r":
            return self._open_to_read(database, name)
        self._require_writable(path)
        if kind in ("w", "w+", "x", "x+"):
            return self._open_new(database, name, replace=kind[0] == "w", at_once=autocommit)
        if kind in ("a", "a+") and self._record(database, name) is None:
            return self._open_new(database, name, replace=False, at_once=autocommit)
        if kind in ("r+", "a", "a+"):
            file = ChangedFile(self._own(database, name))
            file.seek(0, os.SEEK_SET if kind == "r+" else os.SEEK_END)
            return cast(IO[bytes], file)
        raise FileModeError(f"{path}: {mode!r} is no mode to open a file in. Nothing was changed.")

    def _open_to_read(self, database: str, name: str) -> IO[bytes]:
        with ExitStack() as lent:
            try:
                store = lent.enter_context(self.node.using_store(database, name))
            except NameUnknownError:
                raise _unknown(f"{database}/{name}") from None
            return cast(IO[bytes], ReadFile(store, lent.pop_all()))

    def _own(self, database: str, name: str) -> Any:
        try:
            return self.node.open_store(database, name)
        except NameUnknownError:
            raise _unknown(f"{database}/{name}") from None

    def _open_new(self, database: str, name: str, *, replace: bool, at_once: bool) -> IO[bytes]:
        if not replace and self._record(database, name) is not None:
            raise FileTakenError(f"{database}/{name} is there already, and unchanged; open it to change it.")
        with ExitStack() as made:
            replacement = made.enter_context(self.node.replacement())
            filling = made.enter_context(ExitStack())
            store = filling.enter_context(replacement.filling(database, name, self._page_size, time.time_ns()))
            path = f"{database}/{name}"
            file = NewFile(store, path, replacement, filling.pop_all(), replace=replace, at_once=at_once)
            made.pop_all()
        return cast(IO[bytes], file)

    # -- changing -----------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make an empty directory, which this object alone knows until a file is in it.

        Raises:
            FileTakenError: a file has that path.
        """
        self._require_writable(path)
        if self.isfile(path):
            raise FileTakenError(f"{path} is a file. Nothing was changed; choose another path.")
        self._made.add("/".join(filter(None, self._split(path))))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory; one with files goes with its last file.

        Raises:
            InputError: it has files.
        """
        self._require_writable(path)
        if self.ls(path, detail=False):
            raise InputError(f"{path} has files. Nothing was removed; remove them, and it is gone (recursive=True).")
        self._made.discard("/".join(filter(None, self._split(path))))

    def rm_file(self, path: str) -> None:
        """Remove a file; who reads it keeps it until he closes it. Errors as `Node.drop_file`."""
        self._require_writable(path)
        database, name = self._file_path(path)
        try:
            self.node.drop_file(database, name, while_read=True)
        except NameUnknownError:
            raise _unknown(path) from None

    _rm = rm_file

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` all that are below; each at once, all of them one after the other."""
        for each in self.expand_path(path, recursive=recursive, maxdepth=maxdepth):
            if self.isfile(each):
                self.rm_file(each)
            elif not recursive:
                self.rmdir(each)
            else:
                self._made.discard(each)

    def mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Rename a file, in one step that takes the place of what has the name; a directory file by file.

        A directory that is there, or a path that ends in a slash, takes it in under its own name, as with a shell's
        `mv`. Into another database, which has other keys, it is copied and then removed: a crash may leave both. Of a
        list or a pattern each goes into the directory `path2`, or to its own path in a list of as many; nothing is
        moved where two would go to one path.
        """
        self._require_writable(str(path1))
        if not isinstance(path1, str) or not isinstance(path2, str) or (has_magic(path1) and not self.isfile(path1)):
            for each, to in self._pairs(path1, path2):
                self.mv(each, to)
            return
        path2 = self._place(path1, path2)
        source, target = self._split(path1), self._split(path2)
        if self._record(*source) is None:
            for each in self._below(path1):
                self.mv(each, f"{path2}{each[len(self._strip_protocol(path1)) :]}")
            return
        self._file_path(path2)
        if source[0] == target[0]:
            self.node.rename_file(source[0], source[1], target[1], replace=True)
            return
        self.cp_file(path1, path2)
        self.rm_file(path1)

    def _pairs(self, path1: str | list[str], path2: str | list[str]) -> list[tuple[str, str]]:
        """Return what of a list or a pattern is to be moved where."""
        sources = self.glob(path1) if isinstance(path1, str) else path1
        if isinstance(path1, str) and not sources:
            raise _unknown(path1)
        targets = [f"{path2.rstrip('/')}/"] * len(sources) if isinstance(path2, str) else path2
        if len(sources) != len(targets):
            raise InputError(f"{len(sources)} paths cannot go to {len(targets)}. Nothing was changed; name as many.")
        pairs = list(zip(sources, targets, strict=True))
        places = Counter(self._place(each, to) for each, to in pairs)
        twice = next((place for place, count in places.items() if count > 1), None)
        if twice is not None:  # the last would take the place of those before
            raise InputError(f"more than one path would go to {twice}. Nothing was changed; give each its own.")
        return pairs

    def _place(self, path1: str, path2: str) -> str:
        """Return the path that `path1` gets where it is moved to `path2`."""
        source, target = self._strip_protocol(path1), cast(str, self._strip_protocol(path2))
        is_directory = path2.endswith("/") or (self.isdir(target) and not self.isfile(target))
        if not target or target == source or not is_directory:
            return target
        return f"{target}/{source.rpartition('/')[2]}"

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file; the copy is there whole, or not at all."""
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            while data := source.read(COPY_BYTES):
                target.write(data)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file, in the place of one that is there if `truncate`."""
        if truncate or not self.isfile(path):
            with self.open(path, "wb"):
                pass

    # -- paths --------------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return a path, or those of a list, as this file system has them: it begins with the database, not a slash."""
        stripped = super()._strip_protocol(path)
        if isinstance(stripped, str) and not stripped.startswith("//"):  # which names no database, however often
            return stripped.removeprefix("/")
        return stripped

    def _split(self, path: str) -> tuple[str, str]:
        """Return database and name, either empty where the path ends before it.

        Raises:
            PathOutsideError: it leaves the node, or a part of it can be no name.
        """
        database, _, name = self._strip_protocol(path).partition("/")
        problem = (name_problem(database) if database else None) or (name_problem(name, path=True) if name else None)
        if problem or (name and not database):
            raise PathOutsideError(
                f"{str(path)[:200]!r} is no path in a node: {problem or 'it names no database'}. Nothing was changed; "
                "a path is DATABASE/NAME."
            )
        return database, name

    def _file_path(self, path: str) -> tuple[str, str]:
        database, name = self._split(path)
        if not name:
            raise InputError(f"{path!r} is no file. Nothing was changed; a file is DATABASE/NAME.")
        return database, name

    def _databases(self) -> list[str]:
        return [name for name, database in self.node.databases.items() if database.shredded is None]

    def _stores(self, database: str) -> dict[str, StoreRecord] | None:
        found = self.node.databases.get(database)
        return None if found is None or found.shredded is not None else dict(found.stores)

    def _record(self, database: str, name: str) -> StoreRecord | None:
        found = self.node.databases.get(database)
        return found.stores.get(name) if found else None

    def _below(self, path: str) -> Iterator[str]:
        database, name = self._split(path)
        before = f"{name}/" if name else ""
        found = [f"{database}/{each}" for each in self._stores(database) or () if each.startswith(before)]
        if not found:
            raise _unknown(path)
        yield from sorted(found)

    def _file_info(self, path: str) -> Info:
        database, name = self._file_path(path)
        record = self._record(database, name)
        if record is None:
            raise _unknown(path)
        return self._opened(database, record)

    def _opened(self, database: str, record: StoreRecord) -> Info:
        with self.node.using_store(database, record.name) as store:
            return {
                "name": f"{database}/{record.name}",
                "size": store.byte_length,
                "type": "file",
                "created": _time(record.created_ns),
                "mtime": _time(store.changed_ns),
                "page_size": store.page_size,
                "store_id": store.store_id.hex(),
                "sequence": store.sequence,
            }

    def _described(self, database: str, record: StoreRecord) -> Info:
        """Describe a file of a list, where one that does not open must not hide the others."""
        try:
            return self._opened(database, record)
        except KeystoreError as error:
            created = _time(record.created_ns)
            name = f"{database}/{record.name}"
            return {"name": name, "size": None, "type": "file", "created": created, "problem": str(error)}

    def _require_writable(self, path: str) -> None:
        if self._read_only:
            raise ReadOnlyError(
                f"{path} cannot be changed: this file system was opened with read_only. Nothing was changed."
            )


def _directory(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}


def _time(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def _unknown(path: str) -> FileUnknownError:
    return FileUnknownError(f"there is no {path} in the node. Nothing was changed; check the path.")
