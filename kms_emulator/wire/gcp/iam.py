"""Google operations on policies: get, set, and test what the caller may do."""

from keystore_api.google_iam.v1 import iam_pb2 as pb

from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.authorize import authorize
from kms_emulator.wire.gcp.errors import concurrent_change, invalid
from kms_emulator.wire.gcp.lookup import find_import_job, find_key, find_ring
from kms_emulator.wire.gcp.policies import Resource, check_policy, permissions, policy_of, put_policy
from kms_emulator.wire.gcp.roles import PERMISSIONS

ETAG_BYTES = 8
_HOLDERS = (names.RING_PATTERN, names.KEY_PATTERN, names.IMPORT_JOB_PATTERN)
_MASK = {"bindings", "etag", "version"}


def get_iam_policy(call: Call, request: pb.GetIamPolicyRequest) -> pb.Policy:
    """Return the policy of a key ring, key or import job."""
    return policy_of(_find(call, request.resource, "getIamPolicy"))


def set_iam_policy(call: Call, request: pb.SetIamPolicyRequest) -> pb.Policy:
    """Replace the policy of a key ring, key or import job; with an etag, only if that is still the policy's."""
    resource = _find(call, request.resource, "setIamPolicy")
    unknown = sorted(set(request.update_mask.paths) - _MASK)
    if unknown:
        raise invalid(f"update_mask must name bindings, etag and version only; it names {', '.join(unknown)}.")
    check_policy(request.policy)
    if request.policy.etag and request.policy.etag != policy_of(resource).etag:
        raise concurrent_change()
    wanted = pb.Policy()
    wanted.CopyFrom(request.policy)
    wanted.version = request.policy.version or 1
    wanted.etag = call.registry.new_bytes(ETAG_BYTES)
    put_policy(call.core, resource, wanted, call.now_ns)
    return wanted


def test_iam_permissions(call: Call, request: pb.TestIamPermissionsRequest) -> pb.TestIamPermissionsResponse:
    """Return those of the permissions that the caller has; all, if nobody knows the caller."""
    call.key = request.resource
    if not any(pattern.fullmatch(request.resource) for pattern in _HOLDERS):
        raise invalid(f"The resource name '{request.resource}' is invalid.")
    for permission in request.permissions:
        if permission not in PERMISSIONS:
            raise invalid(f"Permission {permission} is not valid for this resource.")
    held = permissions(call.core, call.caller.arn, request.resource) if call.caller.known else PERMISSIONS
    return pb.TestIamPermissionsResponse(permissions=[item for item in request.permissions if item in held])


def _find(call: Call, name: str, act: str) -> Resource:
    if names.KEY_PATTERN.fullmatch(name):
        authorize(call, f"cloudkms.cryptoKeys.{act}", name)
        return find_key(call, name)
    if names.IMPORT_JOB_PATTERN.fullmatch(name):
        authorize(call, f"cloudkms.importJobs.{act}", name)
        return find_import_job(call, name)
    authorize(call, f"cloudkms.keyRings.{act}", name)
    return find_ring(call, name)
