"""AWS operations on whole keys: describe, list, switch, delete."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.keys import KeyState, Role
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.metadata import STATES, metadata
from kms_emulator.wire.aws.pages import Wanted, aws_page
from kms_emulator.wire.aws.rotation import resume
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import DAY_NS, timestamp

WINDOW_DAYS_MIN, WINDOW_DAYS_MAX = 7, 30
DESCRIPTION_CHARACTERS_MAX = 8192
LIST_LIMIT_MAX = 1000
LIST_LIMIT_DEFAULT = 100


def describe_key(call: Call, request: pb.DescribeKeyRequest) -> pb.DescribeKeyResponse:
    """Return a key's metadata, in any state."""
    return pb.DescribeKeyResponse(key_metadata=metadata(call.registry, find_key(call, request.region, request.key_id)))


def list_keys(call: Call, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    """List the keys of a region. Nobody shares keys with this account, so all are its own."""
    place, owners = region(request.region), ",".join(sorted(request.resource_owners))
    keys = [] if owners == "OTHER_ACCOUNTS_VIA_RAM" else call.registry.keys(names.REALM, f"{place}/")
    wanted = Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    found = aws_page(call, f"{owners} {place}", keys, names.key_id, wanted)
    entries = [pb.KeyListEntry(key_id=names.key_id(key), key_arn=names.key_arn(key)) for key in found.items]
    return pb.ListKeysResponse(keys=entries, next_marker=found.next_marker, truncated=found.truncated)


def update_key_description(call: Call, request: pb.UpdateKeyDescriptionRequest) -> pb.UpdateKeyDescriptionResponse:
    """Replace a key's description."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    attributes = {**key.attributes, "description": _description(request.description)}
    call.registry.put(lifecycle.describe(key, attributes, call.now_ns))
    return pb.UpdateKeyDescriptionResponse()


def enable_key(call: Call, request: pb.EnableKeyRequest) -> pb.EnableKeyResponse:
    """Enable a key. A rotation that fell due in the meantime comes now."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    enabled = lifecycle.enable(key, call.now_ns)
    call.registry.put(resume(enabled, call.now_ns) if key.state is KeyState.DISABLED else enabled)
    return pb.EnableKeyResponse()


def disable_key(call: Call, request: pb.DisableKeyRequest) -> pb.DisableKeyResponse:
    """Disable a key: no cryptography until it is enabled."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    disabled = lifecycle.disable(key, call.now_ns)
    call.core.guard.check(key)
    call.registry.put(disabled)
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
    call.core.guard.check(key)
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


def _description(text: str) -> str:
    if len(text) > DESCRIPTION_CHARACTERS_MAX:
        raise validation("description", f"have length less than or equal to {DESCRIPTION_CHARACTERS_MAX}")
    return text
