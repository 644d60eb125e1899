"""Plays what SQLite does to its files on a simulated disk, while it does it to real ones.

The `sqlite3` of the standard library has no hook for it, so the recorded run goes through apsw, a second build of
SQLite; what the crashes left is opened with the standard library, as a user's emulator does.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw

from tests.simulated_files import SimulatedFiles

VFS = "recording"
LOGS = ("-wal", "-journal")


class RecordingVfs(apsw.VFS):
    """The system's file layer, whose every write is told to `files`. Locks and shared memory are not content."""

    def __init__(self, files: SimulatedFiles) -> None:
        self.files = files
        super().__init__(VFS, "")

    def xOpen(self, name: Any, flags: list[int]) -> "RecordingFile":  # noqa: N802
        return RecordingFile(self.files, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(name, syncdir)
        self.files.remove(Path(name))
        if syncdir:
            self.files.sync_directory(Path(name).parent)


class RecordingFile(apsw.VFSFile):
    """One open file of SQLite's."""

    def __init__(self, files: SimulatedFiles, name: Any, flags: list[int]) -> None:
        self._files, self._path = files, Path(name if isinstance(name, str) else name.filename())
        super().__init__("", name, flags)
        there = self._path in files.disk.names()
        self._fd = files.open(self._path) if there else files.create(self._path)
        self._name_waits = not there and self._path.name.endswith(LOGS)
        """The unix layer syncs the directory of a new log with the first sync of the log."""

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._files.write(self._fd, offset, data)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._files.truncate(self._fd, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Only told: the real file is thrown away."""
        self._files.sync(self._fd)
        if self._name_waits:
            self._files.sync_directory(self._path.parent)
            self._name_waits = False


class Connection:
    """What the emulator uses of `sqlite3.Connection`, on apsw."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path), vfs=VFS)

    def execute(self, statement: str, values: Iterable[Any] = ()) -> "Cursor":
        before = self._db.total_changes()
        rows = self._db.execute(statement, tuple(values)).fetchall()
        return Cursor(rows, self._db.total_changes() - before)

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> "Cursor":
        return Cursor([], sum(self.execute(statement, row).rowcount for row in rows))

    def executescript(self, script: str) -> None:
        self._db.execute(script)

    def create_function(self, name: str, _: int, function: Callable[..., Any]) -> None:
        self._db.create_scalar_function(name, function)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def close(self) -> None:
        self._db.close()


class Cursor:
    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


@contextmanager
def recorded(files: SimulatedFiles) -> Iterator[None]:
    """Record on `files` what the emulator's database does."""
    vfs = RecordingVfs(files)
    try:
        with patch.object(sqlite3, "connect", lambda path, **_: Connection(path)):
            yield
    finally:
        vfs.unregister()
