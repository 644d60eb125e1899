"""Which keys there are: every spec and usage of botocore's model, and what CreateKey refuses."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.aws_crypto.keys import create
from tests.emulator.aws_http.clients import refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

ECDSA = {"ECC_NIST_P256": "256", "ECC_NIST_P384": "384", "ECC_NIST_P521": "512", "ECC_SECG_P256K1": "256"}
RSA = ("RSA_2048", "RSA_3072", "RSA_4096")
RSA_SIGNING = [f"RSASSA_{pad}_SHA_{bits}" for pad in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)]
SERVED: dict[tuple[str, str], tuple[str, list[str]]] = {
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"): ("EncryptionAlgorithms", ["SYMMETRIC_DEFAULT"]),
    **{(spec, "ENCRYPT_DECRYPT"): ("EncryptionAlgorithms", ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]) for spec in RSA},
    **{(spec, "SIGN_VERIFY"): ("SigningAlgorithms", RSA_SIGNING) for spec in RSA},
    **{(spec, "SIGN_VERIFY"): ("SigningAlgorithms", [f"ECDSA_SHA_{bits}"]) for spec, bits in ECDSA.items()},
    **{(spec, "KEY_AGREEMENT"): ("KeyAgreementAlgorithms", ["ECDH"]) for spec in ECDSA if "NIST" in spec},
    ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"): ("SigningAlgorithms", ["ED25519_SHA_512"]),
    **{(f"ML_DSA_{n}", "SIGN_VERIFY"): ("SigningAlgorithms", ["ML_DSA_SHAKE_256"]) for n in (44, 65, 87)},
    **{(f"ML_KEM_{n}", "ENCAPSULATE_DECAPSULATE"): ("EncapsulationAlgorithms", ["ML_KEM"]) for n in (768, 1024)},
    **{(f"HMAC_{n}", "GENERATE_VERIFY_MAC"): ("MacAlgorithms", [f"HMAC_SHA_{n}"]) for n in (224, 256, 384, 512)},
}
NOT_EMULATED = {"SM2", "ML_KEM_512"}


def enum(kms: "KMSClient", shape: str) -> list[str]:
    found: list[str] = kms.meta.service_model.shape_for(shape).enum  # type: ignore[attr-defined]
    return found


def test_every_spec_and_usage_is_made_or_refused(kms: "KMSClient") -> None:
    made = 0
    for spec in enum(kms, "KeySpec"):
        for usage in enum(kms, "KeyUsageType"):
            options: Any = {"KeySpec": spec, "KeyUsage": usage}
            if spec in NOT_EMULATED:
                with refused("UnsupportedOperationException", f"KeySpec {spec} is not emulated."):
                    kms.create_key(**options)
            elif (spec, usage) not in SERVED:
                with refused("ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}"):
                    kms.create_key(**options)
            else:
                # Imported material: the spec is all that is asked, and no RSA key has to be made.
                found: Any = kms.create_key(**options, Origin="EXTERNAL")["KeyMetadata"]
                field, algorithms = SERVED[(spec, usage)]
                assert sorted(found[field]) == sorted(algorithms)
                assert [name for name in found if name.endswith("Algorithms")] == [field]
                assert (found["KeySpec"], found["KeyUsage"]) == (spec, usage)
                assert found["CustomerMasterKeySpec"] == spec
                made += 1
    assert made == len(SERVED)


def test_usage_must_be_named_unless_symmetric(kms: "KMSClient") -> None:
    text = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
    for spec in sorted({spec for spec, _ in SERVED} - {"SYMMETRIC_DEFAULT"}):
        with refused("ValidationException", text):
            create(kms, spec)
    assert create(kms, "SYMMETRIC_DEFAULT")


def test_both_names_of_the_spec_are_one_too_many(kms: "KMSClient") -> None:
    with refused("ValidationException"):
        kms.create_key(KeySpec="RSA_2048", CustomerMasterKeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    found = kms.create_key(CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    assert found["KeySpec"] == "ECC_NIST_P256"


@pytest.mark.parametrize(
    "options",
    [
        {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1234567890abcdef0"},
        {"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "key"},
        {"CustomKeyStoreId": "cks-1234567890abcdef0"},
    ],
)
def test_custom_key_stores_say_that_they_are_not_here(kms: "KMSClient", options: Any) -> None:
    with refused("UnsupportedOperationException", "A custom key store is not emulated."):
        kms.create_key(**options)


def test_tags_twice_reserved_or_too_many_are_refused(kms: "KMSClient") -> None:
    with refused("TagException"):
        kms.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "a", "TagValue": "2"}])
    with refused("TagException"):
        kms.create_key(Tags=[{"TagKey": "aws:a", "TagValue": "1"}])
    with refused("LimitExceededException"):
        kms.create_key(Tags=[{"TagKey": f"k{number}", "TagValue": ""} for number in range(51)])
    assert kms.list_keys()["Keys"] == []


def test_external_key_waits_for_its_material(kms: "KMSClient") -> None:
    found = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert (found["KeyState"], found["Enabled"], found["Origin"]) == ("PendingImport", False, "EXTERNAL")
    assert "CurrentKeyMaterialId" not in found
    assert "ExpirationModel" not in found


def test_only_key_pairs_have_a_public_half(kms: "KMSClient") -> None:
    for spec, usage in (("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), ("HMAC_256", "GENERATE_VERIFY_MAC")):
        with refused("UnsupportedOperationException"):
            kms.get_public_key(KeyId=create(kms, spec, usage))
