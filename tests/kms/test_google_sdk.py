"""What Google's own SDK may raise, and where it is led; what each status means is in `test_refusals`."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import grpc
import pytest
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.google_kms.v1 import service_pb2

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KmsCredentialsError,
    KmsEndpointError,
    KmsError,
    KmsPermissionError,
    KmsSetupError,
    KmsUnreachableError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms import gcp_sdk
from keystore.kms.connect import connect
from keystore.kms.credentials import GcpCredentials
from tests.emulator.gcp.accounts import put_account
from tests.emulator_process import Emulator

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
URI = f"gcp://{KEY}/cryptoKeyVersions/1"
WRAPPED = WrappedKey("gcp", URI, f"{KEY}/cryptoKeyVersions/1", b"ciphertext")


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's settings out."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "KEYSTORE_KMS_ENDPOINT", "KEYSTORE_GCP_ENDPOINT", "KEYSTORE_KMS_CA"):
        monkeypatch.delenv(name, raising=False)


def exceptions() -> list[type[Exception]]:
    modules = (google.api_core.exceptions, google.auth.exceptions)
    found = [getattr(module, name) for module in modules for name in dir(module)]
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]
    return [kind for kind in kinds if kind.__name__ not in ("DuplicateCredentialArgs", "RetryError")]


def test_only_three_statuses_mean_no_by_themselves() -> None:
    assert len(exceptions()) > 40
    invalid = {kind.__name__ for kind in exceptions() if classified(kind) is not KmsUnreachableError}
    assert invalid == {"Unauthenticated", "PermissionDenied", "NotFound"}


def classified(kind: type[Exception]) -> type[KmsError]:
    return gcp_sdk.classify(kind("the way")).kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("('invalid_grant: Account not found', {})", KmsCredentialsError),
        ("('invalid_client: gone', {})", KmsCredentialsError),
        ("('internal_failure: try again', {'error': 'x'})", KmsUnreachableError),
        ("HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded", KmsUnreachableError),
    ],
)
def test_token_that_is_refused_is_told_from_one_that_does_not_come(
    text: str, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    unavailable: Any = google.api_core.exceptions.ServiceUnavailable
    error = unavailable(f"Getting metadata from plugin failed with error: {text}")
    assert gcp_sdk.classify(error).kind is expected


def test_without_credentials_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's metadata service that does not answer looks just like that."""

    def none(**_: object) -> None:
        missing: Any = google.auth.exceptions.DefaultCredentialsError
        raise missing("none were found")

    monkeypatch.setattr("google.auth.default", none)
    with closing(connect(URI)) as kms, pytest.raises(KmsUnreachableError, match="DefaultCredentialsError"):
        kms.describe()


def test_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp_sdk, "TIMEOUT_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with closing(connect(URI, url)) as kms, pytest.raises(KmsUnreachableError):
            kms.describe()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:1", "ftp://127.0.0.1", "https://", "https://127.0.0.1:1/path", "http://localhost.x:1"]
)
def test_url_that_cannot_be_used_is_told(url: str) -> None:
    with pytest.raises(KmsEndpointError, match="Nothing was sent"):
        connect(URI, url)


@pytest.fixture
def account(emulator: Emulator) -> Iterator[GcpCredentials]:
    """A service account that may do nothing."""
    with grpc.insecure_channel(emulator.endpoint) as channel:
        yield GcpCredentials(put_account(AdminStub(channel), "app"))


def test_credentials_are_not_sent_in_clear(account: GcpCredentials) -> None:
    with pytest.raises(KmsEndpointError, match="not sent in clear"):
        connect(URI, "http://127.0.0.1:1", credentials=account)


def test_what_is_no_service_account_is_told_and_not_shown() -> None:
    with pytest.raises(KmsSetupError, match="not a service account's") as caught:
        connect(URI, "https://127.0.0.1:1", credentials=GcpCredentials({"private_key": "secret-text"}))
    assert "secret-text" not in str(caught.value)
    assert "secret-text" not in repr(GcpCredentials({"private_key": "secret-text"}))


def test_without_the_package_the_error_says_how_to_get_it() -> None:
    program = f"""
import sys
sys.modules["google.cloud.kms"] = None
from keystore.kms.connect import connect
connect("{URI}", "127.0.0.1:1").close()
try:
    connect("{URI}")
except Exception as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("KmsSetupError")
    assert "cmk-keystore[gcp]" in run.stdout


class Echo(grpc.GenericRpcHandler):
    """Encrypts to what it was given, so that secrets are in requests and answers."""

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        decrypts = str(details.method).endswith("Decrypt")

        def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
            if decrypts:
                given = service_pb2.DecryptRequest.FromString(request)
                return service_pb2.DecryptResponse(plaintext=given.ciphertext).SerializeToString()
            asked = service_pb2.EncryptRequest.FromString(request)
            return service_pb2.EncryptResponse(name=asked.name, ciphertext=asked.plaintext).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def echo() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait(10)


def test_no_secret_in_a_log(echo: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where somebody had the SDK log to the root logger, as its documentation shows."""
    monkeypatch.setattr(logging.getLogger("google"), "propagate", True)
    caplog.set_level(logging.DEBUG, "google")
    caplog.set_level(logging.DEBUG, "")
    with SecretKey.generate() as secret, closing(connect(URI, echo)) as kms:
        wrapped = kms.wrap(secret, {})
        assert wrapped.ciphertext == bytes(secret.view())
        assert kms.unwrap(wrapped, {}) == secret
        from google.cloud import kms as sdk

        transport = sdk.KeyManagementServiceClient.get_transport_class("grpc")
        channel = grpc.insecure_channel(echo.removeprefix("http://"))
        others = sdk.KeyManagementServiceClient(transport=transport(channel=channel))
        others.encrypt(request={"name": "of-others", "plaintext": b"x"})
        channel.close()
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert "of-others" in logged
    assert "cryptoKeyVersions" not in logged


def test_given_account_is_who_calls(
    emulator: Emulator, account: GcpCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTORE_KMS_CA", emulator.ca)
    uri = emulator.create_key("gcp")
    kms = connect(uri, emulator.urls["gcp"], credentials=account)
    with closing(kms), pytest.raises(KmsPermissionError, match="useToEncrypt"):
        kms.wrap(SecretKey.generate(), {})
    with closing(connect(uri, emulator.urls["gcp"])) as kms, pytest.raises(CiphertextError):
        kms.unwrap(WrappedKey("gcp", uri, uri.removeprefix("gcp://"), b"noise"), {})
    callers = [call.caller for call in emulator.calls(uri.removeprefix("gcp://").partition("/cryptoKeyVersions/")[0])]
    assert [account.service_account["client_email"] in caller for caller in callers[-2:]] == [True, False]
