"""Short names of keys for people: the same key, the same name; nothing of the key shows."""

from keystore.crypto.derive import derive
from keystore.crypto.secret import SecretKey

_PURPOSE = "name for people 1"
NAME_BYTES = 8
"""LIMIT: enough that two keys of one installation never share a name by accident (2^-64 a pair)."""


def key_name(key: SecretKey) -> str:
    """Return 16 hexadecimal digits that tell one key from another.

    They are derived one way (HKDF with a purpose of its own), so they reveal neither the key nor what else is derived
    from it.
    """
    with derive(key, b"", _PURPOSE, length=NAME_BYTES) as name:
        return bytes(name.view()).hex()
