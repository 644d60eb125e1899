"""libmongocrypt with Google as its key provider: it signs a token, asks /token for an access token, and calls REST."""

import base64
import socket
from typing import Any

import bson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from pymongocrypt.errors import MongoCryptError
from pymongocrypt.mongocrypt import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

from tests.emulator.gcp.accounts import bind, email_of, put_account
from tests.emulator.gcp.keys import LOCATION, RING, client_of, make
from tests.emulator.running import Running

RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"


class Driver(MongoCryptCallback):  # type: ignore[misc] # it has no types
    """What a MongoDB driver does for libmongocrypt: carries its requests to the emulator, and keeps its data keys."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._keys: list[bytes] = []

    def kms_request(self, kms_context: Any) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.sendall(kms_context.message)
            while kms_context.bytes_needed > 0:
                kms_context.feed(connection.recv(kms_context.bytes_needed))

    def fetch_keys(self, filter: Any) -> list[bytes]:  # noqa: A002 - its name there
        return self._keys

    def insert_data_key(self, data_key: Any) -> Any:
        self._keys.append(bytes(data_key))
        return bson.decode(bytes(data_key))["_id"]

    def bson_encode(self, doc: Any) -> bytes:
        return bson.encode(doc)

    def collection_info(self, database: Any, filter: Any) -> Any:  # noqa: A002 - its name there
        raise AssertionError("explicit encryption knows no collections")

    def mark_command(self, database: Any, cmd: Any) -> Any:
        raise AssertionError("explicit encryption knows no commands")

    def close(self) -> None:
        pass


def encrypter(info: dict[str, str], driver: Driver, endpoint: str) -> Any:
    """Return an encrypter that has no access token yet."""
    key = load_pem_private_key(info["private_key"].encode(), None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    account = {"email": info["client_email"], "privateKey": base64.b64encode(der).decode(), "endpoint": endpoint}
    return ExplicitEncrypter(driver, MongoCryptOptions({"gcp": account}))


def test_data_keys_are_wrapped_and_opened_by_the_emulator(http: Running) -> None:
    admin = AdminStub(http.channel)
    client = client_of(http)
    client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    make(client, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
    info = put_account(admin, "app")
    bind(client, RING, "roles/cloudkms.cryptoKeyEncrypterDecrypter", "app")
    http.core.strict_auth = True

    driver = Driver(http.server.http_port or 0)
    endpoint = f"127.0.0.1:{http.server.http_port}"
    key = {"projectId": "p", "location": "global", "keyRing": "r", "keyName": "k", "endpoint": endpoint}
    made = encrypter(info, driver, endpoint).create_data_key("gcp", key)
    value = bson.encode({"v": "secret"})
    sealed = encrypter(info, driver, endpoint).encrypt(value, RANDOM, bytes(made))
    assert bson.decode(encrypter(info, driver, endpoint).decrypt(sealed)) == {"v": "secret"}
    calls = [call for call in admin.ListCalls(admin_pb2.ListCallsRequest()).calls if call.caller == email_of("app")]
    assert [call.outcome for call in calls] == ["OK"] * 6
    assert [call.operation for call in calls] == ["GetToken", "Encrypt", "GetToken", "Decrypt", "GetToken", "Decrypt"]

    admin.RemoveServiceAccount(admin_pb2.RemoveServiceAccountRequest(email=email_of("app")))
    with pytest.raises(MongoCryptError):
        encrypter(info, driver, endpoint).decrypt(sealed)
    assert admin.ListCalls(admin_pb2.ListCallsRequest(outcome="invalid_grant")).calls[0].operation == "GetToken"
