# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2

class KeyManagementServiceStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    ListKeyRings: grpc.UnaryUnaryMultiCallable[service_pb2.ListKeyRingsRequest, service_pb2.ListKeyRingsResponse]
    ListCryptoKeys: grpc.UnaryUnaryMultiCallable[service_pb2.ListCryptoKeysRequest, service_pb2.ListCryptoKeysResponse]
    ListCryptoKeyVersions: grpc.UnaryUnaryMultiCallable[service_pb2.ListCryptoKeyVersionsRequest, service_pb2.ListCryptoKeyVersionsResponse]
    ListImportJobs: grpc.UnaryUnaryMultiCallable[service_pb2.ListImportJobsRequest, service_pb2.ListImportJobsResponse]
    GetKeyRing: grpc.UnaryUnaryMultiCallable[service_pb2.GetKeyRingRequest, resources_pb2.KeyRing]
    GetCryptoKey: grpc.UnaryUnaryMultiCallable[service_pb2.GetCryptoKeyRequest, resources_pb2.CryptoKey]
    GetCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.GetCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    GetImportJob: grpc.UnaryUnaryMultiCallable[service_pb2.GetImportJobRequest, resources_pb2.ImportJob]
    CreateKeyRing: grpc.UnaryUnaryMultiCallable[service_pb2.CreateKeyRingRequest, resources_pb2.KeyRing]
    CreateCryptoKey: grpc.UnaryUnaryMultiCallable[service_pb2.CreateCryptoKeyRequest, resources_pb2.CryptoKey]
    CreateCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.CreateCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    ImportCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.ImportCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    CreateImportJob: grpc.UnaryUnaryMultiCallable[service_pb2.CreateImportJobRequest, resources_pb2.ImportJob]
    UpdateCryptoKey: grpc.UnaryUnaryMultiCallable[service_pb2.UpdateCryptoKeyRequest, resources_pb2.CryptoKey]
    UpdateCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.UpdateCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    UpdateCryptoKeyPrimaryVersion: grpc.UnaryUnaryMultiCallable[service_pb2.UpdateCryptoKeyPrimaryVersionRequest, resources_pb2.CryptoKey]
    DestroyCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.DestroyCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    RestoreCryptoKeyVersion: grpc.UnaryUnaryMultiCallable[service_pb2.RestoreCryptoKeyVersionRequest, resources_pb2.CryptoKeyVersion]
    Encrypt: grpc.UnaryUnaryMultiCallable[service_pb2.EncryptRequest, service_pb2.EncryptResponse]
    Decrypt: grpc.UnaryUnaryMultiCallable[service_pb2.DecryptRequest, service_pb2.DecryptResponse]
    GetPublicKey: grpc.UnaryUnaryMultiCallable[service_pb2.GetPublicKeyRequest, resources_pb2.PublicKey]
    AsymmetricSign: grpc.UnaryUnaryMultiCallable[service_pb2.AsymmetricSignRequest, service_pb2.AsymmetricSignResponse]
    AsymmetricDecrypt: grpc.UnaryUnaryMultiCallable[service_pb2.AsymmetricDecryptRequest, service_pb2.AsymmetricDecryptResponse]
    MacSign: grpc.UnaryUnaryMultiCallable[service_pb2.MacSignRequest, service_pb2.MacSignResponse]
    MacVerify: grpc.UnaryUnaryMultiCallable[service_pb2.MacVerifyRequest, service_pb2.MacVerifyResponse]
    RawEncrypt: grpc.UnaryUnaryMultiCallable[service_pb2.RawEncryptRequest, service_pb2.RawEncryptResponse]
    RawDecrypt: grpc.UnaryUnaryMultiCallable[service_pb2.RawDecryptRequest, service_pb2.RawDecryptResponse]
    GenerateRandomBytes: grpc.UnaryUnaryMultiCallable[service_pb2.GenerateRandomBytesRequest, service_pb2.GenerateRandomBytesResponse]
