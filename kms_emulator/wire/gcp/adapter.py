"""The table of Google operations, served under Google's own service name."""

from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.wire.call import Adapter, Operation
from kms_emulator.wire.gcp import asymmetric, crypto, keys, mac, names, raw, versions
from kms_emulator.wire.gcp.errors import translate
from kms_emulator.wire.gcp.faults import fault_error, key_names

GCP = Adapter(
    provider=names.REALM,
    service="google.cloud.kms.v1.KeyManagementService",
    operations={
        "ListKeyRings": Operation(pb.ListKeyRingsRequest, keys.list_key_rings),
        "ListCryptoKeys": Operation(pb.ListCryptoKeysRequest, keys.list_crypto_keys),
        "ListCryptoKeyVersions": Operation(pb.ListCryptoKeyVersionsRequest, versions.list_versions),
        "GetKeyRing": Operation(pb.GetKeyRingRequest, keys.get_key_ring),
        "GetCryptoKey": Operation(pb.GetCryptoKeyRequest, keys.get_crypto_key),
        "GetCryptoKeyVersion": Operation(pb.GetCryptoKeyVersionRequest, versions.get_version),
        "CreateKeyRing": Operation(pb.CreateKeyRingRequest, keys.create_key_ring),
        "CreateCryptoKey": Operation(pb.CreateCryptoKeyRequest, keys.create_crypto_key),
        "CreateCryptoKeyVersion": Operation(pb.CreateCryptoKeyVersionRequest, versions.create_version),
        "UpdateCryptoKey": Operation(pb.UpdateCryptoKeyRequest, keys.update_crypto_key),
        "UpdateCryptoKeyVersion": Operation(pb.UpdateCryptoKeyVersionRequest, versions.update_version),
        "UpdateCryptoKeyPrimaryVersion": Operation(
            pb.UpdateCryptoKeyPrimaryVersionRequest, keys.update_primary_version
        ),
        "DestroyCryptoKeyVersion": Operation(pb.DestroyCryptoKeyVersionRequest, versions.destroy_version),
        "RestoreCryptoKeyVersion": Operation(pb.RestoreCryptoKeyVersionRequest, versions.restore_version),
        "Encrypt": Operation(pb.EncryptRequest, crypto.encrypt),
        "Decrypt": Operation(pb.DecryptRequest, crypto.decrypt),
        "GetPublicKey": Operation(pb.GetPublicKeyRequest, asymmetric.get_public_key),
        "AsymmetricSign": Operation(pb.AsymmetricSignRequest, asymmetric.asymmetric_sign),
        "AsymmetricDecrypt": Operation(pb.AsymmetricDecryptRequest, asymmetric.asymmetric_decrypt),
        "MacSign": Operation(pb.MacSignRequest, mac.mac_sign),
        "MacVerify": Operation(pb.MacVerifyRequest, mac.mac_verify),
        "RawEncrypt": Operation(pb.RawEncryptRequest, raw.raw_encrypt),
        "RawDecrypt": Operation(pb.RawDecryptRequest, raw.raw_decrypt),
        "GenerateRandomBytes": Operation(pb.GenerateRandomBytesRequest, crypto.generate_random_bytes),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
)
