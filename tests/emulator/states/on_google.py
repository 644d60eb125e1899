"""Google's side of the table: a key with what an operation needs, put into a state, and the operation's outcome."""

import itertools
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core.exceptions import GoogleAPICallError
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from tests.emulator.gcp.importing import SYMMETRIC, import_material, make_job, wrap
from tests.emulator.gcp.keys import LOCATION, Client, client_of, make, switch
from tests.emulator.running import Running

DAYS_UNTIL_DESTROYED = 31
SIGN = ("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
PLAIN = ("ENCRYPT_DECRYPT", SYMMETRIC)
MAC = ("MAC", "HMAC_SHA256")
MADE_AS = {
    "AsymmetricSign": SIGN,
    "GetPublicKey": SIGN,
    "AsymmetricDecrypt": ("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256"),
    "MacSign": MAC,
    "MacVerify": MAC,
    "RawEncrypt": ("RAW_ENCRYPT_DECRYPT", "AES_256_GCM"),
    "RawDecrypt": ("RAW_ENCRYPT_DECRYPT", "AES_256_GCM"),
}
"""Purpose and algorithm of the key for an operation; symmetric for the others."""


class OnGoogle:
    """One emulator with a key ring, and a key of its own for each cell."""

    def __init__(self, running: Running) -> None:
        self._admin = AdminStub(running.channel)
        self._client: Client = client_of(running)
        self._ids = (f"k{number}" for number in itertools.count())
        self._client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})

    def outcome(self, operation: str, state: str) -> str:
        """Return OK, or the code of the refusal with the type of its violation, if it has one."""
        version = self._version(operation)
        act = self._prepared(operation, version)
        self._put(version, state)
        try:
            act()
        except GoogleAPICallError as error:
            violations = [item.type for detail in error.details for item in getattr(detail, "violations", ())]
            return " ".join([getattr(error.grpc_status_code, "name", ""), *violations])
        return "OK"

    def _version(self, operation: str) -> str:
        if operation == "ImportCryptoKeyVersion":
            own = make(self._client, *PLAIN, next(self._ids))
            key = own.partition("/cryptoKeyVersions/")[0]
            job = make_job(self._client, next(self._ids))
            return str(import_material(self._client, key, job, wrap(job, bytes(32))).name)
        return make(self._client, *MADE_AS.get(operation, PLAIN), next(self._ids))

    def _put(self, version: str, state: str) -> None:
        if state == "disabled":
            switch(self._client, version, "DISABLED")
        elif state != "enabled":
            self._client.destroy_crypto_key_version(name=version)
        if state == "gone":
            by = Duration(seconds=DAYS_UNTIL_DESTROYED * 86_400)
            self._admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=by))

    def _prepared(self, operation: str, version: str) -> Callable[[], object]:
        """Return the operation, with what had to be made while the version was enabled."""
        client, key = self._client, version.partition("/cryptoKeyVersions/")[0]
        match operation:
            case "Decrypt":
                sealed = client.encrypt(name=version, plaintext=b"x").ciphertext
                return lambda: client.decrypt(name=key, ciphertext=sealed)
            case "RawDecrypt":
                raw = client.raw_encrypt(request={"name": version, "plaintext": b"x"})
                given = {"ciphertext": raw.ciphertext, "initialization_vector": raw.initialization_vector}
                return lambda: client.raw_decrypt(request={"name": version, **given})
            case "AsymmetricDecrypt":
                public: Any = load_pem_public_key(client.get_public_key(name=version).pem.encode())
                opaque = public.encrypt(b"x", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
                return lambda: client.asymmetric_decrypt(name=version, ciphertext=opaque)
            case "MacVerify":
                mac = client.mac_sign(name=version, data=b"x").mac
                return lambda: client.mac_verify(name=version, data=b"x", mac=mac)
            case "UpdateCryptoKey":
                changed = {"crypto_key": {"name": key, "labels": {"a": "b"}}, "update_mask": {"paths": ["labels"]}}
                return lambda: client.update_crypto_key(request=changed)
            case "ImportCryptoKeyVersion":
                return lambda: self._import_again(key, version)
            case _:
                return self._simple(operation, key, version)

    def _simple(self, operation: str, key: str, version: str) -> Callable[[], object]:
        client = self._client
        number = version.rpartition("/")[2]
        acts: dict[str, Callable[[], object]] = {
            "Encrypt": lambda: client.encrypt(name=version, plaintext=b"x"),
            "RawEncrypt": lambda: client.raw_encrypt(request={"name": version, "plaintext": b"x"}),
            "AsymmetricSign": lambda: client.asymmetric_sign(name=version, digest={"sha256": bytes(32)}),
            "GetPublicKey": lambda: client.get_public_key(name=version),
            "MacSign": lambda: client.mac_sign(name=version, data=b"x"),
            "GetCryptoKeyVersion": lambda: client.get_crypto_key_version(name=version),
            "ListCryptoKeyVersions": lambda: list(client.list_crypto_key_versions(parent=key)),
            "UpdateCryptoKeyVersion ENABLED": lambda: switch(client, version, "ENABLED"),
            "UpdateCryptoKeyVersion DISABLED": lambda: switch(client, version, "DISABLED"),
            "CreateCryptoKeyVersion": lambda: client.create_crypto_key_version(parent=key, crypto_key_version={}),
            "UpdateCryptoKeyPrimaryVersion": lambda: client.update_crypto_key_primary_version(
                name=key, crypto_key_version_id=number
            ),
            "DestroyCryptoKeyVersion": lambda: client.destroy_crypto_key_version(name=version),
            "RestoreCryptoKeyVersion": lambda: client.restore_crypto_key_version(name=version),
            "SetIamPolicy": lambda: client.set_iam_policy(request={"resource": key, "policy": {}}),
            "GetIamPolicy": lambda: client.get_iam_policy(request={"resource": key}),
        }
        return acts[operation]

    def _import_again(self, key: str, version: str) -> Any:
        """Import what the version had, under a job that is not over."""
        job = make_job(self._client, next(self._ids))
        return import_material(self._client, key, job, wrap(job, bytes(32)), crypto_key_version=version)
