"""AWS operations on rotation: by themselves after a period, on demand, and what was done so far."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import families, lifecycle
from kms_emulator.model.keys import Key, KeyKind, KeyState, KeyUsage, Role, Schedule
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.metadata import material_id
from kms_emulator.wire.aws.pages import Wanted, aws_page
from kms_emulator.wire.aws.rotations import ON_DEMAND, describe_rotation, is_on_demand, listed_versions
from kms_emulator.wire.aws.specs import spec_of
from kms_emulator.wire.aws.usable import check_usable
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import DAY_NS, SECOND_NS, timestamp

PERIOD_DAYS_DEFAULT = 365
ON_DEMAND_MAX = 25
"""LIMIT: on-demand rotations of one key (AWS KMS developer guide, "Resource quotas")."""

CONFLICT_NS = 20 * 60 * SECOND_NS
"""How near an automatic rotation may be for one on demand (API reference, RotateKeyOnDemand, ConflictException)."""

LIST_LIMIT_MAX, LIST_LIMIT_DEFAULT = 1000, 100


def enable_key_rotation(call: Call, request: pb.EnableKeyRotationRequest) -> pb.EnableKeyRotationResponse:
    """Give a key new material every so many days from now on."""
    key = _schedulable(call, request.region, request.key_id)
    period_ns = (request.rotation_period_in_days or PERIOD_DAYS_DEFAULT) * DAY_NS
    if key.schedule is None or key.schedule.period_ns != period_ns:
        schedule = Schedule(period_ns, call.now_ns + period_ns)
        call.registry.put(lifecycle.set_schedule(key, schedule, call.now_ns))
    return pb.EnableKeyRotationResponse()


def disable_key_rotation(call: Call, request: pb.DisableKeyRotationRequest) -> pb.DisableKeyRotationResponse:
    """Let a key keep its material."""
    key = _schedulable(call, request.region, request.key_id)
    call.registry.put(lifecycle.set_schedule(key, None, call.now_ns))
    return pb.DisableKeyRotationResponse()


def get_key_rotation_status(call: Call, request: pb.GetKeyRotationStatusRequest) -> pb.GetKeyRotationStatusResponse:
    """Say whether a key rotates by itself, and when next. While its deletion is pending it does not."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    schedule = call.registry.family(key)[0].schedule
    found = pb.GetKeyRotationStatusResponse(key_id=names.key_id(key), key_rotation_enabled=False)
    if schedule is not None and key.state not in lifecycle.ENDING:
        found.key_rotation_enabled = True
        found.rotation_period_in_days = schedule.period_ns // DAY_NS
        found.next_rotation_date.CopyFrom(timestamp(schedule.next_ns))
    return found


def rotate_key_on_demand(call: Call, request: pb.RotateKeyOnDemandRequest) -> pb.RotateKeyOnDemandResponse:
    """Give a key new material now; the old stays for what it encrypted. Id and ARN do not change."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    _check_rotatable(key)
    check_usable(call, key, KeyUsage.ENCRYPT)
    if key.schedule is not None and key.schedule.next_ns - call.now_ns <= CONFLICT_NS:
        text = f"An automatic rotation of {names.key_arn(key)} is scheduled to begin within the next 20 minutes."
        raise aws_error("ConflictException", text)
    if sum(is_on_demand(key, version) for version in key.versions) >= ON_DEMAND_MAX:
        text = f"{names.key_arn(key)} has reached the limit of {ON_DEMAND_MAX} on-demand rotations."
        raise aws_error("LimitExceededException", text)
    changed = _rotated(call, key)
    call.key_version = material_id(changed, changed.versions[-1])
    return pb.RotateKeyOnDemandResponse(key_id=names.key_id(changed))


def list_key_rotations(call: Call, request: pb.ListKeyRotationsRequest) -> pb.ListKeyRotationsResponse:
    """List a key's rotations, newest first; with ALL_KEY_MATERIAL also the first material."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    if key.kind is not KeyKind.AES_256:
        raise _not_symmetric(key)
    included = request.include_key_material or "ROTATIONS_ONLY"
    versions = listed_versions(key, every=included == "ALL_KEY_MATERIAL")[::-1]
    wanted = Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    place = f"{included} {names.key_arn(key)}"
    found = aws_page(call, place, versions, lambda version: f"{10**8 - version.number:08}", wanted)
    entries = [describe_rotation(call.registry, key, version) for version in found.items]
    return pb.ListKeyRotationsResponse(rotations=entries, next_marker=found.next_marker, truncated=found.truncated)


def resume(key: Key, now_ns: int) -> Key:
    """Return an enabled key whose rotation, if it fell due while the key was disabled, comes now, and only once."""
    schedule = key.schedule
    if schedule is None or schedule.next_ns > now_ns:
        return key
    return lifecycle.set_schedule(key, Schedule(schedule.period_ns, now_ns), now_ns)


def _schedulable(call: Call, requested_region: str, identifier: str) -> Key:
    """Return a key whose automatic rotation can be switched."""
    key = find_key(call, requested_region, identifier, aliases=False)
    _check_rotatable(key)
    if key.imported:
        text = f"{names.key_arn(key)} origin is EXTERNAL which is not valid for this operation."
        raise aws_error("UnsupportedOperationException", text)
    check_usable(call, key, KeyUsage.ENCRYPT)
    return key


def _check_rotatable(key: Key) -> None:
    """Refuse keys whose material never changes, and replicas, which follow their primary."""
    if key.kind is not KeyKind.AES_256:
        raise _not_symmetric(key)
    if key.role is Role.REPLICA:
        text = f"{names.key_arn(key)} is a multi-Region replica key, which is not valid for this operation."
        raise aws_error("UnsupportedOperationException", text)


def _not_symmetric(key: Key) -> Exception:
    text = f"{names.key_arn(key)} key spec is {spec_of(key).name} which is not valid for this operation."
    return aws_error("UnsupportedOperationException", text)


def _rotated(call: Call, key: Key) -> Key:
    if not key.imported:
        return call.registry.add_version(key, call.registry.new_aes(), call.now_ns, attributes=ON_DEMAND)
    if key.state is KeyState.ENABLED and families.is_ready(call.registry, key):
        return families.rotate_imported(call.registry, key, call.now_ns)
    text = f"{names.key_arn(key)} has no key material that is pending rotation in all of its Regions."
    raise aws_error("KMSInvalidStateException", text)
