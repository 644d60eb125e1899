"""AWS operations on multi-Region keys: a replica in another Region, and another Region's key as the primary.

What AWS does in seconds, in the states Creating and Updating, is done here when the call returns.
"""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import families
from kms_emulator.model.keys import Key, KeyState, Role
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize_account
from kms_emulator.wire.aws.creation import own_attributes
from kms_emulator.wire.aws.errors import aws_error, wrong_state
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.metadata import metadata
from kms_emulator.wire.aws.policies import check_new_policy
from kms_emulator.wire.call import Call


def replicate_key(call: Call, request: pb.ReplicateKeyRequest) -> pb.ReplicateKeyResponse:
    """Create a key of the same id and material in another Region; imported material must be imported there too."""
    primary = _find_primary(call, request.region, request.key_id)
    place = region(request.replica_region)
    name = names.key_name(place, names.key_id(primary))
    if any(member.name == name for member in call.registry.family(primary)):
        arn = names.arn(place, f"key/{names.key_id(primary)}")
        raise aws_error("AlreadyExistsException", f"{arn} already exists")
    authorize_account(call, action="CreateKey")
    if request.policy:
        check_new_policy(call, primary, request.policy, bypass=request.bypass_policy_lockout_safety_check)
    attributes = own_attributes(request.description, request.tags, request.policy)
    replica = families.replicate(call.registry, primary, name, attributes, call.now_ns)
    return pb.ReplicateKeyResponse(
        replica_key_metadata=metadata(call.registry, replica),
        replica_policy=request.policy or None,
        replica_tags=request.tags,
    )


def update_primary_region(call: Call, request: pb.UpdatePrimaryRegionRequest) -> pb.UpdatePrimaryRegionResponse:
    """Make a replica the primary, and the primary a replica."""
    primary = _find_primary(call, request.region, request.key_id)
    place = region(request.primary_region)
    name = names.key_name(place, names.key_id(primary))
    if name == primary.name:
        text = f"{names.key_arn(primary)} is the primary key already."
        raise aws_error("UnsupportedOperationException", text)
    replica = next((member for member in call.registry.replicas(primary) if member.name == name), None)
    if replica is None:
        arn = names.arn(place, f"key/{names.key_id(primary)}")
        raise aws_error("NotFoundException", f"Key '{arn}' does not exist")
    families.promote(call.registry, primary, replica, call.now_ns)
    return pb.UpdatePrimaryRegionResponse()


def _find_primary(call: Call, requested_region: str, identifier: str) -> Key:
    key = find_key(call, requested_region, identifier, aliases=False)
    if key.role is not Role.PRIMARY:
        text = f"{names.key_arn(key)} is not a multi-Region primary key, which this operation needs."
        raise aws_error("UnsupportedOperationException", text)
    if key.state is not KeyState.ENABLED:
        raise wrong_state(key)
    return key
