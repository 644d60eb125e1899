"""AWS's description of a key, and the id of a material."""

import hashlib
from functools import lru_cache

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.keys import Key, KeyKind, KeyState, KeyUsage, Role, Version
from kms_emulator.model.lifecycle import ENDING
from kms_emulator.model.registry import Registry
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.specs import USAGE_NAMES, algorithms_of, spec_of
from kms_emulator.wire.times import DAY_NS, timestamp

MANAGER = "manager"
"""The attribute of a key that says who manages it, unless that is the customer."""

STATES = {
    KeyState.ENABLED: "Enabled",
    KeyState.DISABLED: "Disabled",
    KeyState.MATERIAL_MISSING: "PendingImport",
    KeyState.REPLICAS_REMAIN: "PendingReplicaDeletion",
    KeyState.DELETION_SCHEDULED: "PendingDeletion",
}
_ALGORITHM_FIELDS = {
    KeyUsage.ENCRYPT: "encryption_algorithms",
    KeyUsage.SIGN: "signing_algorithms",
    KeyUsage.MAC: "mac_algorithms",
    KeyUsage.AGREE: "key_agreement_algorithms",
    KeyUsage.ENCAPSULATE: "encapsulation_algorithms",
}


def metadata(registry: Registry, key: Key) -> pb.KeyMetadata:
    """Return AWS's description of a key."""
    found = pb.KeyMetadata(
        aws_account_id=names.ACCOUNT_ID,
        key_id=names.key_id(key),
        arn=names.key_arn(key),
        creation_date=timestamp(key.created_ns),
        enabled=key.state is KeyState.ENABLED,
        description=key.attributes.get("description", ""),
        key_usage=USAGE_NAMES[key.usage],
        key_state=STATES[key.state],
        origin=origin_of(key),
        key_manager=key.attributes.get(MANAGER, "CUSTOMER"),
        key_spec=spec_of(key).name,
        customer_master_key_spec=spec_of(key).name,
        multi_region=key.role is not Role.ALONE,
    )
    getattr(found, algorithms_field(key)).extend(algorithms_of(key))
    if key.kind is KeyKind.AES_256 and key.current is not None:
        found.current_key_material_id = material_id(key, key.current)
    if key.role is not Role.ALONE:
        found.multi_region_configuration.CopyFrom(_family(registry, key))
    _add_deletion(found, key)
    _add_expiry(found, key)
    return found


def algorithms_field(key: Key) -> str:
    """Return the member of AWS's answers that lists the algorithms of a key of this usage."""
    return _ALGORITHM_FIELDS[key.usage]


def origin_of(key: Key) -> str:
    """Return where the key's material comes from."""
    return "EXTERNAL" if key.imported else "AWS_KMS"


def material_id(key: Key, version: Version) -> str:
    """Return the id of a key's material: 64 hexadecimal digits that say nothing about it, alike in a whole family."""
    return _material_id(key.lineage, version.id)


@lru_cache(maxsize=4096)
def _material_id(lineage: bytes, version_id: str) -> str:
    """Every call needs it, and the call log keeps it: one text for all calls."""
    return hashlib.sha256(lineage + bytes.fromhex(version_id)).hexdigest()


def _family(registry: Registry, key: Key) -> pb.MultiRegionConfiguration:
    found = pb.MultiRegionConfiguration(multi_region_key_type=key.role.name)
    for member in registry.family(key):
        entry = pb.MultiRegionKey(arn=names.key_arn(member), region=names.region_of(member.name))
        if member.role is Role.PRIMARY:
            found.primary_key.CopyFrom(entry)
        else:
            found.replica_keys.append(entry)
    return found


def _add_deletion(found: pb.KeyMetadata, key: Key) -> None:
    if key.delete_at_ns is not None:
        found.deletion_date.CopyFrom(timestamp(key.delete_at_ns))
    if key.state in ENDING and key.deletion_window_ns is not None:
        found.pending_deletion_window_in_days = key.deletion_window_ns // DAY_NS


def _add_expiry(found: pb.KeyMetadata, key: Key) -> None:
    if not key.imported or not key.versions:
        return
    ends = [version.expires_ns for version in key.versions if version.expires_ns is not None]
    if ends:
        found.expiration_model = "KEY_MATERIAL_EXPIRES"
        found.valid_to.CopyFrom(timestamp(min(ends)))
    elif key.state is not KeyState.MATERIAL_MISSING:
        found.expiration_model = "KEY_MATERIAL_DOES_NOT_EXPIRE"
