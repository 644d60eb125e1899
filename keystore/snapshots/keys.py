"""The keys of a snapshot, and how each is wrapped (docs/FORMAT.md, section 11).

    master key of that day ── snapshot key ─┬─ data keys
                                            └─ map key ── pack keys
    snapshot secret of the node ────────────── map key

The node derives the map key of each of its snapshots from its snapshot secret: so it reads what an earlier snapshot
has, after any rotation and without a KMS. A restore unwraps it under the snapshot key, which needs the CMK of that day.
No data key of a former era opens by way of the snapshot secret.
"""

from keystore.crypto.derive import derive
from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import unwrap, wrap

MAP_PURPOSE = "snapshot map 1"
KEYS_PURPOSE = "snapshot keys 1"
NODE_PURPOSE = "snapshot map node 1"
_MAP_KEY = "snapshot map key 1"
_WRAPPED_MAP_KEY = "snapshot wrapped map key 1"
_DATA_KEY = "snapshot data key 1"
_PACK_KEY = "snapshot pack key 1"


def derive_map_key(snapshot_secret: SecretKey, snapshot_id: bytes) -> SecretKey:
    """Return the map key of a snapshot; the caller wipes it."""
    return derive(snapshot_secret, b"", _MAP_KEY, snapshot_id)


def wrap_map_key(snapshot_key: SecretKey, map_key: SecretKey, snapshot_id: bytes) -> bytes:
    return wrap(snapshot_key, map_key.view(), _WRAPPED_MAP_KEY, snapshot_id)


def unwrap_map_key(snapshot_key: SecretKey, wrapped: bytes, snapshot_id: bytes) -> SecretKey:
    return _secret(unwrap(snapshot_key, wrapped, _WRAPPED_MAP_KEY, snapshot_id))


def wrap_data_key(snapshot_key: SecretKey, key: SecretKey, database_id: bytes, generation: int) -> bytes:
    return wrap(snapshot_key, key.view(), _DATA_KEY, database_id, generation.to_bytes(4, "little"))


def unwrap_data_key(snapshot_key: SecretKey, wrapped: bytes, database_id: bytes, generation: int) -> SecretKey:
    return _secret(unwrap(snapshot_key, wrapped, _DATA_KEY, database_id, generation.to_bytes(4, "little")))


def wrap_pack_key(map_key: SecretKey, key: SecretKey, pack_id: bytes, store_id: bytes) -> bytes:
    return wrap(map_key, key.view(), _PACK_KEY, pack_id, store_id)


def unwrap_pack_key(map_key: SecretKey, wrapped: bytes, pack_id: bytes, store_id: bytes) -> SecretKey:
    return _secret(unwrap(map_key, wrapped, _PACK_KEY, pack_id, store_id))


def seal_node(pack_key: SecretKey, content: bytes, pack_id: bytes, level: int, number: int, offset: int) -> bytes:
    """Seal a node of a map for its place in a pack."""
    return wrap(pack_key, content, NODE_PURPOSE, *_place(pack_id, level, number, offset))


def open_node(pack_key: SecretKey, sealed: bytes, pack_id: bytes, level: int, number: int, offset: int) -> bytearray:
    """Open what `seal_node` sealed for exactly this place; errors as `wrap.unwrap`."""
    return unwrap(pack_key, sealed, NODE_PURPOSE, *_place(pack_id, level, number, offset))


def _place(pack_id: bytes, level: int, number: int, offset: int) -> tuple[bytes, ...]:
    return pack_id, bytes([level]), number.to_bytes(8, "little"), offset.to_bytes(8, "little")


def _secret(opened: bytearray) -> SecretKey:
    try:
        return SecretKey(opened)
    finally:
        opened[:] = bytes(len(opened))
