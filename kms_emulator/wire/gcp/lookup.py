"""Finds the key ring, key, version or import job that a name means."""

from kms_emulator.model.errors import KeyMissingError
from kms_emulator.model.keys import Folder, Key, Version
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.errors import invalid, not_found


def check_location(name: str) -> str:
    """Return a location's name."""
    if not names.LOCATION_PATTERN.fullmatch(name):
        raise invalid(f"The location name '{name}' is invalid; it has the form projects/P/locations/L.")
    return name


def check_id(identifier: str) -> str:
    """Return the id of a resource to be created."""
    if not names.ID_PATTERN.fullmatch(identifier):
        raise invalid(f"The id '{identifier}' is invalid; it has 1 to 63 letters, digits, dashes and underscores.")
    return identifier


def find_ring(call: Call, name: str) -> Folder:
    """Return the key ring of that name."""
    call.key = name
    if not names.RING_PATTERN.fullmatch(name):
        raise invalid(f"The key ring name '{name}' is invalid.")
    ring = call.registry.folder(names.REALM, name)
    if ring is None:
        raise not_found("KeyRing", name)
    return ring


def find_key(call: Call, name: str) -> Key:
    """Return the key of that name."""
    call.key = name
    if not names.KEY_PATTERN.fullmatch(name):
        raise invalid(f"The key name '{name}' is invalid.")
    return call.registry.key(names.REALM, name)


def find_import_job(call: Call, name: str) -> Key:
    """Return the import job of that name."""
    call.key = name
    if not names.IMPORT_JOB_PATTERN.fullmatch(name):
        raise invalid(f"The import job name '{name}' is invalid.")
    try:
        return call.registry.key(SERVICE_REALM, name)
    except KeyMissingError:
        raise not_found("ImportJob", name) from None


def find_version(call: Call, name: str) -> tuple[Key, Version]:
    """Return the version of that name, and its key."""
    call.key = name
    parts = names.VERSION_PATTERN.fullmatch(name)
    if parts is None:
        raise invalid(f"The key version name '{name}' is invalid.")
    key = find_key(call, parts["key"])
    version = key.version(int(parts["number"]))
    if version is None:
        raise not_found("CryptoKeyVersion", name)
    call.key_version = parts["number"]
    return key, version
