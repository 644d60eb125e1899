"""The table of AWS operations."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws import aliases, crypto, keys, names
from kms_emulator.wire.aws.errors import translate
from kms_emulator.wire.aws.faults import fault_error, key_names
from kms_emulator.wire.call import Adapter, Operation

AWS = Adapter(
    provider=names.REALM,
    service="keystore_api.aws_kms.v1.AwsKms",
    operations={
        "CreateKey": Operation(pb.CreateKeyRequest, keys.create_key),
        "DescribeKey": Operation(pb.DescribeKeyRequest, keys.describe_key),
        "ListKeys": Operation(pb.ListKeysRequest, keys.list_keys),
        "UpdateKeyDescription": Operation(pb.UpdateKeyDescriptionRequest, keys.update_key_description),
        "EnableKey": Operation(pb.EnableKeyRequest, keys.enable_key),
        "DisableKey": Operation(pb.DisableKeyRequest, keys.disable_key),
        "ScheduleKeyDeletion": Operation(pb.ScheduleKeyDeletionRequest, keys.schedule_key_deletion),
        "CancelKeyDeletion": Operation(pb.CancelKeyDeletionRequest, keys.cancel_key_deletion),
        "RotateKeyOnDemand": Operation(pb.RotateKeyOnDemandRequest, keys.rotate_key_on_demand),
        "ListKeyRotations": Operation(pb.ListKeyRotationsRequest, keys.list_key_rotations),
        "CreateAlias": Operation(pb.CreateAliasRequest, aliases.create_alias),
        "UpdateAlias": Operation(pb.UpdateAliasRequest, aliases.update_alias),
        "DeleteAlias": Operation(pb.DeleteAliasRequest, aliases.delete_alias),
        "ListAliases": Operation(pb.ListAliasesRequest, aliases.list_aliases),
        "Encrypt": Operation(pb.EncryptRequest, crypto.encrypt),
        "Decrypt": Operation(pb.DecryptRequest, crypto.decrypt),
        "ReEncrypt": Operation(pb.ReEncryptRequest, crypto.re_encrypt),
        "GenerateDataKey": Operation(pb.GenerateDataKeyRequest, crypto.generate_data_key),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
)
