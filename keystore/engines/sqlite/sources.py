"""Where an import reads: a plain SQLite database by apsw, or one of SQLCipher by `sqlcipher3` (extra `sqlcipher`).

Both are only read. A key for SQLCipher never stands in a message, nor what a database holds.
"""

import importlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from keystore.engines.sqlite.contents import Connection
from keystore.engines.sqlite.opening import MAGIC
from keystore.errors import EngineSetupError, InputError, PathMissingError, WrongKeyError

KEY_BYTES_MAX = 4096
"""LIMIT: bytes of a passphrase of SQLCipher, or of its file."""


@dataclass(frozen=True)
class CipherKey:
    """What opens a SQLCipher database.

    Attributes:
        secret: a passphrase, or a raw key in SQLCipher's form x'HEX'.
        compatibility: the major version of SQLCipher that made it, where it is not the present one.
    """

    secret: str = field(repr=False)
    compatibility: int | None = None


@contextmanager
def open_source(path: Path, key: CipherKey | None) -> Iterator[Connection]:
    """Open a database to import, and keep it as it is inside the block: who writes to it waits.

    Raises:
        PathMissingError: it is not there.
        InputError: it is no SQLite database, or one of SQLCipher and no key was given.
        WrongKeyError: SQLCipher does not open it by this key.
        EngineSetupError: the library for SQLCipher is missing.
    """
    try:
        with path.open("rb") as file:
            is_plain = file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        raise PathMissingError(f"there is no file {path}. Nothing was imported; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Nothing was imported.") from None
    if is_plain and key is not None:
        raise InputError(f"{path} is a plain SQLite database. Nothing was imported; leave the key of SQLCipher out.")
    if not is_plain and key is None:
        raise InputError(
            f"{path} is no plain SQLite database. Nothing was imported; if SQLCipher made it, name its key "
            "(--sqlcipher-key-file or --sqlcipher-ask)."
        )
    with closing(_plain(path) if key is None else _ciphered(path, key)) as connection:
        yield connection


def _plain(path: Path) -> apsw.Connection:
    try:
        connection = apsw.Connection(_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        for sql in ("BEGIN", "SELECT count(*) FROM sqlite_schema"):
            connection.execute(sql).fetchall()
    except apsw.Error as error:
        raise InputError(f"{path} cannot be read as a SQLite database: {error}. Nothing was imported.") from None
    return connection


def _ciphered(path: Path, key: CipherKey) -> Any:
    try:
        library = importlib.import_module("sqlcipher3")
    except ImportError:
        raise EngineSetupError(
            "SQLCipher databases need the library sqlcipher3. Nothing was imported; install cmk-keystore[sqlcipher]."
        ) from None
    if not key.secret or "\0" in key.secret or len(key.secret.encode()) > KEY_BYTES_MAX:
        raise InputError("the key of SQLCipher is empty, too long or has a null byte. Nothing was imported.")
    connection = library.connect(_uri(path), uri=True, isolation_level=None)
    connection.text_factory = partial(str, encoding="utf-8")  # of text that is none, its own says what stands there
    try:
        connection.execute(f"PRAGMA key = {_literal(key.secret)}")
        if key.compatibility is not None:
            connection.execute(f"PRAGMA cipher_compatibility = {key.compatibility:d}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except library.Error:
        connection.close()
        raise WrongKeyError(
            f"SQLCipher does not open {path} by this key: another key, another version of SQLCipher (--sqlcipher-"
            "compatibility), or it is damaged. Nothing was imported."
        ) from None
    return connection


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro"
