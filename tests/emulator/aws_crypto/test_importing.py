"""Imported material: both steps, what is refused in each, expiry on the virtual clock, and rotation."""

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.emulator.aws_crypto.importing import AES_SHA256, OAEP_SHA256, import_material, parameters, wrap
from tests.emulator.aws_crypto.keys import advance, create, public, state
from tests.emulator.aws_http.clients import refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

STAYS: Any = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def external(kms: "KMSClient", spec: str = "", usage: str = "", **options: Any) -> str:
    return create(kms, spec, usage, Origin="EXTERNAL", **options)


def pkcs8(private: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    found: bytes = private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return found


def virtual_now(running: Running) -> datetime:
    return datetime.fromtimestamp(running.core.now_ns() // 10**9, UTC)


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072"])
def test_symmetric_material(kms: "KMSClient", algorithm: str, spec: str) -> None:
    key_id = external(kms)
    with refused("KMSInvalidStateException", f"{key_id} is pending import."):
        kms.encrypt(KeyId=key_id, Plaintext=b"x")
    offered = parameters(kms, key_id, algorithm, spec)
    assert timedelta(hours=23) < offered["ParametersValidTo"] - datetime.now(UTC) <= timedelta(hours=24)
    wrapped = wrap(offered["PublicKey"], os.urandom(32), algorithm)
    done = kms.import_key_material(
        KeyId=key_id, ImportToken=offered["ImportToken"], EncryptedKeyMaterial=wrapped, **STAYS
    )
    found = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert (found["KeyState"], found["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert done["KeyMaterialId"] == found["CurrentKeyMaterialId"]
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"


def test_imported_key_pairs_are_the_ones_imported(kms: "KMSClient") -> None:
    pairs: list[tuple[str, Any]] = [
        ("RSA_2048", rsa.generate_private_key(65537, 2048)),
        ("ECC_NIST_P521", ec.generate_private_key(ec.SECP521R1())),
        ("ECC_SECG_P256K1", ec.generate_private_key(ec.SECP256K1())),
        ("ECC_NIST_EDWARDS25519", ed25519.Ed25519PrivateKey.generate()),
    ]
    for spec, private in pairs:
        key_id = external(kms, spec, "SIGN_VERIFY")
        done = import_material(kms, key_id, pkcs8(private), AES_SHA256)
        assert "KeyMaterialId" not in done
        assert public(kms, key_id) == private.public_key()


def test_imported_signing_key_signs(kms: "KMSClient") -> None:
    private, key_id = ec.generate_private_key(ec.SECP256R1()), external(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    import_material(kms, key_id, pkcs8(private))
    signature = kms.sign(KeyId=key_id, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    private.public_key().verify(signature, b"x", ec.ECDSA(hashes.SHA256()))


def test_wrong_material_is_refused(kms: "KMSClient") -> None:
    p384 = pkcs8(ec.generate_private_key(ec.SECP384R1()))
    rsa_3072 = pkcs8(rsa.generate_private_key(65537, 3072))
    cases: list[tuple[str, str, bytes, str]] = [
        ("", "", bytes(16), OAEP_SHA256),
        ("", "", bytes(33), OAEP_SHA256),
        ("HMAC_256", "GENERATE_VERIFY_MAC", bytes(31), OAEP_SHA256),
        ("ECC_NIST_P256", "SIGN_VERIFY", bytes(32), OAEP_SHA256),
        ("ECC_NIST_P256", "SIGN_VERIFY", p384, OAEP_SHA256),
        ("RSA_2048", "SIGN_VERIFY", rsa_3072, AES_SHA256),
    ]
    for spec, usage, material, algorithm in cases:
        key_id = external(kms, spec, usage)
        with refused("IncorrectKeyMaterialException"):
            import_material(kms, key_id, material, algorithm)
        assert state(kms, key_id) == "PendingImport"


def test_wrapping_must_fit_the_material(kms: "KMSClient") -> None:
    cases = [
        ("", "", AES_SHA256, "RSA_2048"),
        ("HMAC_512", "GENERATE_VERIFY_MAC", AES_SHA256, "RSA_4096"),
        ("RSA_2048", "SIGN_VERIFY", OAEP_SHA256, "RSA_4096"),
        ("ECC_NIST_P521", "SIGN_VERIFY", OAEP_SHA256, "RSA_2048"),
        ("", "", "RSAES_PKCS1_V1_5", "RSA_2048"),
        ("", "", OAEP_SHA256, "SM2"),
        ("", "", "SM2PKE", "SM2"),
    ]
    for spec, usage, algorithm, wrapping_spec in cases:
        with refused("UnsupportedOperationException"):
            parameters(kms, external(kms, spec, usage), algorithm, wrapping_spec)


def test_only_external_keys_take_material(kms: "KMSClient") -> None:
    key_id = create(kms)
    text = f"{key_id} origin is AWS_KMS which is not valid for this operation."
    with refused("UnsupportedOperationException", text):
        parameters(kms, key_id)
    with refused("UnsupportedOperationException", text):
        kms.import_key_material(KeyId=key_id, ImportToken=b"x", EncryptedKeyMaterial=b"x", **STAYS)
    with refused("UnsupportedOperationException", text):
        kms.delete_imported_key_material(KeyId=key_id)


def test_token_is_for_one_key_and_one_wrapping_key_and_24_hours(kms: "KMSClient", running: Running) -> None:
    key_id, other = external(kms), external(kms)
    offered, another = parameters(kms, key_id), parameters(kms, key_id)
    good: Any = {
        "KeyId": key_id,
        "ImportToken": offered["ImportToken"],
        "EncryptedKeyMaterial": wrap(offered["PublicKey"], bytes(32)),
        **STAYS,
    }
    token = good["ImportToken"]
    for wrong in (b"x", token[:-1], token[:-1] + bytes([token[-1] ^ 1])):
        with refused("InvalidImportTokenException"):
            kms.import_key_material(**good | {"ImportToken": wrong})
    with refused("InvalidImportTokenException"):
        kms.import_key_material(**good | {"KeyId": other})
    with refused("InvalidCiphertextException"):
        kms.import_key_material(**good | {"ImportToken": another["ImportToken"]})
    with refused("InvalidCiphertextException"):
        kms.import_key_material(**good | {"EncryptedKeyMaterial": bytes(256)})
    advance(running, timedelta(hours=24))
    with refused("ExpiredImportTokenException"):
        kms.import_key_material(**good)
    assert state(kms, key_id) == "PendingImport"


def test_expiry_must_be_named_and_near(kms: "KMSClient", running: Running) -> None:
    key_id, now = external(kms), virtual_now(running)
    wrong: list[dict[str, Any]] = [
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES"},
        {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ValidTo": now + timedelta(days=1)},
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now - timedelta(seconds=1)},
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now + timedelta(days=365, hours=1)},
    ]
    for options in wrong:
        with refused("ValidationException"):
            import_material(kms, key_id, bytes(32), **options)
    assert state(kms, key_id) == "PendingImport"


def test_material_expires_and_only_the_same_comes_back(kms: "KMSClient", running: Running) -> None:
    key_id, material, ends = external(kms), os.urandom(32), virtual_now(running) + timedelta(days=30)
    import_material(kms, key_id, material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=ends)
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    found = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert (found["ValidTo"], found["ExpirationModel"]) == (ends, "KEY_MATERIAL_EXPIRES")

    advance(running, timedelta(days=29))
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    advance(running, timedelta(days=1, seconds=1))
    assert state(kms, key_id) == "PendingImport"
    with refused("KMSInvalidStateException", f"{key_id} is pending import."):
        kms.decrypt(CiphertextBlob=sealed)
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key_id, os.urandom(32))
    import_material(kms, key_id, material)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    advance(running, timedelta(days=1000))
    assert state(kms, key_id) == "Enabled"


def test_deleted_material_comes_back_for_every_kind(kms: "KMSClient") -> None:
    for spec, usage, material in (("", "", os.urandom(32)), ("HMAC_256", "GENERATE_VERIFY_MAC", os.urandom(32))):
        key_id = external(kms, spec, usage)
        import_material(kms, key_id, material)
        deleted = kms.delete_imported_key_material(KeyId=key_id)
        assert deleted["KeyId"] == key_id
        assert ("KeyMaterialId" in deleted) is (spec == "")
        assert state(kms, key_id) == "PendingImport"
        kms.delete_imported_key_material(KeyId=key_id)
        with refused("IncorrectKeyMaterialException"):
            import_material(kms, key_id, os.urandom(32))
        import_material(kms, key_id, material)
        assert state(kms, key_id) == "Enabled"


def test_new_material_waits_for_a_rotation(kms: "KMSClient") -> None:
    key_id, first, second = external(kms), os.urandom(32), os.urandom(32)
    with refused("KMSInvalidStateException"):
        kms.rotate_key_on_demand(KeyId=key_id)
    import_material(kms, key_id, first, KeyMaterialDescription="the first")
    old = kms.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    with refused("KMSInvalidStateException"):
        kms.rotate_key_on_demand(KeyId=key_id)
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key_id, first, ImportType="NEW_KEY_MATERIAL")
    done = import_material(kms, key_id, second, ImportType="NEW_KEY_MATERIAL")
    with refused("KMSInvalidStateException"):
        import_material(kms, key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] != done["KeyMaterialId"]

    def listed() -> list[tuple[str | None, ...]]:
        every = kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        return [(entry.get("KeyMaterialState"), entry.get("ImportState")) for entry in every]

    assert sorted(listed()) == [("CURRENT", "IMPORTED"), ("PENDING_ROTATION", "IMPORTED")]
    assert kms.list_key_rotations(KeyId=key_id)["Rotations"] == []
    kms.rotate_key_on_demand(KeyId=key_id)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] == done["KeyMaterialId"]
    assert sorted(listed()) == [("CURRENT", "IMPORTED"), ("NON_CURRENT", "IMPORTED")]
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"

    # Every material that anything was encrypted with is needed.
    first_id = kms.decrypt(CiphertextBlob=old)["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=first_id)
    with refused("KMSInvalidStateException", f"{key_id} is pending import."):
        kms.encrypt(KeyId=key_id, Plaintext=b"x")
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key_id, second, KeyMaterialId=first_id)
    import_material(kms, key_id, first, KeyMaterialId=first_id)
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"


def test_waiting_material_can_be_deleted_without_harm(kms: "KMSClient") -> None:
    key_id = external(kms)
    import_material(kms, key_id, os.urandom(32))
    waiting = import_material(kms, key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=waiting)
    assert state(kms, key_id) == "Enabled"
    import_material(kms, key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")
    kms.rotate_key_on_demand(KeyId=key_id)
    with refused("NotFoundException"):
        kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId="0" * 64)


def test_options_of_symmetric_keys_are_not_for_others(kms: "KMSClient") -> None:
    key_id = external(kms, "HMAC_256", "GENERATE_VERIFY_MAC")
    options: list[dict[str, Any]] = [
        {"ImportType": "NEW_KEY_MATERIAL"},
        {"KeyMaterialDescription": "mine"},
        {"KeyMaterialId": "0" * 64},
    ]
    for given in options:
        with refused("ValidationException"):
            import_material(kms, key_id, bytes(32), **given)
    with refused("ValidationException"):
        import_material(kms, external(kms), bytes(32), ImportType="NEW_KEY_MATERIAL", KeyMaterialId="0" * 64)


def test_deletion_of_a_key_that_waits_for_material(kms: "KMSClient") -> None:
    key_id = external(kms)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert state(kms, key_id) == "PendingDeletion"
    with refused("KMSInvalidStateException", f"{key_id} is pending deletion."):
        parameters(kms, key_id)
    kms.cancel_key_deletion(KeyId=key_id)
    assert state(kms, key_id) == "PendingImport"
    for switch in (kms.enable_key, kms.disable_key):
        with refused("KMSInvalidStateException", f"{key_id} is pending import."):
            switch(KeyId=key_id)


def test_tokens_and_material_outlive_the_process(tmp_path: Any) -> None:
    from kms_emulator.core import Core
    from kms_emulator.storage.directory import DataDir
    from tests.emulator.aws_http.clients import client

    material = os.urandom(32)
    with DataDir(tmp_path) as data:
        first = Running(Core(data.store), http=True)
        kms = client(first.server.url or "")
        key_id = external(kms)
        offered = parameters(kms, key_id)
        first.stop()
    with DataDir(tmp_path) as data:
        second = Running(Core(data.store), http=True)
        kms = client(second.server.url or "")
        wrapped = wrap(offered["PublicKey"], material)
        kms.import_key_material(KeyId=key_id, ImportToken=offered["ImportToken"], EncryptedKeyMaterial=wrapped, **STAYS)
        sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
        second.stop()
    with DataDir(tmp_path) as data:
        third = Running(Core(data.store), http=True)
        kms = client(third.server.url or "")
        assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
        kms.delete_imported_key_material(KeyId=key_id)
        third.stop()
    with DataDir(tmp_path) as data:
        fourth = Running(Core(data.store), http=True)
        kms = client(fourth.server.url or "")
        assert state(kms, key_id) == "PendingImport"
        import_material(kms, key_id, material)
        assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
        fourth.stop()
