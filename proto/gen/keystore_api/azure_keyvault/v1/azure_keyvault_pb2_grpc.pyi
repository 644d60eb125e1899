# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2

class AzureKeyVaultStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    CreateKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.CreateKeyRequest, azure_keyvault_pb2.KeyBundle]
    GetKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.GetKeyRequest, azure_keyvault_pb2.KeyBundle]
    ListKeys: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.ListKeysRequest, azure_keyvault_pb2.ListKeysResponse]
    ListKeyVersions: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.ListKeyVersionsRequest, azure_keyvault_pb2.ListKeysResponse]
    UpdateKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.UpdateKeyRequest, azure_keyvault_pb2.KeyBundle]
    RotateKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.RotateKeyRequest, azure_keyvault_pb2.KeyBundle]
    DeleteKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.DeleteKeyRequest, azure_keyvault_pb2.DeletedKeyBundle]
    GetDeletedKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.GetDeletedKeyRequest, azure_keyvault_pb2.DeletedKeyBundle]
    ListDeletedKeys: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.ListDeletedKeysRequest, azure_keyvault_pb2.ListDeletedKeysResponse]
    RecoverDeletedKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.RecoverDeletedKeyRequest, azure_keyvault_pb2.KeyBundle]
    PurgeDeletedKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.PurgeDeletedKeyRequest, azure_keyvault_pb2.PurgeDeletedKeyResponse]
    WrapKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.KeyOperationRequest, azure_keyvault_pb2.KeyOperationResult]
    UnwrapKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.KeyOperationRequest, azure_keyvault_pb2.KeyOperationResult]
    Encrypt: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.KeyOperationRequest, azure_keyvault_pb2.KeyOperationResult]
    Decrypt: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.KeyOperationRequest, azure_keyvault_pb2.KeyOperationResult]
    Sign: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.KeyOperationRequest, azure_keyvault_pb2.KeyOperationResult]
    Verify: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.VerifyRequest, azure_keyvault_pb2.VerifyResult]
    ImportKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.ImportKeyRequest, azure_keyvault_pb2.KeyBundle]
    BackupKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.BackupKeyRequest, azure_keyvault_pb2.KeyBackup]
    RestoreKey: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.RestoreKeyRequest, azure_keyvault_pb2.KeyBundle]
    GetRotationPolicy: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.GetRotationPolicyRequest, azure_keyvault_pb2.RotationPolicy]
    UpdateRotationPolicy: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.UpdateRotationPolicyRequest, azure_keyvault_pb2.RotationPolicy]
    GetRandomBytes: grpc.UnaryUnaryMultiCallable[azure_keyvault_pb2.GetRandomBytesRequest, azure_keyvault_pb2.RandomBytes]
