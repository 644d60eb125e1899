# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.aws_kms.v1 import aws_kms_pb2

class AwsKmsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    CreateKey: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.CreateKeyRequest, aws_kms_pb2.CreateKeyResponse]
    DescribeKey: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.DescribeKeyRequest, aws_kms_pb2.DescribeKeyResponse]
    ListKeys: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.ListKeysRequest, aws_kms_pb2.ListKeysResponse]
    UpdateKeyDescription: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.UpdateKeyDescriptionRequest, aws_kms_pb2.UpdateKeyDescriptionResponse]
    EnableKey: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.EnableKeyRequest, aws_kms_pb2.EnableKeyResponse]
    DisableKey: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.DisableKeyRequest, aws_kms_pb2.DisableKeyResponse]
    ScheduleKeyDeletion: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.ScheduleKeyDeletionRequest, aws_kms_pb2.ScheduleKeyDeletionResponse]
    CancelKeyDeletion: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.CancelKeyDeletionRequest, aws_kms_pb2.CancelKeyDeletionResponse]
    RotateKeyOnDemand: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.RotateKeyOnDemandRequest, aws_kms_pb2.RotateKeyOnDemandResponse]
    ListKeyRotations: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.ListKeyRotationsRequest, aws_kms_pb2.ListKeyRotationsResponse]
    CreateAlias: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.CreateAliasRequest, aws_kms_pb2.CreateAliasResponse]
    UpdateAlias: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.UpdateAliasRequest, aws_kms_pb2.UpdateAliasResponse]
    DeleteAlias: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.DeleteAliasRequest, aws_kms_pb2.DeleteAliasResponse]
    ListAliases: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.ListAliasesRequest, aws_kms_pb2.ListAliasesResponse]
    Encrypt: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.EncryptRequest, aws_kms_pb2.EncryptResponse]
    Decrypt: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.DecryptRequest, aws_kms_pb2.DecryptResponse]
    ReEncrypt: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.ReEncryptRequest, aws_kms_pb2.ReEncryptResponse]
    GenerateDataKey: grpc.UnaryUnaryMultiCallable[aws_kms_pb2.GenerateDataKeyRequest, aws_kms_pb2.GenerateDataKeyResponse]
