"""The table of AWS operations. What is in AWS's model and not in here is refused as unsupported."""

from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws import (
    aliases,
    asymmetric,
    creation,
    crypto,
    datakeypairs,
    grants,
    importing,
    keys,
    mac,
    names,
    policies,
    randomness,
    replicas,
    rotation,
    tags,
    usage,
)
from kms_emulator.wire.aws.authorize import authorize_account
from kms_emulator.wire.aws.constraints import checker
from kms_emulator.wire.aws.errors import aws_error, translate
from kms_emulator.wire.aws.faults import fault_error, key_names
from kms_emulator.wire.call import Adapter, Call, Operation

SERVICE = pb.DESCRIPTOR.services_by_name["AwsKms"]
"""All operations of AWS's model; the shapes of their members are read when the first request comes, not before."""

SERVED: dict[str, Any] = {
    "CreateKey": creation.create_key,
    "DescribeKey": keys.describe_key,
    "ListKeys": keys.list_keys,
    "UpdateKeyDescription": keys.update_key_description,
    "EnableKey": keys.enable_key,
    "DisableKey": keys.disable_key,
    "ScheduleKeyDeletion": keys.schedule_key_deletion,
    "CancelKeyDeletion": keys.cancel_key_deletion,
    "EnableKeyRotation": rotation.enable_key_rotation,
    "DisableKeyRotation": rotation.disable_key_rotation,
    "GetKeyRotationStatus": rotation.get_key_rotation_status,
    "RotateKeyOnDemand": rotation.rotate_key_on_demand,
    "ListKeyRotations": rotation.list_key_rotations,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ListResourceTags": tags.list_resource_tags,
    "GetKeyLastUsage": usage.get_key_last_usage,
    "CreateAlias": aliases.create_alias,
    "UpdateAlias": aliases.update_alias,
    "DeleteAlias": aliases.delete_alias,
    "ListAliases": aliases.list_aliases,
    "Encrypt": crypto.encrypt,
    "Decrypt": crypto.decrypt,
    "ReEncrypt": crypto.re_encrypt,
    "GenerateDataKey": randomness.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": randomness.generate_data_key_without_plaintext,
    "GenerateRandom": randomness.generate_random,
    "GenerateDataKeyPair": datakeypairs.generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": datakeypairs.generate_data_key_pair_without_plaintext,
    "GetPublicKey": asymmetric.get_public_key,
    "Sign": asymmetric.sign,
    "Verify": asymmetric.verify,
    "DeriveSharedSecret": asymmetric.derive_shared_secret,
    "Encapsulate": asymmetric.encapsulate,
    "Decapsulate": asymmetric.decapsulate,
    "GenerateMac": mac.generate_mac,
    "VerifyMac": mac.verify_mac,
    "GetParametersForImport": importing.get_parameters_for_import,
    "ImportKeyMaterial": importing.import_key_material,
    "DeleteImportedKeyMaterial": importing.delete_imported_key_material,
    "ReplicateKey": replicas.replicate_key,
    "UpdatePrimaryRegion": replicas.update_primary_region,
    "CreateGrant": grants.create_grant,
    "ListGrants": grants.list_grants,
    "ListRetirableGrants": grants.list_retirable_grants,
    "RevokeGrant": grants.revoke_grant,
    "RetireGrant": grants.retire_grant,
    "PutKeyPolicy": policies.put_key_policy,
    "GetKeyPolicy": policies.get_key_policy,
    "ListKeyPolicies": policies.list_key_policies,
}
"""What runs each operation: it takes the call and the operation's request, and returns its response."""

OF_ACCOUNT = frozenset({
    "ConnectCustomKeyStore", "CreateCustomKeyStore", "CreateKey", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore", "GenerateRandom", "ListAliases", "ListKeys", "ListRetirableGrants",
    "UpdateCustomKeyStore",
})  # fmt: skip
"""Operations that need a permission of the caller's own policies. The others ask for one when they find their key."""


def _operation(method: MethodDescriptor) -> Operation[Any]:
    name, request = method.name, getattr(pb, method.input_type.name)
    run = SERVED.get(name, _refuse)
    return Operation(request, _authorized(run) if name in OF_ACCOUNT else run, checker(name))


def _authorized(run: Any) -> Any:
    def authorize_and_run(call: Call, request: Message) -> Any:
        authorize_account(call)
        return run(call, request)

    return authorize_and_run


def _refuse(call: Call, _: Message) -> Message:
    raise aws_error("UnsupportedOperationException", f"{call.operation} is not emulated.")


AWS = Adapter(
    provider=names.REALM,
    service=SERVICE.full_name,
    operations={method.name: _operation(method) for method in SERVICE.methods},
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
    completed=usage.note_use,
)
