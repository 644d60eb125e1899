"""Kinds of keys, signatures, import, backup and rotation policies, through Azure's own client."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.keyvault.keys import (
    JsonWebKey,
    KeyClient,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from azure.keyvault.keys.crypto import KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running

DAY_NS = 86_400 * 1_000_000_000
DIGESTS = {
    "256": hashlib.sha256(b"m").digest(),
    "384": hashlib.sha384(b"m").digest(),
    "512": hashlib.sha512(b"m").digest(),
}
RSA = rsa.generate_private_key(65537, 2048)
CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K"}


def advance(emulator: Running, by: timedelta) -> None:
    async def move() -> None:
        core = emulator.core
        core.set_clock(core.clock.advance(by.days * DAY_NS))

    asyncio.run_coroutine_threadsafe(move(), emulator.loop).result(30)


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def web_key(key: rsa.RSAPrivateKey, **changed: bytes) -> JsonWebKey:
    """Return the key as a JSON web key, with all its numbers."""
    numbers = key.private_numbers()
    public = numbers.public_numbers
    given = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    given |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    found = {name: number.to_bytes((number.bit_length() + 7) // 8, "big") for name, number in given.items()}
    return JsonWebKey(kty="RSA", key_ops=["sign", "verify", "wrapKey", "unwrapKey"], **found | changed)


@pytest.mark.parametrize(("curve", "alg"), CURVES.items())
def test_curves_sign_at_the_server_and_verify_at_home(keys: KeyClient, curve: str, alg: str) -> None:
    made = keys.create_ec_key("signer", curve=curve)
    assert (made.key_type, made.key.crv, made.key_operations) == ("EC", curve, ["sign", "verify"])  # type: ignore[attr-defined]
    crypto = keys.get_cryptography_client("signer")
    digest = DIGESTS[alg[2:5]]
    signature = crypto.sign(SignatureAlgorithm(alg), digest).signature
    assert crypto.verify(SignatureAlgorithm(alg), digest, signature).is_valid
    assert not crypto.verify(SignatureAlgorithm(alg), digest, signature[::-1]).is_valid


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_signs_at_the_server_and_verifies_at_home(emulator: Running, keys: KeyClient, alg: str) -> None:
    keys.import_key("signer", web_key(RSA))
    crypto = keys.get_cryptography_client("signer")
    digest = DIGESTS[alg[2:]]
    signature = crypto.sign(SignatureAlgorithm(alg), digest).signature
    assert crypto.verify(SignatureAlgorithm(alg), digest, signature).is_valid
    body = {"alg": alg, "digest": base64url(digest), "value": base64url(signature)}
    assert ask(emulator, "POST", "/keys/signer//verify?api-version=7.4", body)[1] == {"value": True}
    changed = body | {"value": base64url(signature[::-1])}
    assert ask(emulator, "POST", "/keys/signer//verify?api-version=7.4", changed)[1] == {"value": False}


def test_an_imported_key_is_the_one_that_was_made_outside(keys: KeyClient) -> None:
    imported = keys.import_key("mine", web_key(RSA), hardware_protected=True)
    assert (imported.key.n, imported.key.d) == (web_key(RSA).n, None)  # type: ignore[attr-defined]
    wrapped = keys.get_cryptography_client("mine").wrap_key(KeyWrapAlgorithm.rsa_oaep, b"k" * 32).encrypted_key
    assert keys.get_cryptography_client("mine").unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key == b"k" * 32
    with pytest.raises(HttpResponseError, match="not a valid key"):
        keys.import_key("broken", web_key(RSA, d=b"\x05"))


def test_a_backup_outlives_the_purge(connect: Callable[..., KeyClient]) -> None:
    keys, other = connect(), connect("127.0.0.2")
    keys.create_ec_key("cmk", tags={"a": "b"})
    blob = keys.backup_key("cmk")
    assert blob is not None
    with pytest.raises(ResourceExistsError):
        keys.restore_key_backup(blob)
    keys.begin_delete_key("cmk").wait()
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        keys.restore_key_backup(blob)
    before = keys.get_deleted_key("cmk")
    keys.purge_deleted_key("cmk")
    for client in (keys, other):
        restored = client.restore_key_backup(blob)
        assert (restored.properties.version, restored.key.x) == (before.properties.version, before.key.x)  # type: ignore[attr-defined]
        assert restored.properties.tags == {"a": "b"}
    with pytest.raises(HttpResponseError, match="was changed"):
        keys.restore_key_backup(blob[:-1] + bytes([blob[-1] ^ 1]))


def test_a_rotation_policy_acts_on_the_clock(emulator: Running, keys: KeyClient) -> None:
    keys.create_ec_key("cmk", tags={"a": "b"})
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P30D")
    keys.update_key_rotation_policy("cmk", KeyRotationPolicy(), lifetime_actions=[action], expires_in="P90D")
    found = keys.get_key_rotation_policy("cmk")
    assert (found.expires_in, found.lifetime_actions[0].time_after_create) == ("P90D", "P30D")
    advance(emulator, timedelta(days=65))
    versions = list(keys.list_properties_of_key_versions("cmk"))
    assert len(versions) == 3
    latest = keys.get_key("cmk").properties
    assert latest.tags == {"a": "b"}
    assert latest.expires_on is not None
    assert latest.created_on is not None
    assert latest.expires_on - latest.created_on == timedelta(days=90)
    keys.update_key_rotation_policy("cmk", KeyRotationPolicy(), lifetime_actions=[])
    advance(emulator, timedelta(days=365))
    assert len(list(keys.list_properties_of_key_versions("cmk"))) == 3


def test_a_policy_can_rotate_before_the_end(emulator: Running, keys: KeyClient) -> None:
    keys.create_ec_key("cmk")
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_before_expiry="P30D")
    keys.update_key_rotation_policy("cmk", KeyRotationPolicy(), lifetime_actions=[action], expires_in="P1Y")
    advance(emulator, timedelta(days=334))
    assert len(list(keys.list_properties_of_key_versions("cmk"))) == 1
    advance(emulator, timedelta(days=2))
    assert len(list(keys.list_properties_of_key_versions("cmk"))) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"attributes": {"expiryTime": "P27D"}},
        {"attributes": {"expiryTime": "soon"}},
        {"lifetimeActions": [{"trigger": {}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P6D"}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Notify"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Fly"}}]},
        {"lifetimeActions": "none"},
    ],
)
def test_policies_that_are_refused_change_nothing(emulator: Running, keys: KeyClient, body: object) -> None:
    keys.create_ec_key("cmk")
    before = ask(emulator, "GET", "/keys/cmk/rotationpolicy?api-version=7.4")[1]
    status, answer, _ = ask(emulator, "PUT", "/keys/cmk/rotationpolicy?api-version=7.4", body)
    assert (status, answer["error"]["code"]) == (400, "BadParameter"), json.dumps(answer)
    assert ask(emulator, "GET", "/keys/cmk/rotationpolicy?api-version=7.4")[1] == before


def test_random_bytes(keys: KeyClient) -> None:
    assert len(keys.get_random_bytes(128)) == 128
    with pytest.raises(HttpResponseError):
        keys.get_random_bytes(129)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("sign", {"alg": "ES384", "value": "a" * 43}),
        ("sign", {"alg": "ES256K", "value": "a" * 43}),
        ("sign", {"alg": "RS256", "value": "a" * 43}),
        ("sign", {"alg": "ES256", "value": "aaaa"}),
    ],
)
def test_signatures_that_a_key_cannot_make(emulator: Running, keys: KeyClient, operation: str, body: object) -> None:
    keys.create_ec_key("signer")
    status, answer, _ = ask(emulator, "POST", f"/keys/signer//{operation}?api-version=7.4", body)
    assert (status, answer["error"]["code"]) == (400, "BadParameter")


def test_a_curve_cannot_encrypt(emulator: Running, keys: KeyClient) -> None:
    keys.create_ec_key("signer")
    body = {"alg": "RSA-OAEP", "value": "aaaa"}
    status, answer, _ = ask(emulator, "POST", "/keys/signer//encrypt?api-version=7.4", body)
    assert (status, answer["error"]["code"]) == (403, "Forbidden")
