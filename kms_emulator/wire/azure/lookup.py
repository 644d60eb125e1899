"""Finds the key and version that a request means, and tells deleted keys from live ones."""

from kms_emulator.model.errors import KeyMissingError
from kms_emulator.model.keys import Key, KeyState, Version
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.errors import bad_parameter, key_not_found
from kms_emulator.wire.call import Call


def check_vault(vault: str) -> str:
    """Return the vault's name in lower case."""
    if not names.VAULT_PATTERN.fullmatch(vault):
        raise bad_parameter(f"Vault name '{vault}' is invalid: 3 to 24 letters, digits and dashes.")
    return vault.lower()


def check_name(name: str) -> str:
    """Return the name of a key to be created."""
    if not names.NAME_PATTERN.fullmatch(name):
        raise bad_parameter(f"The request URI contains an invalid name: {name}")
    return name


def find_any(call: Call, vault: str, name: str) -> Key | None:
    """Return the key of that name, live or deleted; None if there is none."""
    check_vault(vault)
    call.key = f"https://{vault.lower()}.vault.azure.net/keys/{check_name(name)}"
    try:
        key = call.registry.key(names.REALM, names.key_name(vault, name))
    except KeyMissingError:
        return None
    call.key = names.base_kid(key)
    return key


def find_live(call: Call, vault: str, name: str) -> Key:
    """Return the key of that name; KeyNotFound if there is none or it was deleted."""
    key = find_any(call, vault, name)
    if key is None or key.state is KeyState.DELETION_SCHEDULED:
        raise key_not_found(name)
    return key


def find_deleted(call: Call, vault: str, name: str) -> Key:
    """Return the deleted key of that name; KeyNotFound if there is none."""
    key = find_any(call, vault, name)
    if key is None or key.state is not KeyState.DELETION_SCHEDULED:
        raise key_not_found(name)
    return key


def find_version(call: Call, vault: str, name: str, version_id: str) -> tuple[Key, Version]:
    """Return the key and the version of that id, the latest if the id is empty."""
    key = find_live(call, vault, name)
    version = key.version_by_id(version_id.lower()) if version_id else key.versions[-1]
    if version is None:
        raise key_not_found(f"{name}/{version_id}")
    call.key, call.key_version = names.kid(key, version), version.id
    return key, version
