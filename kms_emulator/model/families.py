"""Families and imported material over a registry: changes that touch several keys, or compare what is imported.

A family is a primary and its replicas in other places. They share kind, usage, versions and lineage, so that each opens
what another sealed. State, attributes and aliases are each key's own.
"""

from collections.abc import Mapping
from dataclasses import replace

from kms_emulator.model import lifecycle
from kms_emulator.model.errors import KeyStateError, MaterialError, NameTakenError
from kms_emulator.model.keys import Key, KeyState, Role, VersionState
from kms_emulator.model.material import Material
from kms_emulator.model.registry import Registry

ROTATED = "rotated_ns"
"""The attribute of an imported version that says when it became primary; it came before that."""


def replicate(registry: Registry, primary: Key, name: str, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Create a replica of an enabled primary, with its material unless that is imported.

    Raises:
        NameTakenError: a key has the name.
        KeyStateError: the primary is not enabled.
    """
    _check_enabled(primary)
    if any(member.name == name for member in registry.family(primary)):
        raise NameTakenError(f"a key {name} exists")
    replica = lifecycle.replicate(primary, registry.new_uid(), name, attributes, now_ns)
    registry.put_all([(replica, {} if primary.imported else registry.copies(primary))])
    return replica


def promote(registry: Registry, primary: Key, replica: Key, now_ns: int) -> None:
    """Swap the roles of an enabled primary and one of its enabled replicas; the schedule of rotation goes along."""
    _check_enabled(primary)
    _check_enabled(replica)
    former = replace(primary, role=Role.REPLICA, schedule=None, updated_ns=now_ns)
    latter = replace(replica, role=Role.PRIMARY, schedule=primary.schedule, updated_ns=now_ns)
    registry.put_all([(former, {}), (latter, {})])


def import_material(
    registry: Registry,
    key: Key,
    material: Material,
    expires_ns: int | None,
    now_ns: int,
    *,
    new: bool | None = None,
    attributes: Mapping[str, str] | None = None,
) -> tuple[Key, int]:
    """Give a key imported material, and return it with the number of the version, which gets the attributes.

    `new` says whether it must be material that the key never had, or that it had; None leaves it to the key.

    Raises:
        KeyStateError: the key's deletion is scheduled, or other new material waits to become primary.
        MaterialError: not the material that is expected.
    """
    fingerprint = material.fingerprint(key.lineage)
    known = key.version_by_id(fingerprint) is not None
    wanted_new = not key.versions if new is None else new
    if wanted_new is known:
        raise MaterialError("the key has this material" if known else "the key never had this material")
    if wanted_new and lifecycle.pending_version(key) is not None:
        raise KeyStateError(key)
    changed, number = lifecycle.import_material(key, fingerprint, expires_ns, now_ns, attributes)
    return registry.put(changed, {number: material}), number


def drop_material(registry: Registry, key: Key, number: int, now_ns: int) -> Key:
    """Let the imported material of a version go missing; what never was primary is forgotten, in all replicas too."""
    return registry.put(lifecycle.drop_material(key, number, now_ns))


def rotate_imported(registry: Registry, key: Key, now_ns: int) -> Key:
    """Make the imported version that waits primary, in the whole family.

    Raises:
        KeyStateError: none waits, its material is missing here or in a replica, or the key is not enabled.
    """
    _check_enabled(key)
    pending = lifecycle.pending_version(key)
    if pending is None or not is_ready(registry, key):
        raise KeyStateError(key)
    attributes = {**pending.attributes, ROTATED: str(now_ns)}
    described = lifecycle.describe_version(key, pending.number, attributes, now_ns)
    return registry.put(lifecycle.set_primary(described, pending.number, now_ns))


def is_ready(registry: Registry, key: Key) -> bool:
    """Tell whether the version that waits has its material in every key of the family."""
    pending = lifecycle.pending_version(key)
    found = [member.version_by_id(pending.id) for member in registry.family(key)] if pending is not None else []
    return bool(found) and all(version is not None and version.state is VersionState.ENABLED for version in found)


def _check_enabled(key: Key) -> None:
    if key.state is not KeyState.ENABLED:
        raise KeyStateError(key)
