"""The table of Azure operations."""

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.wire.azure import backup, crypto, deleted, imports, keys, names, rotation, signing
from kms_emulator.wire.azure.errors import translate
from kms_emulator.wire.azure.faults import fault_error, key_names
from kms_emulator.wire.call import Adapter, Operation

AZURE = Adapter(
    provider=names.REALM,
    service="keystore_api.azure_keyvault.v1.AzureKeyVault",
    operations={
        "CreateKey": Operation(pb.CreateKeyRequest, keys.create_key),
        "GetKey": Operation(pb.GetKeyRequest, keys.get_key),
        "ListKeys": Operation(pb.ListKeysRequest, keys.list_keys),
        "ListKeyVersions": Operation(pb.ListKeyVersionsRequest, keys.list_key_versions),
        "UpdateKey": Operation(pb.UpdateKeyRequest, keys.update_key),
        "RotateKey": Operation(pb.RotateKeyRequest, keys.rotate_key),
        "DeleteKey": Operation(pb.DeleteKeyRequest, deleted.delete_key),
        "GetDeletedKey": Operation(pb.GetDeletedKeyRequest, deleted.get_deleted_key),
        "ListDeletedKeys": Operation(pb.ListDeletedKeysRequest, deleted.list_deleted_keys),
        "RecoverDeletedKey": Operation(pb.RecoverDeletedKeyRequest, deleted.recover_deleted_key),
        "PurgeDeletedKey": Operation(pb.PurgeDeletedKeyRequest, deleted.purge_deleted_key),
        "WrapKey": Operation(pb.KeyOperationRequest, crypto.forward("wrapKey")),
        "UnwrapKey": Operation(pb.KeyOperationRequest, crypto.backward("unwrapKey")),
        "Encrypt": Operation(pb.KeyOperationRequest, crypto.forward("encrypt")),
        "Decrypt": Operation(pb.KeyOperationRequest, crypto.backward("decrypt")),
        "Sign": Operation(pb.KeyOperationRequest, signing.sign),
        "Verify": Operation(pb.VerifyRequest, signing.verify),
        "ImportKey": Operation(pb.ImportKeyRequest, imports.import_key),
        "BackupKey": Operation(pb.BackupKeyRequest, backup.backup_key),
        "RestoreKey": Operation(pb.RestoreKeyRequest, backup.restore_key),
        "GetRotationPolicy": Operation(pb.GetRotationPolicyRequest, rotation.get_policy),
        "UpdateRotationPolicy": Operation(pb.UpdateRotationPolicyRequest, rotation.update_policy),
        "GetRandomBytes": Operation(pb.GetRandomBytesRequest, crypto.random_bytes),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
)
