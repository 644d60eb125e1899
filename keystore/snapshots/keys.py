"""The keys below a snapshot key (`MasterKey.snapshot_key`): data keys and pack keys, wrapped in the manifest.

A pack has a random key of its own, so that a later snapshot can name the pack and carry its key, without the master
key of the snapshot that wrote it.
"""

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import unwrap, wrap

BODY_PURPOSE = "snapshot manifest 1"
_DATA_KEY = "snapshot data key 1"
_PACK_KEY = "snapshot pack key 1"


def wrap_data_key(snapshot_key: SecretKey, key: SecretKey, database_id: bytes, generation: int) -> bytes:
    return wrap(snapshot_key, key.view(), _DATA_KEY, database_id, generation.to_bytes(4, "little"))


def unwrap_data_key(snapshot_key: SecretKey, wrapped: bytes, database_id: bytes, generation: int) -> SecretKey:
    return _secret(unwrap(snapshot_key, wrapped, _DATA_KEY, database_id, generation.to_bytes(4, "little")))


def wrap_pack_key(snapshot_key: SecretKey, key: SecretKey, pack_id: bytes, store_id: bytes) -> bytes:
    return wrap(snapshot_key, key.view(), _PACK_KEY, pack_id, store_id)


def unwrap_pack_key(snapshot_key: SecretKey, wrapped: bytes, pack_id: bytes, store_id: bytes) -> SecretKey:
    return _secret(unwrap(snapshot_key, wrapped, _PACK_KEY, pack_id, store_id))


def _secret(opened: bytearray) -> SecretKey:
    try:
        return SecretKey(opened)
    finally:
        opened[:] = bytes(len(opened))
