"""CreateKey: every spec, with material made here or to be imported, alone or as the primary of a family."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.keypairs import RSA_BITS
from kms_emulator.model.keys import Key, KeyKind, KeyState, KeyUsage, Role
from kms_emulator.model.material import Material
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize_account
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import region
from kms_emulator.wire.aws.metadata import metadata
from kms_emulator.wire.aws.policies import check_new_policy
from kms_emulator.wire.aws.specs import SYMMETRIC, USAGES, Spec, find_spec, not_emulated
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.call import Call

TAGS_MAX = 50
"""LIMIT: tags of one key (AWS KMS developer guide, "Resource quotas")."""

TAG_PREFIX = "tag:"
"""What a tag's name begins with among the attributes of a key."""


async def create_key(call: Call, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    """Create a key with its first material, or one that waits for imported material."""
    place = region(request.region)
    spec = _spec(request)
    usage = _usage(request, spec)
    imported = _is_imported(request)
    attributes = own_attributes(request.description, request.tags, request.policy)
    material = None if imported else await new_material(call, spec.kind)
    key = _named(call, place, spec.kind, usage, multi_region=request.multi_region)
    key = replace(key, attributes=attributes, imported=imported)
    if request.policy:
        check_new_policy(call, key, request.policy, bypass=request.bypass_policy_lockout_safety_check)
    if request.tags:
        authorize_account(call, action="TagResource")
    if material is None:
        key = call.registry.put(replace(key, state=KeyState.MATERIAL_MISSING))
    else:
        key = call.registry.add_version(key, material, call.now_ns)
    call.key = names.key_arn(key)
    return pb.CreateKeyResponse(key_metadata=metadata(call.registry, key))


async def new_material(call: Call, kind: KeyKind) -> Material:
    """Return fresh material; RSA is made beside the event loop, and the call then looks at the clock again."""
    if kind not in RSA_BITS:
        return call.registry.new_material(kind)
    material = await run_beside(partial(call.registry.new_material, kind))
    call.tick()
    return material


def own_attributes(description: str, tags: Iterable[pb.Tag], policy: str) -> dict[str, str]:
    """Return what each key of a family has for itself.

    Raises:
        CloudError: TagException, LimitExceededException.
    """
    attributes = {"description": description}
    for tag in tags:
        name = TAG_PREFIX + tag.tag_key
        if name in attributes:
            raise aws_error("TagException", "Duplicate tag keys")
        if tag.tag_key.lower().startswith("aws:"):
            raise aws_error("TagException", "Tag keys starting with 'aws:' are reserved")
        attributes[name] = tag.tag_value
    if len(attributes) > TAGS_MAX + 1:
        raise aws_error("LimitExceededException", f"Too many tags; a key has at most {TAGS_MAX}")
    return attributes | ({"policy": policy} if policy else {})


def _named(call: Call, place: str, kind: KeyKind, usage: KeyUsage, *, multi_region: bool) -> Key:
    uid = names.uuid4(call.registry.new_uid())
    family = call.registry.new_uid() if multi_region else None
    identifier = names.identifier(uid) if family is None else names.family_identifier(family)
    name = names.key_name(place, identifier)
    key = call.registry.create(names.REALM, name, kind, call.now_ns, uid=uid, usage=usage)
    return key if family is None else replace(key, family=family, role=Role.PRIMARY)


def _spec(request: pb.CreateKeyRequest) -> Spec:
    if request.key_spec and request.customer_master_key_spec:
        text = "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
        raise aws_error("ValidationException", text + "CustomerMasterKeySpec is deprecated.")
    return find_spec(request.key_spec or request.customer_master_key_spec or SYMMETRIC)


def _usage(request: pb.CreateKeyRequest, spec: Spec) -> KeyUsage:
    if not request.key_usage and spec.name != SYMMETRIC:
        text = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
        raise aws_error("ValidationException", text)
    name = request.key_usage or "ENCRYPT_DECRYPT"
    if USAGES[name] not in spec.algorithms:
        raise aws_error("ValidationException", f"KeyUsage {name} is not compatible with KeySpec {spec.name}")
    return USAGES[name]


def _is_imported(request: pb.CreateKeyRequest) -> bool:
    if request.origin in ("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE") or request.custom_key_store_id or request.xks_key_id:
        raise not_emulated("A custom key store")
    return request.origin == "EXTERNAL"
