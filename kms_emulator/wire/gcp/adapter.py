"""The tables of Google operations with the permission that each needs, served under Google's own service names."""

from keystore_api.google_iam.v1 import iam_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.wire.call import Adapter, Operation
from kms_emulator.wire.gcp import asymmetric, crypto, iam, import_jobs, imports, keys, mac, names, raw, roles, versions
from kms_emulator.wire.gcp.authenticate import authenticate
from kms_emulator.wire.gcp.authorize import permitted
from kms_emulator.wire.gcp.errors import translate
from kms_emulator.wire.gcp.faults import fault_error, key_names

GCP = Adapter(
    provider=names.REALM,
    service="google.cloud.kms.v1.KeyManagementService",
    operations={
        "ListKeyRings": permitted("cloudkms.keyRings.list", pb.ListKeyRingsRequest, keys.list_key_rings),
        "ListCryptoKeys": permitted("cloudkms.cryptoKeys.list", pb.ListCryptoKeysRequest, keys.list_crypto_keys),
        "ListCryptoKeyVersions": permitted(
            "cloudkms.cryptoKeyVersions.list", pb.ListCryptoKeyVersionsRequest, versions.list_versions
        ),
        "ListImportJobs": permitted("cloudkms.importJobs.list", pb.ListImportJobsRequest, import_jobs.list_import_jobs),
        "GetKeyRing": permitted("cloudkms.keyRings.get", pb.GetKeyRingRequest, keys.get_key_ring),
        "GetCryptoKey": permitted("cloudkms.cryptoKeys.get", pb.GetCryptoKeyRequest, keys.get_crypto_key),
        "GetCryptoKeyVersion": permitted(
            "cloudkms.cryptoKeyVersions.get", pb.GetCryptoKeyVersionRequest, versions.get_version
        ),
        "GetImportJob": permitted("cloudkms.importJobs.get", pb.GetImportJobRequest, import_jobs.get_import_job),
        "CreateKeyRing": permitted("cloudkms.keyRings.create", pb.CreateKeyRingRequest, keys.create_key_ring),
        "CreateCryptoKey": permitted("cloudkms.cryptoKeys.create", pb.CreateCryptoKeyRequest, keys.create_crypto_key),
        "CreateCryptoKeyVersion": permitted(
            "cloudkms.cryptoKeyVersions.create", pb.CreateCryptoKeyVersionRequest, versions.create_version
        ),
        "ImportCryptoKeyVersion": Operation(pb.ImportCryptoKeyVersionRequest, imports.import_version),
        "CreateImportJob": permitted(
            "cloudkms.importJobs.create", pb.CreateImportJobRequest, import_jobs.create_import_job
        ),
        "UpdateCryptoKey": permitted("cloudkms.cryptoKeys.update", pb.UpdateCryptoKeyRequest, keys.update_crypto_key),
        "UpdateCryptoKeyVersion": permitted(
            "cloudkms.cryptoKeyVersions.update", pb.UpdateCryptoKeyVersionRequest, versions.update_version
        ),
        "UpdateCryptoKeyPrimaryVersion": permitted(
            "cloudkms.cryptoKeys.update", pb.UpdateCryptoKeyPrimaryVersionRequest, keys.update_primary_version
        ),
        "DestroyCryptoKeyVersion": permitted(
            "cloudkms.cryptoKeyVersions.destroy", pb.DestroyCryptoKeyVersionRequest, versions.destroy_version
        ),
        "RestoreCryptoKeyVersion": permitted(
            "cloudkms.cryptoKeyVersions.restore", pb.RestoreCryptoKeyVersionRequest, versions.restore_version
        ),
        "Encrypt": permitted(roles.ENCRYPT, pb.EncryptRequest, crypto.encrypt),
        "Decrypt": permitted(roles.DECRYPT, pb.DecryptRequest, crypto.decrypt),
        "GetPublicKey": permitted(roles.VIEW_PUBLIC_KEY, pb.GetPublicKeyRequest, asymmetric.get_public_key),
        "AsymmetricSign": permitted(roles.SIGN, pb.AsymmetricSignRequest, asymmetric.asymmetric_sign),
        "AsymmetricDecrypt": permitted(roles.DECRYPT, pb.AsymmetricDecryptRequest, asymmetric.asymmetric_decrypt),
        "MacSign": permitted(roles.SIGN, pb.MacSignRequest, mac.mac_sign),
        "MacVerify": permitted(roles.VERIFY, pb.MacVerifyRequest, mac.mac_verify),
        "RawEncrypt": permitted(roles.ENCRYPT, pb.RawEncryptRequest, raw.raw_encrypt),
        "RawDecrypt": permitted(roles.DECRYPT, pb.RawDecryptRequest, raw.raw_decrypt),
        "GenerateRandomBytes": permitted(
            roles.RANDOM_BYTES, pb.GenerateRandomBytesRequest, crypto.generate_random_bytes
        ),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
    authenticate=authenticate,
)

GCP_IAM = Adapter(
    provider=names.REALM,
    service="google.iam.v1.IAMPolicy",
    operations={
        "SetIamPolicy": Operation(iam_pb2.SetIamPolicyRequest, iam.set_iam_policy),
        "GetIamPolicy": Operation(iam_pb2.GetIamPolicyRequest, iam.get_iam_policy),
        "TestIamPermissions": Operation(iam_pb2.TestIamPermissionsRequest, iam.test_iam_permissions),
    },
    translate=translate,
    fault_error=fault_error,
    key_names=key_names,
    authenticate=authenticate,
)
