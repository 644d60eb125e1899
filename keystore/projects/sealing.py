"""Seals what the database must not hold in clear: customers' credentials, under the platform key.

The platform key wraps a random secret (`keystore.kms`), and the secret seals (`keystore.crypto.wrap`, where each
message has a key of its own). A process makes one such secret at its first seal; the blob has it as the KMS wrapped it:

    version 1 (u8) | provider, key URI, key version, wrapped secret: each a length (u32 LE) and bytes | sealed

All that stands before `sealed` is bound to it, and so is the caller's context: a blob that was copied to another row
does not open. A blob's key URI is for people; only the platform key that this process was given is ever asked.

Secrets that were opened stay in memory, so that a platform KMS that does not answer stops no validation.
"""

import threading
from collections.abc import Mapping
from contextlib import closing

from keystore.crypto.context import encode_fields
from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap, wrap
from keystore.errors import ControlError, WrongKeyError
from keystore.format.cursor import Cursor, NotDecodableError
from keystore.kms.protocol import KmsConnector, WrappedKey

VERSION = 1
OPENED_MAX = 1024
"""LIMIT: secrets that stay open; one for each start of a control process that sealed something."""

_PURPOSE = "credentials of the control plane 1"
_CONTEXT: Mapping[str, str] = {"keystore": _PURPOSE}


class Sealer:
    """Seals and opens under a platform key. Threads may share it; `close` wipes what it holds.

    Args:
        key_uri: of the platform key.
        connect: gives the client of a key URI; asked at the first use.
    """

    def __init__(self, key_uri: str, connect: KmsConnector) -> None:
        self._key_uri, self._connect = key_uri, connect
        self._lock = threading.Lock()
        self._own: bytes | None = None
        self._opened: dict[bytes, SecretKey] = {}

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Return `plaintext` sealed, bound to `context`, which says where it will lie.

        Raises:
            KmsError: the platform key could not be used.
        """
        with self._lock:
            head = self._own = self._own or self._make()
            return head + wrap(self._opened[head], plaintext, _PURPOSE, head, context.encode())

    def open(self, blob: bytes, context: str) -> bytes:
        """Return what was sealed for `context`.

        Raises:
            ControlError: it was changed, or sealed for another context.
            KmsError: the platform key that sealed it could not be used.
        """
        head, wrapped = _decode_head(blob)
        with self._lock:
            if head not in self._opened:
                with closing(self._connect(self._key_uri)) as kms:
                    self._keep(head, kms.unwrap(wrapped, _CONTEXT))
            try:
                return bytes(unwrap(self._opened[head], blob[len(head) :], _PURPOSE, head, context.encode()))
            except (WrapDamagedError, WrongKeyError):
                raise _damaged() from None

    def close(self) -> None:
        """Wipe every secret; who uses the sealer again asks the KMS again."""
        with self._lock:
            self._own = None
            while self._opened:
                self._opened.popitem()[1].wipe()

    def _make(self) -> bytes:
        secret = SecretKey.generate()
        with closing(self._connect(self._key_uri)) as kms:
            head = _encode_head(kms.wrap(secret, _CONTEXT))
        self._keep(head, secret)
        return head

    def _keep(self, head: bytes, secret: SecretKey) -> None:
        if len(self._opened) >= OPENED_MAX:
            self._opened.pop(next(found for found in self._opened if found != self._own)).wipe()
        self._opened[head] = secret


def _encode_head(wrapped: WrappedKey) -> bytes:
    texts = (wrapped.provider, wrapped.key_id, wrapped.key_version)
    return bytes([VERSION]) + encode_fields(*(text.encode() for text in texts), wrapped.ciphertext)


def _decode_head(blob: bytes) -> tuple[bytes, WrappedKey]:
    cursor = Cursor(blob)
    try:
        if cursor.take(1, "the version") != bytes([VERSION]):
            raise _damaged()
        provider, key_uri, key_version = (cursor.text(what) for what in ("provider", "key URI", "key version"))
        wrapped = WrappedKey(provider, key_uri, key_version, cursor.field("wrapped secret"))
    except NotDecodableError:
        raise _damaged() from None
    return blob[: cursor.at], wrapped


def _damaged() -> ControlError:
    return ControlError(
        "sealed credentials in the control database were changed, or belong to another row. Nothing was changed; save "
        "the credentials again."
    )
