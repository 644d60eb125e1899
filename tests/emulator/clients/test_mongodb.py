"""libmongocrypt with each cloud as its key provider, over TLS as a MongoDB driver has it, and the failpoints by which
the tests of those drivers make a KMS fail."""

import base64
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pymongocrypt.errors import MongoCryptError
from pymongocrypt.mongocrypt import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

from kms_emulator.embedded import KmsEmulator
from tests.emulator.gcp.keys import LOCATION

RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
CLOUDS = ("aws", "azure", "gcp")
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
WAIT_S = 30


class Driver(MongoCryptCallback):  # type: ignore[misc] # it has no types
    """What a MongoDB driver does for libmongocrypt: carries its requests, tells it what failed, keeps its data keys."""

    def __init__(self, ca_file: str) -> None:
        self._context = ssl.create_default_context(cafile=ca_file)
        self._keys: list[bytes] = []

    def kms_request(self, kms_context: Any) -> None:
        host, _, port = kms_context.endpoint.rpartition(":")
        try:
            with (
                socket.create_connection((host, int(port)), timeout=WAIT_S) as plain,
                self._context.wrap_socket(plain, server_hostname=host) as connection,
            ):
                connection.sendall(kms_context.message)
                while kms_context.bytes_needed > 0:
                    received = connection.recv(kms_context.bytes_needed)
                    if not received:
                        raise ConnectionError("the KMS closed the connection")
                    kms_context.feed(received)
        except OSError:
            kms_context.fail()

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


class Application:
    """An application with a principal and a key in each cloud, and a driver that keeps its data keys."""

    def __init__(self, emulator: KmsEmulator) -> None:
        self.emulator = emulator
        self.endpoint = f"127.0.0.1:{emulator.server.https_port}"
        self.driver = Driver(emulator.azure.ca_file)
        self.providers: dict[str, dict[str, str]] = {}
        self.master_keys: dict[str, dict[str, str]] = {}
        for add in (self._aws, self._azure, self._gcp):
            add()

    def encrypter(self, cloud: str) -> Any:
        """Return an encrypter that has neither tokens nor data keys yet."""
        options = MongoCryptOptions({cloud: self.providers[cloud]})
        return ExplicitEncrypter(self.driver, options)

    def remove_principal(self, cloud: str) -> None:
        self._removals[cloud]()

    def set_failpoint(self, path: str, body: str = "") -> tuple[int, str]:
        """Do what the tests of drivers do with curl; return status and message."""
        url = f"https://{self.endpoint}{path}"
        request = urllib.request.Request(url, data=body.encode(), method="POST")
        context = ssl.create_default_context(cafile=self.emulator.azure.ca_file)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S, context=context) as answer:
                return answer.status, json.loads(answer.read())["message"]
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["message"]

    def _aws(self) -> None:
        user = self.emulator.users.put("app", policy=ALLOW_ALL)
        client = self.emulator.boto3_client("kms", user=user)
        arn = client.create_key()["KeyMetadata"]["Arn"]
        client.close()
        self.providers["aws"] = {"accessKeyId": user.access_key_id, "secretAccessKey": user.secret_access_key}
        self.master_keys["aws"] = {"region": "us-east-1", "key": arn, "endpoint": self.endpoint}

    def _azure(self) -> None:
        made = self.emulator.azure.put_application("all")
        with self.emulator.azure.key_client(application=made) as keys:
            keys.create_rsa_key("k", size=2048)
        self.providers["azure"] = {
            "tenantId": made.tenant,
            "clientId": made.client_id,
            "clientSecret": made.secret,
            "identityPlatformEndpoint": self.endpoint,
        }
        self.master_keys["azure"] = {"keyVaultEndpoint": self.endpoint, "keyName": "k"}
        self._azure_application = made

    def _gcp(self) -> None:
        account = self.emulator.gcp.put_account("app", "roles/owner")
        client: Any = self.emulator.gcp.kms_client(account=account)
        ring = client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={}).name
        client.create_crypto_key(parent=ring, crypto_key_id="k", crypto_key={"purpose": "ENCRYPT_DECRYPT"})
        client.transport.close()
        private = load_pem_private_key(account.key_file["private_key"].encode(), None)
        der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        known = {"email": account.email, "privateKey": base64.b64encode(der).decode(), "endpoint": self.endpoint}
        self.providers["gcp"] = known
        named = {"projectId": "p", "location": "global", "keyRing": "r", "keyName": "k"}
        self.master_keys["gcp"] = {**named, "endpoint": self.endpoint}
        self._removals = {
            "aws": lambda: self.emulator.users.remove("app"),
            "azure": lambda: self.emulator.azure.remove_application(self._azure_application),
            "gcp": lambda: self.emulator.gcp.remove_account(account),
        }


@pytest.fixture(scope="module")
def emulator() -> Iterator[KmsEmulator]:
    with KmsEmulator(strict_auth=True) as found:
        yield found


@pytest.fixture
def application(emulator: KmsEmulator) -> Application:
    emulator.reset()
    return Application(emulator)


EXPECTED = {
    "aws": ["Encrypt", "Decrypt", "Decrypt"],
    "azure": ["WrapKey", "UnwrapKey", "UnwrapKey"],
    "gcp": ["GetToken", "Encrypt", "GetToken", "Decrypt", "GetToken", "Decrypt"],
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_data_keys_are_wrapped_and_opened_by_the_emulator(application: Application, cloud: str) -> None:
    before = len(application.emulator.calls())
    made = application.encrypter(cloud).create_data_key(cloud, application.master_keys[cloud])
    value = bson.encode({"v": "secret"})
    sealed = application.encrypter(cloud).encrypt(value, RANDOM, bytes(made))
    assert bson.decode(application.encrypter(cloud).decrypt(sealed)) == {"v": "secret"}
    calls = application.emulator.calls()[before:]
    assert ([call.operation for call in calls], {call.outcome for call in calls}) == (EXPECTED[cloud], {"OK"})
    application.remove_principal(cloud)
    with pytest.raises(MongoCryptError):
        application.encrypter(cloud).decrypt(sealed)


@pytest.mark.parametrize("kind", ["network", "http"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_driver_tries_again_what_a_failpoint_let_fail(application: Application, cloud: str, kind: str) -> None:
    set_one = (f"/set_failpoint/{kind}", '{"count": 1}')
    assert application.set_failpoint(*set_one) == (200, f"failpoint set for type: '{kind}'")
    made = application.encrypter(cloud).create_data_key(cloud, application.master_keys[cloud])
    application.set_failpoint(*set_one)
    assert application.encrypter(cloud).encrypt(bson.encode({"v": 1}), RANDOM, bytes(made))
    assert sum(call.fault > 0 for call in application.emulator.calls()) == 2


@pytest.mark.parametrize("cloud", CLOUDS)
def test_driver_gives_up_and_a_reset_ends_failpoints_and_nothing_else(application: Application, cloud: str) -> None:
    own = application.emulator.faults.add("latency", delay=0.001)
    application.set_failpoint("/set_failpoint/network", '{"count": 100}')
    with pytest.raises(MongoCryptError):
        application.encrypter(cloud).create_data_key(cloud, application.master_keys[cloud])
    assert application.set_failpoint("/reset") == (200, "failpoints reset")
    assert application.encrypter(cloud).create_data_key(cloud, application.master_keys[cloud])
    assert [fault["number"] for fault in application.emulator.faults.list()] == [own]


def test_failpoints_replace_each_other_and_outlive_no_reset_of_the_emulator(application: Application) -> None:
    for count in (3, 5):
        application.set_failpoint("/set_failpoint/http", f'{{"count": {count}}}')
    assert [fault["count"] for fault in application.emulator.faults.list()] == [5]
    application.emulator.reset()
    kept = application.emulator.faults.add("hang", operation="Decrypt")
    application.set_failpoint("/reset")
    assert [fault["number"] for fault in application.emulator.faults.list()] == [kept]
    application.set_failpoint("/set_failpoint/http", '{"count": 0}')
    assert len(application.emulator.faults.list()) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/set_failpoint/disk", '{"count": 1}', 404, "there is no failpoint disk; there are network, http"),
        ("/set_failpoint/http", "", 400, 'the body must be {"count": N}'),
        ("/set_failpoint/http", "[]", 400, 'the body must be {"count": N}'),
        ("/set_failpoint/http", '{"count": -1}', 400, 'the body must be {"count": N}'),
        ("/set_failpoint/http", '{"count": true}', 400, 'the body must be {"count": N}'),
        ("/set_failpoint/http", "[" * 100_000, 400, 'the body must be {"count": N}'),
    ],
)
def test_bad_failpoints(application: Application, path: str, body: str, status: int, words: str) -> None:
    found, message = application.set_failpoint(path, body)
    assert (found, message.startswith(words)) == (status, True), message
    assert application.emulator.faults.list() == []
