"""`local`: a key file or a passphrase in place of a KMS, for people without one.

Leaves to others: who may read the file. Whoever has the key file (or the passphrase) and a copy of the data has
everything; there is no off switch, no log and no rotation at a service.

A key file is `KEY_FILE_BYTES` random bytes in a file that only its owner can read. A passphrase goes through Argon2id
(RFC 9106); salt and costs stand in the wrapped key, so that nothing else has to be kept:

    version 1 (u8) | operations (u32) | memory bytes (u64) | salt 16 | sealed secret | checksum 8

The checksum (SHA-256, cut) is no protection. It tells a damaged wrapped key from a wrong passphrase.
"""

import hashlib
import os
import secrets
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nacl.pwhash import argon2id

from keystore.crypto.context import encode_context
from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import OVERHEAD_BYTES, WrapDamagedError, unwrap, wrap
from keystore.durable import sync_directory
from keystore.errors import (
    CiphertextError,
    InputError,
    KeyNotFoundError,
    KeyUnusableError,
    KmsPermissionError,
    KmsUnreachableError,
    PassphraseError,
    PathMissingError,
    PathTakenError,
    WrongKeyError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms.protocol import SECRET_BYTES, KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.uri import KeyUri

KEY_FILE_BYTES = 32
PASSPHRASE_ENVIRONMENT = "KEYSTORE_PASSPHRASE"

AskPassphrase = Callable[[KeyUri], SecretKey]
"""Gives the passphrase for a key URI; who calls it wipes it."""

_PURPOSE_FILE = "local key file"
_PURPOSE_PASSPHRASE = "local passphrase"
_HEAD = struct.Struct("<BIQ16s")
_CHECKSUM_BYTES = 8
_PASSPHRASE_BLOB_BYTES = _HEAD.size + SECRET_BYTES + OVERHEAD_BYTES + _CHECKSUM_BYTES


@dataclass(frozen=True)
class Argon2Cost:
    """Costs of Argon2id: passes over the memory, and bytes of it.

    The default is libsodium's MODERATE: half a second and 256 MiB, once for each wrap or unwrap.
    """

    operations: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE


OPERATIONS_MAX = 64
"""LIMIT: passes that a wrapped key may ask for, so that an edited one cannot keep a node busy for hours."""

MEMORY_BYTES_MAX = 1 << 30
"""LIMIT: memory that a wrapped key may ask for (libsodium's SENSITIVE), so that an edited one cannot take it all."""


def create_key_file(path: Path) -> None:
    """Write a new key file, readable by its owner only, and make it durable.

    Raises:
        PathTakenError: something is already at `path`.
        PathMissingError: its directory is not there.
        InputError: it cannot be made.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise PathTakenError(f"{path} exists and is unchanged; a key is never overwritten") from None
    except FileNotFoundError:
        raise PathMissingError.parent_of(path) from None
    except OSError as error:
        raise InputError(f"no key file can be made at {path}: {error.strerror}. Nothing was changed.") from None
    try:
        with SecretKey.generate(KEY_FILE_BYTES) as key:
            os.write(fd, key.view())
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)


class KeyFileKms:
    """A key file. It is read at each call and not held in between."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri

    def describe(self) -> KeyDescription:
        _read_key_file(Path(self._uri.key)).wipe()
        return KeyDescription("local", self._uri.text, "", "Enabled", usable=True)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        with _read_key_file(Path(self._uri.key)) as key:
            sealed = wrap(key, secret.view(), _PURPOSE_FILE, encode_context(context))
        return WrappedKey("local", self._uri.text, "", sealed)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "local")
        with _read_key_file(Path(self._uri.key)) as key:
            try:
                return _open(key, wrapped.ciphertext, self._uri.text, _PURPOSE_FILE, encode_context(context))
            except WrongKeyError:
                raise CiphertextError(
                    f"{self._uri}: the key file is not the one that wrapped this key, or the wrapped key was "
                    "changed. Nothing was written; configure the key file that was used then."
                ) from None

    def close(self) -> None:
        """Nothing is held."""


class PassphraseKms:
    """A passphrase, asked for when it is first needed and held until `close`."""

    def __init__(self, uri: KeyUri, ask: AskPassphrase | None = None, cost: Argon2Cost | None = None) -> None:
        self._uri, self._ask, self._cost = uri, ask or _passphrase_from_environment, cost or Argon2Cost()
        self._passphrase: SecretKey | None = None

    def describe(self) -> KeyDescription:
        self._given()
        return KeyDescription("local", self._uri.text, "", "Enabled", usable=True)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        head = _HEAD.pack(1, self._cost.operations, self._cost.memory_bytes, secrets.token_bytes(16))
        with self._stretch(head) as key:
            sealed = wrap(key, secret.view(), _PURPOSE_PASSPHRASE, head, encode_context(context))
        return WrappedKey("local", self._uri.text, "", head + sealed + _checksum(head + sealed))

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "local")
        blob = wrapped.ciphertext
        body, checksum = blob[:-_CHECKSUM_BYTES], blob[-_CHECKSUM_BYTES:]
        if len(blob) != _PASSPHRASE_BLOB_BYTES or _checksum(body) != checksum:
            raise CiphertextError(f"{self._uri}: the wrapped key was changed or cut. Nothing was written.")
        head, sealed = body[: _HEAD.size], body[_HEAD.size :]
        with self._stretch(head) as key:
            try:
                return _open(key, sealed, self._uri.text, _PURPOSE_PASSPHRASE, head, encode_context(context))
            except WrongKeyError:
                raise PassphraseError(
                    f"{self._uri}: wrong passphrase. Nothing was changed; try again with the one that was used then."
                ) from None

    def close(self) -> None:
        if self._passphrase is not None:
            self._passphrase.wipe()
            self._passphrase = None

    def _given(self) -> SecretKey:
        if self._passphrase is None:
            self._passphrase = self._ask(self._uri)
        if len(self._passphrase) == 0:
            self.close()
            raise PassphraseError(f"{self._uri}: the passphrase is empty. Nothing was changed.")
        return self._passphrase

    def _stretch(self, head: bytes) -> SecretKey:
        version, operations, memory_bytes, salt = _HEAD.unpack(head)
        low_enough = 1 <= operations <= OPERATIONS_MAX and argon2id.MEMLIMIT_MIN <= memory_bytes <= MEMORY_BYTES_MAX
        if version != 1 or not low_enough:
            raise CiphertextError(
                f"{self._uri}: the wrapped key asks for version {version}, {operations} passes and {memory_bytes} "
                f"bytes of memory; version 1, {OPERATIONS_MAX} and {MEMORY_BYTES_MAX} are the most. Nothing written."
            )
        try:
            return SecretKey(argon2id.kdf(32, bytes(self._given().view()), salt, operations, memory_bytes))
        except MemoryError:
            raise KmsUnreachableError(
                f"{self._uri}: Argon2id found no {memory_bytes} bytes of memory. Try again when there are."
            ) from None


def _passphrase_from_environment(uri: KeyUri) -> SecretKey:
    passphrase = os.environ.get(PASSPHRASE_ENVIRONMENT, "")
    if not passphrase:
        raise PassphraseError(f"{uri}: no passphrase was given. Nothing was changed; set {PASSPHRASE_ENVIRONMENT}.")
    return SecretKey(os.fsencode(passphrase))


def _open(key: SecretKey, sealed: bytes, key_id: str, purpose: str, *context: bytes) -> SecretKey:
    try:
        opened = unwrap(key, sealed, purpose, *context)
    except WrapDamagedError as error:
        raise CiphertextError(
            f"{key_id}: the wrapped key was changed, cut, or is bound to another context: {error}. Nothing was written."
        ) from None
    try:
        return receive_secret(opened, key_id)
    finally:
        opened[:] = bytes(len(opened))


def _read_key_file(path: Path) -> SecretKey:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise KeyNotFoundError(
            f"there is no key file at {path}. Nothing was changed; bring it back, or for a new node make one "
            "(keystore keys create-file)."
        ) from None
    except PermissionError:
        raise KmsPermissionError(f"the key file {path} may not be read by this user. Nothing was changed.") from None
    except OSError as error:
        raise KmsUnreachableError(f"the key file {path} cannot be opened: {error.strerror}. Try again later.") from None
    try:
        return _read_checked(fd, path)
    except OSError as error:
        raise KmsUnreachableError(f"the key file {path} cannot be read: {error.strerror}. Try again later.") from None
    finally:
        os.close(fd)


def _read_checked(fd: int, path: Path) -> SecretKey:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise KeyUnusableError(f"{path} is not a file. Nothing was changed; name a key file.")
    if status.st_mode & 0o077:
        raise KmsPermissionError(
            f"the key file {path} can be reached by others (mode {status.st_mode & 0o777:04o}). "
            f"Nothing was changed; `chmod 600 {path}`, and if somebody may have read it, change to a new key."
        )
    key = bytearray(KEY_FILE_BYTES + 1)
    try:
        length = os.readv(fd, [key])
        if length != KEY_FILE_BYTES:
            raise KeyUnusableError(
                f"{path} is not a key file: it has {status.st_size} bytes, not {KEY_FILE_BYTES}. Nothing was changed."
            )
        return SecretKey(memoryview(key)[:length])
    finally:
        key[:] = bytes(len(key))


def _checksum(blob: bytes) -> bytes:
    return hashlib.sha256(blob).digest()[:_CHECKSUM_BYTES]
