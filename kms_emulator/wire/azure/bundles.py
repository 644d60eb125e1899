"""What Azure says about keys: bundles, items, attributes; and the attributes that a caller sets."""

import json
from collections.abc import Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model.keypairs import CURVES
from kms_emulator.model.keys import Key, KeyKind, Version, VersionState
from kms_emulator.model.vaults import RETENTION_DAYS_DEFAULT, Vault
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import timestamp, timestamp_ns

CURVE_NAMES = {
    KeyKind.EC_P256: "P-256",
    KeyKind.EC_P384: "P-384",
    KeyKind.EC_P521: "P-521",
    KeyKind.EC_SECP256K1: "P-256K",
}
KEY_OPERATIONS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
CURVE_OPERATIONS = ("sign", "verify")
AES_OPERATIONS = ("encrypt", "decrypt", "wrapKey", "unwrapKey")
AES_KINDS = {128: KeyKind.AES_128, 192: KeyKind.AES_192, 256: KeyKind.AES_256}
"""Kinds of AES keys by their length in bits."""
_UPDATED, _NOT_BEFORE, _EXPIRES, _TAGS, _OPERATIONS = "updated_ns", "nbf_ns", "exp_ns", "tags", "key_ops"
_LIFETIME = "lifetime_ns"
"""Attribute of a version that rotation made: how long it is valid, unless its expiry was set since."""


def stored_attributes(
    old: Mapping[str, str],
    attributes: pb.KeyAttributes,
    key_ops: Sequence[str],
    tags: Mapping[str, str],
    now_ns: int,
    *,
    kind: KeyKind = KeyKind.RSA_2048,
) -> dict[str, str]:
    """Return what a version keeps after a request; what the request does not set stays as in `old`."""
    unknown = sorted(set(key_ops) - set(_operations_for(kind)))
    if unknown:
        raise bad_parameter(f"Property key_ops has invalid value {', '.join(unknown)}")
    changed = {**old, _UPDATED: str(now_ns)}
    for field, name in (("nbf", _NOT_BEFORE), ("exp", _EXPIRES)):
        if attributes.HasField(field):
            changed[name] = str(timestamp_ns(getattr(attributes, field)))
    if key_ops:
        changed[_OPERATIONS] = json.dumps(list(key_ops))
    if tags:
        changed[_TAGS] = json.dumps(dict(tags), sort_keys=True)
    return changed


def attributes_after_rotation(lifetime_ns: int | None) -> dict[str, str]:
    """Return what a version made by rotation has that the one before it had not; nothing of it is a time."""
    lifetime = "" if lifetime_ns is None else str(lifetime_ns)
    return {_UPDATED: "", _NOT_BEFORE: "", _EXPIRES: "", _LIFETIME: lifetime}


def operations_of(key: Key, version: Version) -> list[str]:
    """Return what the version may be used for."""
    stored = version.attributes.get(_OPERATIONS)
    if stored is None:
        return list(_operations_for(key.kind))
    return [str(name) for name in json.loads(stored)]


def not_before_ns(version: Version) -> int | None:
    """Return when the version becomes valid, if that is limited."""
    return _stored_time(version, _NOT_BEFORE)


def expires_ns(version: Version) -> int | None:
    """Return when the version stops being valid, if that is limited."""
    lifetime_ns = _stored_time(version, _LIFETIME)
    return _stored_time(version, _EXPIRES) or (version.created_ns + lifetime_ns if lifetime_ns else None)


def _operations_for(kind: KeyKind) -> tuple[str, ...]:
    if kind in CURVES:
        return CURVE_OPERATIONS
    return AES_OPERATIONS if kind in AES_KINDS.values() else KEY_OPERATIONS


def bundle(call: Call, key: Key, version: Version) -> pb.KeyBundle:
    """Return the public half of a version, with its attributes."""
    return pb.KeyBundle(
        key=web_key(call, key, version), attributes=attributes_of(call, key, version), tags=tags_of(version)
    )


def deleted_bundle(call: Call, key: Key) -> pb.DeletedKeyBundle:
    """Return the bundle of a deleted key."""
    version = key.versions[-1]
    deleted, purge = deletion_times(key)
    return pb.DeletedKeyBundle(
        key=web_key(call, key, version),
        attributes=attributes_of(call, key, version),
        tags=tags_of(version),
        recovery_id=names.recovery_id(key),
        deleted_date=deleted,
        scheduled_purge_date=purge,
    )


def deletion_times(key: Key) -> tuple[Timestamp, Timestamp]:
    """Return when a deleted key was deleted and when it will be purged."""
    purge_ns = key.delete_at_ns or 0
    return timestamp(purge_ns - (key.deletion_window_ns or 0)), timestamp(purge_ns)


def web_key(call: Call, key: Key, version: Version) -> pb.JsonWebKey:
    """Return the public half of a version."""
    kid, operations = names.kid(key, version), operations_of(key, version)
    hardware = key.attributes.get(names.HARDWARE, "")
    if key.kind in CURVES:
        length = (CURVES[key.kind]().key_size + 7) // 8
        x, y = (number.to_bytes(length, "big") for number in call.registry.ec_public(key, version.number))
        return pb.JsonWebKey(kid=kid, kty=f"EC{hardware}", key_ops=operations, crv=CURVE_NAMES[key.kind], x=x, y=y)
    if key.kind in AES_KINDS.values():
        return pb.JsonWebKey(kid=kid, kty=f"oct{hardware}", key_ops=operations)
    modulus, exponent = call.registry.rsa_public(key, version.number)
    return pb.JsonWebKey(
        kid=kid,
        kty=f"RSA{hardware}",
        key_ops=operations,
        n=modulus.to_bytes((modulus.bit_length() + 7) // 8, "big"),
        e=exponent.to_bytes((exponent.bit_length() + 7) // 8, "big"),
    )


def attributes_of(call: Call, key: Key, version: Version) -> pb.KeyAttributes:
    """Return a version's attributes."""
    vault = call.core.vaults.get(names.vault_of(key))
    found = pb.KeyAttributes(
        enabled=version.state is VersionState.ENABLED,
        created=timestamp(version.created_ns),
        updated=timestamp(_stored_time(version, _UPDATED) or version.created_ns),
        recovery_level=_recovery_level(vault),
        recoverable_days=vault.retention_days,
    )
    for target, time_ns in ((found.nbf, not_before_ns(version)), (found.exp, expires_ns(version))):
        if time_ns is not None:
            target.CopyFrom(timestamp(time_ns))
    return found


def _recovery_level(vault: Vault) -> str:
    shortened = "Customized" if vault.retention_days < RETENTION_DAYS_DEFAULT else ""
    return f"{shortened}Recoverable{'' if vault.purge_protection else '+Purgeable'}"


def tags_of(version: Version) -> dict[str, str]:
    """Return a version's tags."""
    return {str(name): str(value) for name, value in json.loads(version.attributes.get(_TAGS, "{}")).items()}


def _stored_time(version: Version, name: str) -> int | None:
    stored = version.attributes.get(name)
    return int(stored) if stored else None
