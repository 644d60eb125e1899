"""MAC keys and the standard modes of AES through Google's client."""

import hashlib
import hmac

import pytest
from google.api_core import exceptions

from kms_emulator.model.material import Material
from kms_emulator.wire.gcp.crc32c import crc32c
from tests.emulator.gcp.keys import Client, make, switch
from tests.emulator.running import Running

AAD = "additional_authenticated_data"
VECTOR = "initialization_vector"


def stored(running: Running, version: str) -> bytes:
    """Return the bytes that the emulator made for version 1."""
    registry = running.core.registry
    material: Material = registry.usable(registry.key("gcp", version.partition("/cryptoKeyVersions/")[0]), 1)
    return material.to_stored()


@pytest.mark.parametrize("digest", ["sha224", "sha256", "sha384", "sha512"])
def test_mac_is_hmac(client: Client, running: Running, digest: str) -> None:
    version = make(client, "MAC", f"HMAC_{digest.upper()}")
    signed = client.mac_sign(request={"name": version, "data": b"data", "data_crc32c": crc32c(b"data")})
    assert signed.mac == hmac.digest(stored(running, version), b"data", digest)
    assert len(stored(running, version)) == hashlib.new(digest).digest_size
    assert (signed.name, signed.mac_crc32c, signed.verified_data_crc32c) == (version, crc32c(signed.mac), True)


def test_wrong_mac_is_an_answer(client: Client) -> None:
    version = make(client, "MAC", "HMAC_SHA256")
    mac = client.mac_sign(name=version, data=b"data").mac
    right = client.mac_verify(request={"name": version, "data": b"data", "mac": mac, "mac_crc32c": crc32c(mac)})
    assert (right.success, right.verified_success_integrity, right.verified_mac_crc32c) == (True, True, True)
    wrong = client.mac_verify(name=version, data=b"other", mac=mac)
    assert (wrong.success, wrong.verified_success_integrity, wrong.verified_mac_crc32c) == (False, False, False)
    with pytest.raises(exceptions.InvalidArgument, match="mac_crc32c"):
        client.mac_verify(request={"name": version, "data": b"data", "mac": mac, "mac_crc32c": 1})
    switch(client, version, "DISABLED")
    with pytest.raises(exceptions.FailedPrecondition, match="DISABLED"):
        client.mac_verify(name=version, data=b"data", mac=mac)


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize(("mode", "tag", "vector"), [("GCM", 16, 12), ("CBC", 0, 16), ("CTR", 0, 16)])
def test_raw_round_trip(client: Client, running: Running, bits: int, mode: str, tag: int, vector: int) -> None:
    version = make(client, "RAW_ENCRYPT_DECRYPT", f"AES_{bits}_{mode}")
    plain = b"sixteen bytes..." * 2
    sealed = client.raw_encrypt(request={"name": version, "plaintext": plain, "plaintext_crc32c": crc32c(plain)})
    assert (len(sealed.ciphertext), sealed.tag_length) == (len(plain) + tag, tag)
    assert (len(sealed.initialization_vector), sealed.verified_plaintext_crc32c) == (vector, True)
    assert sealed.initialization_vector_crc32c == crc32c(sealed.initialization_vector)
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    assert len(stored(running, version)) * 8 == bits
    opened = client.raw_decrypt(
        request={
            "name": version,
            "ciphertext": sealed.ciphertext,
            "ciphertext_crc32c": sealed.ciphertext_crc32c,
            VECTOR: sealed.initialization_vector,
            "tag_length": tag,
        }
    )
    assert (opened.plaintext, opened.plaintext_crc32c, opened.verified_ciphertext_crc32c) == (
        plain,
        crc32c(plain),
        True,
    )


def test_modes_are_the_standard_ones(client: Client, running: Running) -> None:
    """The first vectors of NIST SP 800-38A, F.2.5 and F.5.5, under the key of the example."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    expected = {
        "CBC": ("000102030405060708090a0b0c0d0e0f", "f58c4c04d6e5f1ba779eabfb5f7bfbd6"),
        "CTR": ("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "601ec313775789a5b7a7f504bbf3d228"),
    }
    registry = running.core.registry
    for mode, (vector, ciphertext) in expected.items():
        version = make(client, "RAW_ENCRYPT_DECRYPT", f"AES_256_{mode}", mode)
        held = registry.key("gcp", version.partition("/cryptoKeyVersions/")[0])
        registry.put(held, {1: Material(held.kind, key)})
        request = {"name": version, "plaintext": plain, VECTOR: bytes.fromhex(vector)}
        assert client.raw_encrypt(request=request).ciphertext.hex() == ciphertext


def test_raw_gcm_binds_its_data_and_makes_its_vector(client: Client) -> None:
    version = make(client, "RAW_ENCRYPT_DECRYPT", "AES_256_GCM")
    sealed = client.raw_encrypt(request={"name": version, "plaintext": b"x", AAD: b"bound"})
    again = client.raw_encrypt(request={"name": version, "plaintext": b"x", AAD: b"bound"})
    assert sealed.initialization_vector != again.initialization_vector
    opening = {"name": version, "ciphertext": sealed.ciphertext, VECTOR: sealed.initialization_vector}
    assert client.raw_decrypt(request={**opening, AAD: b"bound"}).plaintext == b"x"
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        client.raw_decrypt(request={**opening, AAD: b"other"})
    with pytest.raises(exceptions.InvalidArgument, match="tag_length"):
        client.raw_decrypt(request={**opening, "tag_length": 12})
    with pytest.raises(exceptions.InvalidArgument, match="12 bytes"):
        client.raw_decrypt(request={**opening, VECTOR: b"short"})
    with pytest.raises(exceptions.InvalidArgument, match="cannot be chosen"):
        client.raw_encrypt(request={"name": version, "plaintext": b"x", VECTOR: bytes(12)})


def test_raw_cbc_takes_whole_blocks_without_associated_data(client: Client) -> None:
    version = make(client, "RAW_ENCRYPT_DECRYPT", "AES_256_CBC")
    with pytest.raises(exceptions.InvalidArgument, match="whole blocks of 16"):
        client.raw_encrypt(request={"name": version, "plaintext": b"x"})
    with pytest.raises(exceptions.InvalidArgument, match="AES-GCM only"):
        client.raw_encrypt(request={"name": version, "plaintext": bytes(16), AAD: b"a"})
    with pytest.raises(exceptions.InvalidArgument, match="16 bytes"):
        client.raw_encrypt(request={"name": version, "plaintext": bytes(16), VECTOR: b"short"})
