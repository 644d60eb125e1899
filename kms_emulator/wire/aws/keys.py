"""AWS operations on whole keys: describe, list, switch, delete, rotate."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import families, lifecycle
from kms_emulator.model.keys import Key, KeyKind, KeyState, KeyUsage, Role
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.metadata import STATES, material_id, metadata
from kms_emulator.wire.aws.rotations import describe_rotation, listed_versions
from kms_emulator.wire.aws.specs import spec_of
from kms_emulator.wire.aws.usable import check_usable
from kms_emulator.wire.call import Call
from kms_emulator.wire.paging import page
from kms_emulator.wire.times import DAY_NS, timestamp

WINDOW_DAYS_MIN, WINDOW_DAYS_MAX = 7, 30
ROTATIONS_ON_DEMAND_MAX = 25
"""LIMIT: on-demand rotations of one key (AWS KMS developer guide, "Resource quotas")."""

DESCRIPTION_CHARACTERS_MAX = 8192
LIST_LIMIT_MAX = 1000
LIST_LIMIT_DEFAULT = 100


def describe_key(call: Call, request: pb.DescribeKeyRequest) -> pb.DescribeKeyResponse:
    """Return a key's metadata, in any state."""
    return pb.DescribeKeyResponse(key_metadata=metadata(call.registry, find_key(call, request.region, request.key_id)))


def list_keys(call: Call, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    """List the keys of a region."""
    keys = call.registry.keys(names.REALM, f"{region(request.region)}/")
    found, marker = page(keys, names.key_id, request.marker, limit(request.limit, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX))
    entries = [pb.KeyListEntry(key_id=names.key_id(key), key_arn=names.key_arn(key)) for key in found]
    return pb.ListKeysResponse(keys=entries, next_marker=marker or None, truncated=bool(marker))


def update_key_description(call: Call, request: pb.UpdateKeyDescriptionRequest) -> pb.UpdateKeyDescriptionResponse:
    """Replace a key's description."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    attributes = {**key.attributes, "description": _description(request.description)}
    call.registry.put(lifecycle.describe(key, attributes, call.now_ns))
    return pb.UpdateKeyDescriptionResponse()


def enable_key(call: Call, request: pb.EnableKeyRequest) -> pb.EnableKeyResponse:
    """Enable a key."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    call.registry.put(lifecycle.enable(key, call.now_ns))
    return pb.EnableKeyResponse()


def disable_key(call: Call, request: pb.DisableKeyRequest) -> pb.DisableKeyResponse:
    """Disable a key: no cryptography until it is enabled."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    call.registry.put(lifecycle.disable(key, call.now_ns))
    return pb.DisableKeyResponse()


def schedule_key_deletion(call: Call, request: pb.ScheduleKeyDeletionRequest) -> pb.ScheduleKeyDeletionResponse:
    """Let a key be gone after 7 to 30 days."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    days = request.pending_window_in_days or WINDOW_DAYS_MAX
    if days < WINDOW_DAYS_MIN:
        raise validation("pendingWindowInDays", f"have value greater than or equal to {WINDOW_DAYS_MIN}")
    if days > WINDOW_DAYS_MAX:
        raise validation("pendingWindowInDays", f"have value less than or equal to {WINDOW_DAYS_MAX}")
    remain = key.role is Role.PRIMARY and bool(call.registry.replicas(key))
    ending = lifecycle.schedule_deletion(key, days * DAY_NS, call.now_ns, replicas_remain=remain)
    changed = call.registry.put(ending)
    return pb.ScheduleKeyDeletionResponse(
        key_id=names.key_arn(changed),
        deletion_date=timestamp(changed.delete_at_ns) if changed.delete_at_ns is not None else None,
        key_state=STATES[changed.state],
        pending_window_in_days=days,
    )


def cancel_key_deletion(call: Call, request: pb.CancelKeyDeletionRequest) -> pb.CancelKeyDeletionResponse:
    """Take a scheduled deletion back; the key is disabled afterwards."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    if key.state not in lifecycle.ENDING:
        raise aws_error("KMSInvalidStateException", f"{names.key_arn(key)} is not pending deletion.")
    changed = call.registry.put(lifecycle.cancel_deletion(key, KeyState.DISABLED, call.now_ns))
    return pb.CancelKeyDeletionResponse(key_id=names.key_arn(changed))


def rotate_key_on_demand(call: Call, request: pb.RotateKeyOnDemandRequest) -> pb.RotateKeyOnDemandResponse:
    """Give a key new material; the old stays for what it encrypted. Id and ARN do not change."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    check_rotatable(key)
    check_usable(call, key, KeyUsage.ENCRYPT)
    if len(key.versions) > ROTATIONS_ON_DEMAND_MAX:
        text = f"{names.key_arn(key)} has reached the limit of {ROTATIONS_ON_DEMAND_MAX} on-demand rotations."
        raise aws_error("LimitExceededException", text)
    changed = _rotated(call, key)
    call.key_version = material_id(changed, changed.versions[-1])
    return pb.RotateKeyOnDemandResponse(key_id=names.key_id(changed))


def list_key_rotations(call: Call, request: pb.ListKeyRotationsRequest) -> pb.ListKeyRotationsResponse:
    """List a key's rotations, newest first; with ALL_KEY_MATERIAL also the first material."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    included = request.include_key_material or "ROTATIONS_ONLY"
    if included not in ("ROTATIONS_ONLY", "ALL_KEY_MATERIAL"):
        raise validation("includeKeyMaterial", "satisfy enum value set: [ALL_KEY_MATERIAL, ROTATIONS_ONLY]")
    wanted = listed_versions(key, every=included == "ALL_KEY_MATERIAL")
    count = limit(request.limit, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    found, marker = page(
        wanted[::-1], lambda version: f"{len(key.versions) - version.number:08}", request.marker, count
    )
    entries = [describe_rotation(call.registry, key, version) for version in found]
    return pb.ListKeyRotationsResponse(rotations=entries, next_marker=marker or None, truncated=bool(marker))


def limit(requested: int, default: int, largest: int) -> int:
    """Return the page length of a list."""
    if not 0 <= requested <= largest:
        raise validation("limit", f"have value between 1 and {largest}")
    return requested or default


def check_rotatable(key: Key) -> None:
    """Refuse keys whose material never changes, and replicas, which follow their primary."""
    if key.kind is not KeyKind.AES_256:
        text = f"{names.key_arn(key)} key spec is {spec_of(key).name} which is not valid for this operation."
        raise aws_error("UnsupportedOperationException", text)
    if key.role is Role.REPLICA:
        text = f"{names.key_arn(key)} is a multi-Region replica key, which is not valid for this operation."
        raise aws_error("UnsupportedOperationException", text)


def _rotated(call: Call, key: Key) -> Key:
    if not key.imported:
        return call.registry.add_version(key, call.registry.new_aes(), call.now_ns)
    if not families.is_ready(call.registry, key):
        text = f"{names.key_arn(key)} has no key material that is pending rotation in all of its Regions."
        raise aws_error("KMSInvalidStateException", text)
    return families.rotate_imported(call.registry, key, call.now_ns)


def _description(text: str) -> str:
    if len(text) > DESCRIPTION_CHARACTERS_MAX:
        raise validation("description", f"have length less than or equal to {DESCRIPTION_CHARACTERS_MAX}")
    return text
