"""The table of Azure operations."""

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.wire.azure import backup, crypto, deleted, imports, keys, names, rotation, signing
from kms_emulator.wire.azure.access import guarded
from kms_emulator.wire.azure.errors import translate
from kms_emulator.wire.azure.faults import fault_error, key_names
from kms_emulator.wire.call import Adapter, Operation

AZURE = Adapter(
    provider=names.REALM,
    service="keystore_api.azure_keyvault.v1.AzureKeyVault",
    operations={
        "CreateKey": Operation(pb.CreateKeyRequest, guarded("create", keys.create_key)),
        "GetKey": Operation(pb.GetKeyRequest, guarded("get", keys.get_key)),
        "ListKeys": Operation(pb.ListKeysRequest, guarded("list", keys.list_keys)),
        "ListKeyVersions": Operation(pb.ListKeyVersionsRequest, guarded("list", keys.list_key_versions)),
        "UpdateKey": Operation(pb.UpdateKeyRequest, guarded("update", keys.update_key)),
        "RotateKey": Operation(pb.RotateKeyRequest, guarded("rotate", keys.rotate_key)),
        "DeleteKey": Operation(pb.DeleteKeyRequest, guarded("delete", deleted.delete_key)),
        "GetDeletedKey": Operation(pb.GetDeletedKeyRequest, guarded("get", deleted.get_deleted_key)),
        "ListDeletedKeys": Operation(pb.ListDeletedKeysRequest, guarded("list", deleted.list_deleted_keys)),
        "RecoverDeletedKey": Operation(pb.RecoverDeletedKeyRequest, guarded("recover", deleted.recover_deleted_key)),
        "PurgeDeletedKey": Operation(pb.PurgeDeletedKeyRequest, guarded("purge", deleted.purge_deleted_key)),
        "WrapKey": Operation(pb.KeyOperationRequest, guarded("wrapKey", crypto.forward("wrapKey"))),
        "UnwrapKey": Operation(pb.KeyOperationRequest, guarded("unwrapKey", crypto.backward("unwrapKey"))),
        "Encrypt": Operation(pb.KeyOperationRequest, guarded("encrypt", crypto.forward("encrypt"))),
        "Decrypt": Operation(pb.KeyOperationRequest, guarded("decrypt", crypto.backward("decrypt"))),
        "Sign": Operation(pb.KeyOperationRequest, guarded("sign", signing.sign)),
        "Verify": Operation(pb.VerifyRequest, guarded("verify", signing.verify)),
        "ImportKey": Operation(pb.ImportKeyRequest, guarded("import", imports.import_key)),
        "BackupKey": Operation(pb.BackupKeyRequest, guarded("backup", backup.backup_key)),
        "RestoreKey": Operation(pb.RestoreKeyRequest, guarded("restore", backup.restore_key)),
        "GetRotationPolicy": Operation(pb.GetRotationPolicyRequest, guarded("getrotationpolicy", rotation.get_policy)),
        "UpdateRotationPolicy": Operation(
            pb.UpdateRotationPolicyRequest, guarded("setrotationpolicy", rotation.update_policy)
        ),
        "GetRandomBytes": Operation(pb.GetRandomBytesRequest, guarded("get", crypto.random_bytes)),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
)
