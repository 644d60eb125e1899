"""HMAC keys: codes that are right, and the one error for all that are not."""

import hmac
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.aws_crypto.importing import import_material
from tests.emulator.aws_crypto.keys import create
from tests.emulator.aws_http.clients import refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

LENGTHS = {"224": 28, "256": 32, "384": 48, "512": 64}
MESSAGE = b"what is authenticated"


@pytest.mark.parametrize("bits", LENGTHS)
def test_code_is_hmac_of_the_material(kms: "KMSClient", bits: str) -> None:
    key_id = create(kms, f"HMAC_{bits}", "GENERATE_VERIFY_MAC", Origin="EXTERNAL")
    material = bytes(range(LENGTHS[bits]))
    import_material(kms, key_id, material)
    options: Any = {"KeyId": key_id, "Message": MESSAGE, "MacAlgorithm": f"HMAC_SHA_{bits}"}
    made = kms.generate_mac(**options)
    assert made["Mac"] == hmac.digest(material, MESSAGE, f"sha{bits}")
    assert (made["KeyId"], made["MacAlgorithm"]) == (key_id, f"HMAC_SHA_{bits}")
    assert kms.verify_mac(Mac=made["Mac"], **options)["MacValid"]


@pytest.mark.parametrize("bits", LENGTHS)
def test_wrong_code_is_an_error_without_words(kms: "KMSClient", bits: str) -> None:
    options: Any = {
        "KeyId": create(kms, f"HMAC_{bits}", "GENERATE_VERIFY_MAC"),
        "MacAlgorithm": f"HMAC_SHA_{bits}",
    }
    mac = kms.generate_mac(Message=MESSAGE, **options)["Mac"]
    flipped = bytes([mac[0] ^ 1]) + mac[1:]
    for wrong, message in ((flipped, MESSAGE), (mac[:-1], MESSAGE), (mac + b"x", MESSAGE), (mac, b"another")):
        with refused("KMSInvalidMacException", ""):
            kms.verify_mac(Message=message, Mac=wrong, **options)


def test_algorithm_and_usage_must_fit(kms: "KMSClient") -> None:
    key_id = create(kms, "HMAC_256", "GENERATE_VERIFY_MAC")
    text = "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256."
    with refused("InvalidKeyUsageException", text):
        kms.generate_mac(KeyId=key_id, Message=MESSAGE, MacAlgorithm="HMAC_SHA_512")
    symmetric = create(kms)
    for operation in ("GenerateMac", "VerifyMac"):
        text = f"{symmetric} key usage is ENCRYPT_DECRYPT which is not valid for {operation}."
        options: Any = {"KeyId": symmetric, "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_256"}
        with refused("InvalidKeyUsageException", text):
            kms.generate_mac(**options) if operation == "GenerateMac" else kms.verify_mac(Mac=b"x", **options)


def test_dry_run(kms: "KMSClient") -> None:
    options: Any = {
        "KeyId": create(kms, "HMAC_256", "GENERATE_VERIFY_MAC"),
        "Message": MESSAGE,
        "MacAlgorithm": "HMAC_SHA_256",
    }
    mac = kms.generate_mac(**options)["Mac"]
    with refused("DryRunOperationException"):
        kms.generate_mac(DryRun=True, **options)
    with refused("DryRunOperationException"):
        kms.verify_mac(Mac=mac, DryRun=True, **options)
    with refused("KMSInvalidMacException"):
        kms.verify_mac(Mac=b"x", DryRun=True, **options)
