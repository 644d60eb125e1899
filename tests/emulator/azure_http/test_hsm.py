"""AES keys of a managed HSM, through Azure's own client."""

import base64
from collections.abc import Callable

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import JsonWebKey, KeyClient
from azure.keyvault.keys.crypto import EncryptionAlgorithm
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running

HSM = "127.0.0.8"
SECRET = bytes(range(32))


@pytest.fixture
def hsm(connect: Callable[..., KeyClient]) -> KeyClient:
    return connect(HSM)


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def imported(hsm: KeyClient) -> None:
    hsm.import_key("aes", JsonWebKey(kty="oct-HSM", k=SECRET, key_ops=["encrypt", "decrypt", "wrapKey", "unwrapKey"]))


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_gcm_round_trip(hsm: KeyClient, bits: int) -> None:
    made = hsm.create_oct_key("aes", size=bits, hardware_protected=True)
    assert (made.key_type, made.key.k) == ("oct-HSM", None)  # type: ignore[attr-defined]
    crypto, alg = hsm.get_cryptography_client("aes"), EncryptionAlgorithm(f"A{bits}GCM")
    sealed = crypto.encrypt(alg, b"plaintext", additional_authenticated_data=b"aad")
    parts = {"iv": sealed.iv, "authentication_tag": sealed.tag, "additional_authenticated_data": b"aad"}
    assert crypto.decrypt(alg, sealed.ciphertext, **parts).plaintext == b"plaintext"
    with pytest.raises(HttpResponseError, match="parameter is incorrect"):
        crypto.decrypt(alg, sealed.ciphertext, **parts | {"additional_authenticated_data": b"other"})


def test_what_is_made_here_opens_elsewhere(hsm: KeyClient) -> None:
    imported(hsm)
    crypto = hsm.get_cryptography_client("aes")
    sealed = crypto.encrypt(EncryptionAlgorithm.a256_gcm, b"plaintext")
    assert AESGCM(SECRET).decrypt(sealed.iv or b"", sealed.ciphertext + (sealed.tag or b""), b"") == b"plaintext"


def operate(emulator: Running, operation: str, alg: str, value: bytes, **parts: bytes) -> bytes:
    """Ask without the SDK: if it may get a key, it does CBC with padding and key wrap at home, under a random one."""
    body = {name: base64url(part) for name, part in {"value": value, **parts}.items()} | {"alg": alg}
    status, answer, _ = ask(emulator, "POST", f"/keys/aes//{operation}?api-version=7.4", body, host=HSM)
    assert status == 200, answer
    return base64.urlsafe_b64decode(answer["value"] + "==")


def test_a_wrapped_key_unwraps_elsewhere(emulator: Running, hsm: KeyClient) -> None:
    imported(hsm)
    wrapped = operate(emulator, "wrapkey", "A256KW", b"k" * 32)
    assert keywrap.aes_key_unwrap(SECRET, wrapped) == b"k" * 32
    assert operate(emulator, "unwrapkey", "A256KW", wrapped) == b"k" * 32


@pytest.mark.parametrize(("alg", "plaintext"), [("A256CBC", b"p" * 32), ("A256CBCPAD", b"p" * 33)])
def test_cbc_round_trip(emulator: Running, hsm: KeyClient, alg: str, plaintext: bytes) -> None:
    imported(hsm)
    sealed = operate(emulator, "encrypt", alg, plaintext, iv=b"v" * 16)
    assert len(sealed) % 16 == 0
    assert operate(emulator, "decrypt", alg, sealed, iv=b"v" * 16) == plaintext


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("encrypt", {"alg": "A128GCM", "value": "aaaa"}),
        ("encrypt", {"alg": "RSA-OAEP", "value": "aaaa"}),
        ("encrypt", {"alg": "A256CBC", "value": "aaaa", "iv": "a" * 22}),
        ("encrypt", {"alg": "A256CBCPAD", "value": "aaaa", "iv": "aaaa"}),
        ("decrypt", {"alg": "A256GCM", "value": "aaaa"}),
        ("decrypt", {"alg": "A256GCM", "value": "aaaa", "tag": "a" * 22, "iv": "a" * 16}),
        ("decrypt", {"alg": "A256CBCPAD", "value": "aaaa", "iv": "a" * 22}),
        ("wrapkey", {"alg": "A256KW", "value": "aaaa"}),
        ("unwrapkey", {"alg": "A256KW", "value": "aaaa"}),
    ],
)
def test_refusals(emulator: Running, hsm: KeyClient, operation: str, body: object) -> None:
    imported(hsm)
    status, answer, _ = ask(emulator, "POST", f"/keys/aes//{operation}?api-version=7.4", body, host=HSM)
    assert (status, answer["error"]["code"]) == (400, "BadParameter")


def test_a_vault_holds_no_aes_keys(keys: KeyClient) -> None:
    with pytest.raises(HttpResponseError, match="a managed HSM"):
        keys.create_oct_key("aes")
