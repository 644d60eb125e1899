"""AWS's description of a rotation: which material it brought, and what became of that."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import families
from kms_emulator.model.keys import Key, Version, VersionState
from kms_emulator.model.registry import Registry
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.metadata import material_id
from kms_emulator.wire.times import timestamp

DESCRIPTION = "material-description"
"""The attribute of a version that holds the caller's description of imported material."""


ON_DEMAND = {"rotation": "on-demand"}
"""The attributes of a version that a caller asked for; one that came after a period has none."""


def is_on_demand(key: Key, version: Version) -> bool:
    """Tell whether a rotation on demand brought a version; imported material never rotates by itself."""
    rotated = 1 < version.number <= (key.primary or 0)
    return rotated and (key.imported or version.attributes.get("rotation") == "on-demand")


def listed_versions(key: Key, *, every: bool) -> tuple[Version, ...]:
    """Return the versions that rotations brought; with `every` also the first, and one that waits."""
    return key.versions if every else key.versions[1 : key.primary]


def describe_rotation(registry: Registry, key: Key, version: Version) -> pb.RotationsListEntry:
    """Return AWS's description of the material of a version, and of the rotation that brought it."""
    entry = pb.RotationsListEntry(
        key_id=names.key_id(key),
        key_material_id=material_id(key, version),
        key_material_state=_state(registry, key, version),
    )
    if 1 < version.number <= (key.primary or 0):
        entry.rotation_date.CopyFrom(timestamp(int(version.attributes.get(families.ROTATED, version.created_ns))))
        entry.rotation_type = "ON_DEMAND" if is_on_demand(key, version) else "AUTOMATIC"
    if key.imported:
        _add_import(entry, version)
    return entry


def _state(registry: Registry, key: Key, version: Version) -> str:
    if version.number == key.primary:
        return "CURRENT"
    if version.number < (key.primary or 0):
        return "NON_CURRENT"
    return "PENDING_ROTATION" if families.is_ready(registry, key) else "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"


def _add_import(entry: pb.RotationsListEntry, version: Version) -> None:
    missing = version.state is VersionState.MISSING
    entry.import_state = "PENDING_IMPORT" if missing else "IMPORTED"
    if DESCRIPTION in version.attributes:
        entry.key_material_description = version.attributes[DESCRIPTION]
    if missing:
        return
    if version.expires_ns is None:
        entry.expiration_model = "KEY_MATERIAL_DOES_NOT_EXPIRE"
    else:
        entry.expiration_model = "KEY_MATERIAL_EXPIRES"
        entry.valid_to.CopyFrom(timestamp(version.expires_ns))
