"""Vaults, key names, versions and key ids. In the registry a key is named ``VAULT/NAME``, in lower case."""

import re

from kms_emulator.model.keys import Key, Version

REALM = "azure"
VAULT_PATTERN = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
NAME_PATTERN = re.compile(r"[0-9a-zA-Z-]{1,127}")
VERSION_PATTERN = re.compile(r"[0-9a-f]{32}")
HARDWARE = "hardware"
"""Attribute of a key: ``-HSM`` if its type was asked for so; then answers say it too."""

GIVEN_NAME = "name"
"""Attribute of a key: its name as given. Look-ups ignore case, answers keep it."""


def holds_aes(vault: str) -> bool:
    """Tell whether a vault is a managed HSM, which holds AES keys too: by its name."""
    return vault.lower().endswith("-hsm")


def key_name(vault: str, name: str) -> str:
    """Return the registry's name of a key."""
    return f"{vault}/{name}".lower()


def vault_of(key: Key) -> str:
    """Return the name of the key's vault."""
    return key.name.partition("/")[0]


def given_name(key: Key) -> str:
    """Return the key's name as its creator wrote it."""
    return key.attributes.get(GIVEN_NAME, key.name.partition("/")[2])


def vault_url(key: Key) -> str:
    """Return the URL of the key's vault."""
    return f"https://{vault_of(key)}.vault.azure.net"


def base_kid(key: Key) -> str:
    """Return the key id without a version."""
    return f"{vault_url(key)}/keys/{given_name(key)}"


def kid(key: Key, version: Version) -> str:
    """Return the key id with its version."""
    return f"{base_kid(key)}/{version.id}"


def recovery_id(key: Key) -> str:
    """Return the id of a deleted key."""
    return f"{vault_url(key)}/deletedkeys/{given_name(key)}"
