"""The volume key of a node: the second, outer layer of encryption, under a platform key (docs/FORMAT.md, section 17).

As with the master key, what the KMS wraps is a random secret; the volume key is derived from it, with a commitment.
Each file has a key of its own, derived from the volume key and the file's id, so that equal sectors of two files
differ, and a file may be renamed.

Invariant: the volume key stays the same as long as a node has a volume layer; a change of the platform key wraps it
anew (`rewrap`).

Leaves to others: which files have the layer (`keystore.node`, `keystore.snapshots`).
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keystore.crypto.context import encode_context
from keystore.crypto.derive import commitments_equal, derive, derive_committed
from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import SECTOR_KEY_BYTES
from keystore.errors import CiphertextError, VolumeKeyDamagedError, VolumeKeyMissingError, WrongKeyError
from keystore.format.cursor import NotDecodableError
from keystore.format.volume import ID_BYTES, RECORD_BYTES_MAX, VolumeRecord
from keystore.format.wrapped import WrappedKey
from keystore.keys.files import Files, publish, write_beside
from keystore.keys.master import SecretWrapper

_PURPOSE = "volume key 1"
_PURPOSE_FILE = "volume file 1"

FileKind = Literal["store", "pack", "segment"]


@dataclass(frozen=True)
class VolumeKey:
    """An open volume key, and the record that gives it back."""

    record: VolumeRecord
    key: SecretKey

    def file_key(self, kind: FileKind, file_id: bytes) -> SecretKey:
        """Derive the key of one file, for a `SectorCipher`; the caller wipes it."""
        return derive(self.key, b"", _PURPOSE_FILE, kind.encode(), file_id, length=SECTOR_KEY_BYTES)

    def wipe(self) -> None:
        self.key.wipe()


def generate_volume(kms: SecretWrapper) -> VolumeKey:
    """Make a volume key under `kms`; the caller wipes it.

    Raises:
        KmsError: as the KMS refused.
        CiphertextError: the KMS gave back something else than what it had wrapped.
    """
    volume_id = secrets.token_bytes(ID_BYTES)
    with SecretKey.generate() as secret:
        wrapped = _wrap(kms, secret, volume_id)
        key, commitment = _derive(secret, volume_id)
    return VolumeKey(VolumeRecord(volume_id, 1, commitment, wrapped), key)


def open_volume(kms: SecretWrapper, record: VolumeRecord) -> VolumeKey:
    """Have the KMS unwrap a volume key; the caller wipes it.

    Raises:
        KmsError: as the KMS refused.
        WrongKeyError: what came back is not the secret of this volume.
    """
    with _unwrap(kms, record) as secret:
        key, _ = _derive(secret, record.volume_id)
    return VolumeKey(record, key)


def rewrap(former: SecretWrapper, new: SecretWrapper, record: VolumeRecord) -> VolumeRecord:
    """Return the record of the same volume key under another platform key; errors as `open_volume`."""
    with _unwrap(former, record) as secret:
        wrapped = _wrap(new, secret, record.volume_id)
    return VolumeRecord(record.volume_id, record.generation + 1, record.commitment, wrapped)


def load(files: Files, path: Path) -> VolumeRecord:
    """Read the record in the file `path`.

    Raises:
        VolumeKeyMissingError: it is not there.
        VolumeKeyDamagedError: it was changed or cut, or cannot be read.
    """
    try:
        return VolumeRecord.decode(files.read(path, RECORD_BYTES_MAX))
    except FileNotFoundError:
        raise VolumeKeyMissingError(
            f"this node has a volume layer, and the file of its volume key, {path}, is missing. Nothing was changed; "
            "bring it back from a copy: without it no file of this node opens."
        ) from None
    except NotDecodableError as error:
        raise damaged(path, str(error)) from None
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror}") from None


def save(files: Files, path: Path, record: VolumeRecord) -> None:
    """Put `record` in the place of what is at `path`, durably and at once; errors come out as `OSError`."""
    write_beside(files, path, record.encode())
    publish(files, path)


def damaged(path: Path, found: str) -> VolumeKeyDamagedError:
    """Return the error about the file of a volume key."""
    return VolumeKeyDamagedError(
        f"the volume key file {path} is damaged: {found}. Nothing was changed; bring it back from a copy: without it "
        "no file of this node opens."
    )


def _context(volume_id: bytes) -> dict[str, str]:
    return {"keystore:volume": volume_id.hex()}


def _derive(secret: SecretKey, volume_id: bytes) -> tuple[SecretKey, bytes]:
    (key,), commitment = derive_committed(secret, b"", _PURPOSE, encode_context(_context(volume_id)))
    return key, commitment


def _wrap(kms: SecretWrapper, secret: SecretKey, volume_id: bytes) -> WrappedKey:
    wrapped = kms.wrap(secret, _context(volume_id))
    with kms.unwrap(wrapped, _context(volume_id)) as returned:
        if returned != secret:
            raise CiphertextError(
                f"{wrapped.key_id}: the KMS did not give back what it had wrapped. Nothing was changed; do not use "
                "this key."
            )
    return wrapped


def _unwrap(kms: SecretWrapper, record: VolumeRecord) -> SecretKey:
    secret = kms.unwrap(record.wrapped, _context(record.volume_id))
    key, commitment = _derive(secret, record.volume_id)
    key.wipe()
    if not commitments_equal(commitment, record.commitment):
        secret.wipe()
        raise WrongKeyError(
            f"{record.wrapped.key_id}: what the KMS unwrapped is not the key of volume {record.volume_id.hex()}. "
            "Nothing was written; the wrapped key belongs to another volume, or was changed."
        )
    return secret
