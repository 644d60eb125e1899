"""What emulators of Key Vault get wrong, asked of this one by an unmodified azure-keyvault-keys: a test for each probe
that was asked of others, and the answer that Azure gives.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.keys import KeyClient, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from tests.emulator.azure_http.raw import ask
from tests.emulator.azure_http.test_access import advance, code_of, put
from tests.emulator.running import Running

DAY_S = 86_400
OAEP = EncryptionAlgorithm.rsa_oaep_256


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    """Expect a refusal with an outer or inner code."""
    with pytest.raises(HttpResponseError) as caught:
        yield
    error = caught.value.error
    assert error is not None
    assert caught.value.status_code == status
    assert code in (error.code, (error.innererror or {}).get("code"))


@pytest.fixture
def crypto(keys: KeyClient) -> CryptographyClient:
    return keys.get_cryptography_client("cmk", key_version=keys.create_rsa_key("cmk").properties.version)


def test_a_changed_last_byte_is_refused(crypto: CryptographyClient) -> None:
    sealed = crypto.encrypt(OAEP, b"x").ciphertext
    with refused(400, "BadParameter"):
        crypto.decrypt(OAEP, sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_another_key_does_not_decrypt(keys: KeyClient, crypto: CryptographyClient) -> None:
    keys.create_rsa_key("other")
    with refused(400, "BadParameter"):
        keys.get_cryptography_client("other").decrypt(OAEP, crypto.encrypt(OAEP, b"x").ciphertext)


def test_rotation_makes_other_material_and_old_ciphertexts_open_with_their_version(
    keys: KeyClient, crypto: CryptographyClient
) -> None:
    sealed = crypto.encrypt(OAEP, b"x").ciphertext
    before, after = keys.get_key("cmk"), keys.rotate_key("cmk")
    assert before.key.n != after.key.n  # type: ignore[attr-defined]
    assert crypto.decrypt(OAEP, sealed).plaintext == b"x"
    with refused(400, "BadParameter"):
        keys.get_cryptography_client("cmk").decrypt(OAEP, sealed)


def test_a_disabled_key_does_no_cryptography(keys: KeyClient, crypto: CryptographyClient) -> None:
    sealed = crypto.encrypt(OAEP, b"x").ciphertext
    wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep, b"k" * 32).encrypted_key
    keys.update_key_properties("cmk", enabled=False)
    attempts: list[Callable[[], object]] = [
        lambda: crypto.decrypt(OAEP, sealed),
        lambda: crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped),
        lambda: crypto.sign(SignatureAlgorithm.rs256, bytes(32)),
        lambda: keys.get_key("cmk"),
    ]
    for attempt in attempts:
        with refused(403, "KeyDisabled"):
            attempt()


def test_a_deleted_key_does_nothing_and_keeps_its_name(keys: KeyClient, crypto: CryptographyClient) -> None:
    sealed = crypto.encrypt(OAEP, b"x").ciphertext
    keys.begin_delete_key("cmk").wait()
    with refused(404, "KeyNotFound"):
        crypto.decrypt(OAEP, sealed)
    with refused(409, "ObjectIsDeletedButRecoverable"):
        keys.create_rsa_key("cmk")
    keys.begin_recover_deleted_key("cmk").wait()
    assert crypto.decrypt(OAEP, sealed).plaintext == b"x"


def test_days_of_deleted_keys_really_pass(emulator: Running, keys: KeyClient, crypto: CryptographyClient) -> None:
    keys.begin_delete_key("cmk").wait()
    advance(emulator, 89 * DAY_S)
    assert keys.get_deleted_key("cmk").name == "cmk"
    advance(emulator, DAY_S)
    with refused(404, "KeyNotFound"):
        keys.get_deleted_key("cmk")
    assert keys.create_ec_key("cmk").name == "cmk"


def test_purge_protection_protects(admin: AdminStub, keys: KeyClient) -> None:
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", purge_protection=True))
    keys.create_ec_key("cmk")
    keys.begin_delete_key("cmk").wait()
    with refused(403, "Forbidden"):
        keys.purge_deleted_key("cmk")


@pytest.mark.parametrize("days", [6, 91])
def test_deleted_keys_are_kept_7_to_90_days(emulator: Running, days: int) -> None:
    status, body, _ = ask(emulator, "POST", "/_emulator/vaults", {"name": "local-vault", "retention_days": days})
    assert (status, "7 to 90" in str(body)) == (400, True)


def test_validity_is_enforced_on_what_is_new_and_not_on_what_is_there(keys: KeyClient) -> None:
    """By its operations alone: a client that may get the key looks at the dates itself."""
    begins = datetime.now(UTC) + timedelta(days=1)
    for name, limits, code in (
        ("later", {"not_before": begins}, "KeyNotYetValid"),
        ("over", {"expires_on": begins - timedelta(days=2)}, "KeyExpired"),
    ):
        version = keys.create_ec_key(name).properties.version or ""
        keys.update_key_properties(name, version, **limits)  # type: ignore[arg-type]
        answer = keys.send_request(_post(f"/keys/{name}/{version}/sign", {"alg": "ES256", "value": "A" * 43}))
        assert (answer.status_code, answer.json()["error"]["innererror"]["code"]) == (403, code)
        body = {"alg": "ES256", "digest": "A" * 43, "value": "A" * 86}
        assert keys.send_request(_post(f"/keys/{name}/{version}/verify", body)).json() == {"value": False}


def test_operations_that_a_key_is_not_for_are_refused(keys: KeyClient) -> None:
    keys.create_rsa_key("cmk", key_operations=["sign"])
    answer = keys.send_request(_post("/keys/cmk//encrypt", {"alg": "RSA-OAEP", "value": "AAAA"}))
    assert (answer.status_code, answer.json()["error"]["innererror"]["code"]) == (403, "KeyOperationForbidden")


def test_automatic_rotation_rotates(emulator: Running, keys: KeyClient) -> None:
    keys.create_ec_key("cmk")
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P30D")
    keys.update_key_rotation_policy("cmk", KeyRotationPolicy(), lifetime_actions=[action])
    advance(emulator, 95 * DAY_S)
    assert len(list(keys.list_properties_of_key_versions("cmk"))) == 4


def test_access_policies_are_enforced_and_the_permission_is_named(
    admin: AdminStub, keys: KeyClient, crypto: CryptographyClient, sign_in: Callable[..., KeyClient]
) -> None:
    sealed = crypto.encrypt(OAEP, b"x").ciphertext
    with sign_in(put(admin, "get", "encrypt")) as mine:
        with pytest.raises(HttpResponseError, match="does not have keys decrypt permission") as caught:
            mine.get_cryptography_client("cmk").decrypt(OAEP, sealed)
        assert code_of(caught.value) == (403, "ForbiddenByPolicy")


def test_a_wrong_secret_and_an_unknown_token_are_refused(
    emulator: Running, admin: AdminStub, strict: Running, sign_in: Callable[..., KeyClient]
) -> None:
    wrong = sign_in(put(admin, "all"), "not the secret")
    with wrong as keys, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        keys.get_key("cmk")
    assert ask(emulator, "GET", "/keys?api-version=7.4", headers={"authorization": "Bearer made-up"})[0] == 401


@pytest.mark.parametrize(("algorithm", "length"), [("RSA-OAEP-256", 190), ("RSA-OAEP", 214), ("RSA1_5", 245)])
def test_more_than_the_modulus_holds_is_refused(keys: KeyClient, algorithm: str, length: int) -> None:
    keys.create_rsa_key("cmk")
    for count, status in ((length, 200), (length + 1, 400)):
        value = "A" * (-(-count * 4 // 3))
        answer = keys.send_request(_post("/keys/cmk//encrypt", {"alg": algorithm, "value": value}))
        assert answer.status_code == status, answer.text()


def test_the_same_plaintext_gives_another_ciphertext(crypto: CryptographyClient) -> None:
    assert crypto.encrypt(OAEP, b"x").ciphertext != crypto.encrypt(OAEP, b"x").ciphertext


def test_what_a_key_is_not_made_for_is_no_fault_of_the_emulator(keys: KeyClient) -> None:
    keys.create_ec_key("curve")
    answer = keys.send_request(_post("/keys/curve//encrypt", {"alg": "RSA-OAEP", "value": "AAAA"}))
    assert answer.status_code in (400, 403)
    with refused(400, "BadParameter"):
        keys.create_oct_key("aes")  # only a managed HSM holds those


def _post(path: str, body: object) -> HttpRequest:
    return HttpRequest("POST", path, json=body)
