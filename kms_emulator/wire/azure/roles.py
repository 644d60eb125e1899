"""Roles that can be held on a vault, and what each allows: on its keys, where the vault goes by roles instead of access
policies; and in management, always.

Sources: Azure's built-in roles for Key Vault, their actions and data actions.
"""

from collections.abc import Mapping

DATA_ACTIONS: Mapping[str, str] = {
    "get": "keys/read",
    "list": "keys/read",
    "update": "keys/update/action",
    "create": "keys/create/action",
    "import": "keys/import/action",
    "delete": "keys/delete",
    "recover": "keys/recover/action",
    "backup": "keys/backup/action",
    "restore": "keys/restore/action",
    "decrypt": "keys/decrypt/action",
    "encrypt": "keys/encrypt/action",
    "unwrapKey": "keys/unwrap/action",
    "wrapKey": "keys/wrap/action",
    "verify": "keys/verify/action",
    "sign": "keys/sign/action",
    "purge": "keys/purge/action",
    "release": "keys/release/action",
    "rotate": "keys/rotate/action",
    "getrotationpolicy": "keyrotationpolicies/read",
    "setrotationpolicy": "keyrotationpolicies/write",
}
"""The data action, below ``Microsoft.KeyVault/vaults/``, that each permission of an access policy stands for."""

_EVERYTHING = frozenset(DATA_ACTIONS.values())
_USE = ("decrypt", "encrypt", "unwrap", "wrap", "verify", "sign")

KEYS: Mapping[str, frozenset[str]] = {
    "Key Vault Administrator": _EVERYTHING,
    "Key Vault Crypto Officer": _EVERYTHING - {"keys/release/action"},
    "Key Vault Crypto User": frozenset(
        {"keys/read", "keys/update/action", "keys/backup/action", *(f"keys/{name}/action" for name in _USE)}
    ),
    "Key Vault Crypto Service Encryption User": frozenset({"keys/read", "keys/wrap/action", "keys/unwrap/action"}),
    "Key Vault Crypto Service Release User": frozenset({"keys/release/action"}),
    "Key Vault Reader": frozenset({"keys/read", "keyrotationpolicies/read"}),
    "Key Vault Contributor": frozenset(),
    "Reader": frozenset(),
    "Contributor": frozenset(),
    "Owner": frozenset(),
}
"""What each role allows on keys."""

MANAGEMENT = frozenset(KEYS) - {
    "Key Vault Crypto User",
    "Key Vault Crypto Service Encryption User",
    "Key Vault Crypto Service Release User",
}
"""Roles that may read the vault itself."""

NAMES: Mapping[str, str] = {name.lower(): name for name in KEYS}
"""Roles as Azure writes them, by lower case."""
