"""The keystore file: the one place where a node's data keys live, sealed under its master key.

Leaves to `keystore.node`: when to write it, and the anchor that names the one in force. The layout, with the numbered
rules, is in `keystore.format.keyfile`.

Invariants:
1. The file is replaced whole and at once (write beside, sync, read back, rename, sync the directory): at every moment
   there is one that opens.
2. A missing, damaged or foreign file is an error. Nothing here ever makes a new one where one should be.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.crypto.wrap import OVERHEAD_BYTES, WrapDamagedError, unwrap, wrap
from keystore.errors import KeyFileDamagedError, KeyFileError, KeyFileMissingError, KeyFileWriteError, WrongKeyError
from keystore.format.cursor import NotDecodableError
from keystore.format.keyfile import (
    FILE_BYTES_MAX,
    Body,
    DatabaseRow,
    DataKeyRow,
    Head,
    IdentityRow,
    KeyFileParts,
    decode_body,
    encode_body,
    encode_head,
    join,
    split,
)
from keystore.format.volume import NO_VOLUME
from keystore.keys.files import Files, publish, write_beside
from keystore.keys.hierarchy import Database, DataKey, Keystore, LogSetting, OutsideSetting
from keystore.keys.master import MasterKey, SecretWrapper, open_master

_PURPOSE = "keystore file 1"


@dataclass(frozen=True)
class KeyFile:
    """A keystore file as it is on disk, unopened.

    Attributes:
        head: the clear part: node id, generations, key URI, wrapped master key.
        fingerprint: SHA-256 of the whole file, as the anchors record it.
    """

    parts: KeyFileParts
    fingerprint: bytes

    @property
    def head(self) -> Head:
        return self.parts.head


def load(files: Files, path: Path) -> KeyFile:
    """Read a keystore file; needs no key and no KMS.

    Raises:
        KeyFileMissingError: it is not there.
        KeyFileDamagedError: it was changed or cut, or is something else.
        KeyFileError: the operating system does not let it be read.
    """
    try:
        data = files.read(path, FILE_BYTES_MAX)
    except FileNotFoundError:
        raise KeyFileMissingError(
            f"the keystore file {path} is missing. Nothing was changed; bring it back from a copy: without it nothing "
            "of this node opens."
        ) from None
    except OSError as error:
        raise KeyFileError(f"the keystore file {path} cannot be read: {error.strerror}. Nothing was changed.") from None
    if len(data) > FILE_BYTES_MAX:
        raise _damaged(path, f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        return KeyFile(split(data), hashlib.sha256(data).digest())
    except NotDecodableError as error:
        raise _damaged(path, str(error)) from None


def unlock(keyfile: KeyFile, kms: SecretWrapper, path: Path) -> tuple[MasterKey, Keystore]:
    """Have the KMS unwrap the master key, and open the body with it. The caller wipes both.

    Raises:
        KmsError: as the KMS refused.
        WrongKeyError: the KMS unwrapped another secret than this file's.
        KeyFileDamagedError: the body was changed.
    """
    head = keyfile.head
    master = open_master(kms, head.wrapped, head.node_id, head.master_generation, head.commitment)
    try:
        return master, open_body(keyfile.parts, master.key, path)
    except BaseException:
        master.wipe()
        raise


def open_body(parts: KeyFileParts, master_key: SecretKey, path: Path) -> Keystore:
    """Open the sealed body of a keystore file."""
    try:
        data = unwrap(master_key, parts.sealed_body, _PURPOSE, parts.head_bytes)
    except (WrongKeyError, WrapDamagedError) as error:
        raise _damaged(path, f"its body does not open under its master key: {error}") from None
    try:
        return _from_body(decode_body(data, parts.version))
    except NotDecodableError as error:
        raise _damaged(path, f"its body is sealed well and says nonsense: {error}") from None
    finally:
        data[:] = bytes(len(data))


def seal(keystore: Keystore, master: MasterKey, file_generation: int, now_ns: int) -> bytes:
    """Return a whole keystore file (K-1 to K-7)."""
    head = Head(file_generation, master.node_id, master.generation, now_ns, master.commitment, master.wrapped)
    body = encode_body(_to_body(keystore))
    try:
        head_bytes = encode_head(head, len(body) + OVERHEAD_BYTES)
        return join(head_bytes, wrap(master.key, body, _PURPOSE, head_bytes))
    finally:
        body[:] = bytes(len(body))


def fingerprint(data: bytes) -> bytes:
    """Return the fingerprint of a keystore file."""
    return hashlib.sha256(data).digest()


def prepare(files: Files, path: Path, data: bytes) -> None:
    """Write the next keystore file beside the one in force, durably; `files.publish` puts it in force.

    Raises:
        KeyFileWriteError: no space, or the operating system refused; the file in force is unchanged.
    """
    if len(data) > FILE_BYTES_MAX:
        raise KeyFileWriteError(f"the keystore file would have {len(data)} bytes, over {FILE_BYTES_MAX}; unchanged")
    try:
        write_beside(files, path, data)
    except OSError as error:
        raise KeyFileWriteError(
            f"the next keystore file could not be written beside {path}: {error.strerror}. The one in force is "
            "unchanged; make space or give write access, and try again."
        ) from error


def write_new(files: Files, path: Path, data: bytes) -> None:
    """Write the first keystore file of a node, durably.

    Raises:
        KeyFileWriteError: it could not be written.
    """
    prepare(files, path, data)
    try:
        publish(files, path)
    except OSError as error:
        raise KeyFileWriteError(f"the keystore file {path} could not be written: {error.strerror}") from error


def _damaged(path: Path, found: str) -> KeyFileDamagedError:
    return KeyFileDamagedError(
        f"the keystore file {path} is damaged: {found}. Nothing was changed; bring it back from a copy: without it "
        "nothing of this node opens."
    )


def _to_body(keystore: Keystore) -> Body:
    databases = [
        DatabaseRow(
            database.database_id,
            database.name,
            database.created_ns,
            [DataKeyRow(k.generation, k.decrypt_only, k.created_ns, k.seals, k.key.view()) for k in database.data_keys],
            list(database.stores.values()),
            database.destroyed,
            database.shredded,
            database.left_below,
        )
        for database in keystore.databases.values()
    ]
    outside, log = keystore.outside_anchor, keystore.log
    return Body(
        keystore.node_name,
        keystore.created_ns,
        keystore.anchor_key.view(),
        keystore.volume_id or NO_VOLUME,
        databases,
        IdentityRow(keystore.signing.seed.view(), keystore.snapshot_secret.view()),
        outside.place if outside else "",
        outside.each_commit if outside else False,
        log.place if log else "",
        log.window_days if log else 0,
        keystore.volume_change,
    )


def _from_body(body: Body) -> Keystore:
    """Return the contents; a body of a version without an identity is given one, durable with the next writing."""
    identity = body.identity
    signing = SigningKey(SecretKey(identity.signing_seed)) if identity else SigningKey.generate()
    snapshot_secret = SecretKey(identity.snapshot_secret) if identity else SecretKey.generate()
    databases = {row.name: _from_row(row) for row in body.databases}
    volume_id = None if body.volume_id == NO_VOLUME else body.volume_id
    outside = OutsideSetting(body.outside_anchor, body.outside_each_commit) if body.outside_anchor else None
    return Keystore(
        body.node_name,
        body.created_ns,
        SecretKey(body.anchor_key),
        signing,
        snapshot_secret,
        MappingProxyType(databases),
        volume_id,
        outside,
        LogSetting(body.log_place, body.log_window_days) if body.log_place else None,
        body.volume_change,
    )


def _from_row(row: DatabaseRow) -> Database:
    data_keys = tuple(
        DataKey(k.generation, SecretKey(k.key), k.created_ns, k.decrypt_only, k.seals) for k in row.data_keys
    )
    stores = MappingProxyType({store.name: store for store in row.stores})
    return Database(
        row.database_id,
        row.name,
        row.created_ns,
        data_keys,
        stores,
        tuple(row.destroyed),
        row.shredded,
        row.left_below,
    )
