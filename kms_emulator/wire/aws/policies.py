"""AWS operations on key policies. A key has one, called "default"."""

from dataclasses import replace

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.keys import Key
from kms_emulator.wire.aws.authorize import policies_allow
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.key_policy import ATTRIBUTE, check_policy, policy_of
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.principals import DEFAULT_ROOT
from kms_emulator.wire.call import Call, Caller

NAME = "default"


def put_key_policy(call: Call, request: pb.PutKeyPolicyRequest) -> pb.PutKeyPolicyResponse:
    """Replace a key's policy; it holds for the next call."""
    _check_name(request.policy_name)
    key = find_key(call, request.region, request.key_id, aliases=False)
    check_new_policy(call, key, request.policy, bypass=request.bypass_policy_lockout_safety_check)
    attributes = {**key.attributes, ATTRIBUTE: request.policy}
    call.registry.put(replace(key, attributes=attributes, updated_ns=call.now_ns))
    return pb.PutKeyPolicyResponse()


def get_key_policy(call: Call, request: pb.GetKeyPolicyRequest) -> pb.GetKeyPolicyResponse:
    """Return a key's policy, letter by letter as it was set."""
    _check_name(request.policy_name)
    key = find_key(call, request.region, request.key_id, aliases=False)
    return pb.GetKeyPolicyResponse(policy=policy_of(key), policy_name=NAME)


def list_key_policies(call: Call, request: pb.ListKeyPoliciesRequest) -> pb.ListKeyPoliciesResponse:
    """List the names of a key's policies."""
    find_key(call, request.region, request.key_id, aliases=False)
    return pb.ListKeyPoliciesResponse(policy_names=[NAME], truncated=False)


def check_new_policy(call: Call, key: Key, text: str, *, bypass: bool) -> None:
    """Refuse a policy that is malformed, or under which the caller could not set the next one.

    A caller that nobody knows passes for the account's root here, as everywhere: the policy must let that in.

    Raises:
        CloudError: MalformedPolicyDocumentException, LimitExceededException.
    """
    check_policy(text)
    if bypass:
        return
    caller = call.caller if call.caller.known else Caller(DEFAULT_ROOT.split(":")[4], DEFAULT_ROOT)
    if not policies_allow(replace(call, caller=caller), key, "PutKeyPolicy", text):
        text = "The new key policy will not allow you to update the key policy in the future."
        raise aws_error("MalformedPolicyDocumentException", text)


def _check_name(name: str) -> None:
    if name not in ("", NAME):
        raise aws_error("NotFoundException", f"No such policy exists: {name}")
