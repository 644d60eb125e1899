"""The store in one SQLite file: an acknowledged change survives kill -9 and power loss.

WAL with synchronous=FULL: each change is one transaction with one sync of the log. Destroyed material is overwritten
(`secure_delete`) and the log is folded in at once, so that the file does not keep it. The file is its owner's only
(mode 0600). With a passphrase or key file every material, document and setting in it is sealed (`sealing`), and so is a
digest over all rows (`digest`); without one they are in the clear: this is an emulator.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kms_emulator.model.grants import Grant
from kms_emulator.model.identities import Credential, Identity
from kms_emulator.model.keys import NO_MATERIAL, Alias, Folder, Key
from kms_emulator.model.material import Material
from kms_emulator.model.store import KeyChange, StoredState
from kms_emulator.storage import documents
from kms_emulator.storage.digest import NO_ROWS, RowDigest
from kms_emulator.storage.errors import DataDirDamagedError, DataDirError, DataDirKeyError
from kms_emulator.storage.sealing import Clear, Sealed, Sealer

SCHEMA_VERSION = 4
APPLICATION_ID = 0x4B4D5345  # "KMSE"
PASSPHRASE_NAME = "KMS_EMULATOR_PASSPHRASE"
"""The environment variable that a passphrase is taken from."""

_SCHEMA = """
CREATE TABLE keys (uid BLOB PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE materials (
  uid BLOB NOT NULL REFERENCES keys (uid) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  secret BLOB NOT NULL,
  PRIMARY KEY (uid, number)
) WITHOUT ROWID;
CREATE TABLE aliases (
  realm TEXT NOT NULL,
  name TEXT NOT NULL,
  target BLOB NOT NULL REFERENCES keys (uid) ON DELETE CASCADE,
  document TEXT NOT NULL,
  PRIMARY KEY (realm, name)
) WITHOUT ROWID;
CREATE TABLE folders (
  realm TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (realm, name)
) WITHOUT ROWID;
CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  key_uid BLOB NOT NULL REFERENCES keys (uid) ON DELETE CASCADE,
  document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE identities (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE credentials (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sealing (header TEXT NOT NULL, digest BLOB NOT NULL);
"""


class SqliteStore:
    """One SQLite file.

    Raises:
        DataDirError: from every method, when the file cannot be opened, read or written.
    """

    def __init__(self, path: Path, secret: bytes | None = None) -> None:
        """Open the file, or create it; the caller holds the lock of its directory.

        `secret` is the passphrase or the content of the key file that it is or shall be sealed under.

        Raises:
            DataDirKeyError: the secret is wrong or missing, or is given for a file that is in the clear.
        """
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._digest: RowDigest | None = None
        with self._explained():
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(self._db)
            self._sealer = self._unlock(secret)
            if isinstance(self._sealer, Sealed):
                self._digest = self._check_rows(self._sealer)

    def _prepare(self, db: sqlite3.Connection) -> None:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        application, schema = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _IDENTITY)
        if (application, schema) == (APPLICATION_ID, SCHEMA_VERSION):
            return
        if (application, schema) != (0, 0) or db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise DataDirDamagedError(
                f"{self._path} is not a key database of this version; it is unchanged. Name another data directory."
            )
        identity = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION};"
        db.executescript(f"BEGIN;{_SCHEMA}{identity}COMMIT;")

    def _unlock(self, secret: bytes | None) -> Sealer:
        found = self._rows("SELECT header FROM sealing")
        if found and secret is None:
            raise DataDirKeyError(
                f"{self._path} is sealed; nothing was changed. Give its key with --data-key-file or {PASSPHRASE_NAME}."
            )
        if secret is None:
            return Clear()
        if found:
            try:
                return Sealed.unlock(secret, found[0][0])
            except DataDirKeyError as error:
                raise DataDirKeyError(f"{self._path}: {error}; nothing was changed.") from None
        if any(self._rows(f"SELECT 1 FROM {table} LIMIT 1") for table in _TABLES):
            raise DataDirKeyError(
                f"{self._path} is not sealed, and what it holds was written in the clear; nothing was changed. "
                "Open it without a key, or name a new directory."
            )
        sealer, header = Sealed.create(secret)
        with self._transaction() as db:
            db.execute("INSERT INTO sealing VALUES (?, ?)", (header, sealer.seal(_DIGEST, NO_ROWS)))
        return sealer

    def _check_rows(self, sealer: Sealed) -> RowDigest:
        """Return the digest of the rows; DataDirDamagedError unless they are those that were written last."""
        found = RowDigest(self._connection(), _TABLES, sealer.digest_key)
        if sealer.open(_DIGEST, self._rows("SELECT digest FROM sealing")[0][0]) != found.value:
            self.load()  # says which value was changed or moved, if one was
            raise DataDirDamagedError(
                f"{self._path}: rows were removed, added or put back from outside; nothing was changed. "
                "Restore the directory from a copy, or name another."
            )
        return found

    def load(self) -> StoredState:
        """Return everything."""
        with self._explained():
            keys = [documents.decode_key(text) for text in self._documents("keys", "hex(uid)")]
            kinds = {key.uid: key.kind for key in keys}
            materials = {
                (uid, number): Material(kinds[uid], self._sealer.open(_material(uid, number), secret))
                for uid, number, secret in self._rows("SELECT uid, number, secret FROM materials")
            }
            aliases = [documents.decode_alias(text) for text in self._documents("aliases", "realm, name")]
            folders = [documents.decode_folder(text) for text in self._documents("folders", "realm, name")]
            settings = {
                name: self._opened(("settings", name), value)
                for name, value in self._rows("SELECT name, value FROM settings")
            }
            grants = [documents.decode_grant(text) for text in self._documents("grants", "id")]
            identities = [documents.decode_identity(text) for text in self._documents("identities", "name")]
            credentials = [documents.decode_credential(text) for text in self._documents("credentials", "id")]
            self._check_complete(keys, materials)
            return StoredState(keys, materials, aliases, folders, settings, grants, identities, credentials)

    def put_keys(self, changes: Sequence[KeyChange], removed: Sequence[bytes] = ()) -> None:
        """Write keys with their new materials, and remove others with their materials and aliases, all or nothing."""
        with self._transaction() as db:
            erased = sum(self._put_key(db, key, new) for key, new in changes)
            db.executemany("DELETE FROM keys WHERE uid = ?", [(uid,) for uid in removed])
        if erased or removed:
            self._fold_log()

    def _put_key(self, db: sqlite3.Connection, key: Key, new: Mapping[int, Material]) -> int:
        """Write one key; return how many materials were erased."""
        db.execute(
            "INSERT INTO keys VALUES (?, ?) ON CONFLICT (uid) DO UPDATE SET document = excluded.document",
            (key.uid, self._stored(("keys", key.uid.hex().upper()), documents.encode_key(key))),
        )
        rows = [
            (key.uid, number, self._sealer.seal(_material(key.uid, number), material.to_stored()))
            for number, material in new.items()
        ]
        db.executemany("INSERT OR REPLACE INTO materials VALUES (?, ?, ?)", rows)
        gone = [version.number for version in key.versions if version.state in NO_MATERIAL]
        single = db.executemany("DELETE FROM materials WHERE uid = ? AND number = ?", [(key.uid, n) for n in gone])
        beyond = db.execute("DELETE FROM materials WHERE uid = ? AND number > ?", (key.uid, len(key.versions)))
        return max(single.rowcount, 0) + beyond.rowcount

    def put_alias(self, alias: Alias) -> None:
        """Write an alias."""
        document = self._stored(("aliases", alias.realm, alias.name), documents.encode_alias(alias))
        row = (alias.realm, alias.name, alias.target, document)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?, ?)", row)

    def remove_alias(self, realm: str, name: str) -> None:
        """Remove an alias."""
        with self._transaction() as db:
            db.execute("DELETE FROM aliases WHERE realm = ? AND name = ?", (realm, name))

    def put_folder(self, folder: Folder) -> None:
        """Write a folder."""
        document = self._stored(("folders", folder.realm, folder.name), documents.encode_folder(folder))
        row = (folder.realm, folder.name, document)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", row)

    def put_setting(self, name: str, value: str) -> None:
        """Write a setting."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, self._stored(("settings", name), value)))

    def put_grant(self, grant: Grant) -> None:
        """Write a grant."""
        row = (grant.id, grant.key_uid, self._stored(("grants", grant.id), documents.encode_grant(grant)))
        self._write("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", row)

    def remove_grant(self, grant_id: str) -> None:
        """Remove a grant."""
        self._write("DELETE FROM grants WHERE id = ?", (grant_id,))

    def put_identity(self, identity: Identity) -> None:
        """Write an identity."""
        document = self._stored(("identities", identity.name), documents.encode_identity(identity))
        self._write("INSERT OR REPLACE INTO identities VALUES (?, ?)", (identity.name, document))

    def remove_identity(self, name: str) -> None:
        """Remove an identity."""
        self._write("DELETE FROM identities WHERE name = ?", (name,))

    def put_credential(self, credential: Credential) -> None:
        """Write a credential."""
        document = self._stored(("credentials", credential.id), documents.encode_credential(credential))
        self._write("INSERT OR REPLACE INTO credentials VALUES (?, ?)", (credential.id, document))

    def remove_credential(self, credential_id: str) -> None:
        """Remove a credential."""
        self._write("DELETE FROM credentials WHERE id = ?", (credential_id,))

    def clear(self) -> None:
        """Remove everything but what the file is sealed under."""
        with self._transaction() as db:
            for table in _TABLES:
                db.execute(f"DELETE FROM {table}")
        self._fold_log()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _fold_log(self) -> None:
        with self._explained():
            self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _rows(self, query: str) -> list[Any]:
        return self._connection().execute(query).fetchall()

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        with self._transaction() as db:
            db.execute(statement, row)

    def _documents(self, table: str, columns: str) -> Iterator[str]:
        """Yield the documents of a table whose rows are named by `columns`."""
        for *names, stored in self._rows(f"SELECT {columns}, document FROM {table}"):
            yield self._opened((table, *names), stored)

    def _stored(self, place: tuple[str, ...], text: str) -> str | bytes:
        """Return a document as the file holds it: text in the clear, bytes when sealed."""
        return text if isinstance(self._sealer, Clear) else self._sealer.seal(place, text.encode())

    def _opened(self, place: tuple[str, ...], stored: str | bytes) -> str:
        if isinstance(self._sealer, Clear) and isinstance(stored, str):
            return stored
        return self._sealer.open(place, stored).decode()  # type: ignore[arg-type] # text is refused as not sealed

    def _check_complete(self, keys: list[Key], materials: Mapping[tuple[bytes, int], Material]) -> None:
        for key in keys:
            for version in key.versions:
                held = (key.uid, version.number) in materials
                if held is (version.state in NO_MATERIAL):
                    raise DataDirDamagedError(
                        f"{self._path}: version {version.number} of key {key.name} and its material do not agree; "
                        "nothing was changed. Restore the directory from a copy, or name another."
                    )

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise DataDirError(f"{self._path} was closed")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                self._put_digest(db)
                db.execute("COMMIT")
            except BaseException:
                if self._digest is not None:
                    self._digest.revert()
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            if self._digest is not None:
                self._digest.settle()

    def _put_digest(self, db: sqlite3.Connection) -> None:
        """Write the digest of the rows, in the transaction that changes them."""
        if self._digest is not None:
            db.execute("UPDATE sealing SET digest = ?", (self._sealer.seal(_DIGEST, self._digest.value),))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _UNREADABLE in str(error):  # its text goes on with what the column holds, which may be a secret
                raise DataDirDamagedError(f"{self._path}: a text in it is not UTF-8; nothing was changed") from None
            kind = DataDirError if isinstance(error, sqlite3.OperationalError) else DataDirDamagedError
            raise kind(f"{self._path}: {error}; the change did not happen") from error
        except OSError as error:
            raise DataDirError(f"{self._path} cannot be opened: {error.strerror}") from error
        except (KeyError, TypeError, ValueError) as error:
            text = f"{self._path} holds a document that cannot be read: {type(error).__name__}: {error}"
            raise DataDirDamagedError(text) from error


_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "recursive_triggers=ON")
"""The last one lets a row that another takes the place of be told to the digest."""

_UNREADABLE = "Could not decode to UTF-8"
_IDENTITY = ("application_id", "user_version")
_DIGEST = ("sealing", "digest")
_TABLES = ("aliases", "materials", "grants", "keys", "folders", "settings", "identities", "credentials")


def _material(uid: bytes, number: int) -> tuple[str, ...]:
    return "materials", uid.hex(), str(number)
