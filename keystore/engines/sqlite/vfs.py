"""The VFS of encrypted databases, `keystore`: what SQLite opens goes to a database that is open, or to this process.

No file is ever opened or made by its name here.
"""

from collections.abc import Callable
from typing import Final

import apsw

from keystore.engines.sqlite.main_file import MainFile
from keystore.engines.sqlite.scratch import Scratch

NAME: Final = "keystore"


class KeystoreVfs(apsw.VFS):
    """Registered as long as it lives.

    Args:
        open_file: gives the file of a database that is open in this process, by the path that SQLite was given.
        name: by which SQLite knows it.
    """

    def __init__(self, open_file: Callable[[str], MainFile], name: str = NAME) -> None:
        super().__init__(name, base="")
        self._open_file = open_file

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> MainFile | Scratch:  # type: ignore[override]  # noqa: N802
        """Open a file of any kind."""
        flags[1] = flags[0]
        if flags[0] & apsw.SQLITE_OPEN_SUPER_JOURNAL:
            raise apsw.CantOpenError(
                "a transaction changed several databases, of which one is encrypted: it could not be atomic. It is "
                "rolled back; change one database in a transaction"
            )
        if flags[0] & apsw.SQLITE_OPEN_WAL:
            raise apsw.CantOpenError("an encrypted database has no WAL")
        if not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return Scratch()
        if not isinstance(name, apsw.URIFilename):
            return self._open_file(str(name))
        if name.uri_parameter("vfs") is not None:
            # A connection whose own database is of another VFS asks for no super-journal where that one is in memory,
            # or where it turned the journals off.
            raise apsw.CantOpenError(
                f"{name.filename()} is not attached by `vfs=keystore`: a connection whose own database is not "
                "encrypted may change several in a transaction that is not atomic. Connect to it with "
                "`keystore.engines.sqlite.connect`, and attach the others to that connection"
            )
        return self._open_file(name.filename())

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """There is never a journal of another process."""
        return False

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Nothing: a journal ends when it is closed."""

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name
