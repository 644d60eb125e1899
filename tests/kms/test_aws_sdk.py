"""What AWS's own SDK may raise, and what each answer of the service means to our client on it."""

import base64
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import botocore.exceptions
import pytest
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KeyDisabledError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsEndpointError,
    KmsError,
    KmsInvalidError,
    KmsSetupError,
    KmsUnreachableError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms import aws_boto3
from keystore.kms.aws_codes import CODES, INVALID_STATE, STATES
from keystore.kms.connect import connect
from keystore.kms.credentials import AwsCredentials
from keystore.kms.protocol import Kms
from tests.kms.http_answer import Answer, http_answer

URI = "aws://us-east-1/alias/k"
WRAPPED = WrappedKey("aws", URI, "arn:x", b"ciphertext")
CREDENTIAL_EXCEPTIONS = {
    *("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError", "RefreshWithMFAUnsupportedError"),
    *("SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
    *("LoginError", "LoginTokenLoadError", "LoginAuthorizationCodeError"),
    *("LoginInsufficientPermissions", "LoginRefreshRequired"),
}
"""The only exceptions of botocore, other than an answer, that mean no."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give made-up credentials, and keep this machine's settings out."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "KEYSTORE_AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("KEYSTORE_KMS_ENDPOINT", raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt: for tests of what an answer means, not of how often it is asked for."""
    monkeypatch.setattr(aws_boto3, "ATTEMPTS_MAX", 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Answer]:
    with http_answer() as answer:
        yield answer


@pytest.fixture
def answer(server: Answer) -> Answer:
    server.targets.clear()
    server.bodies.clear()
    server.by_target.clear()
    return server


@pytest.fixture
def kms(answer: Answer, once: None) -> Iterator[Kms]:
    with closing(connect(URI, answer.url)) as kms:
        yield kms


def refused(kms: Kms) -> KmsError:
    """Return the error of an unwrap; describe and wrap must be refused as well."""
    for call in (kms.describe, lambda: kms.wrap(SecretKey.generate(), {"a": "b"})):
        with pytest.raises(KmsError):
            call()
    with pytest.raises(KmsError) as caught:
        kms.unwrap(WRAPPED, {"a": "b"})
    assert "Nothing was changed." in str(caught.value)
    return caught.value


def error_body(code: str, message: str = "the reason.") -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


# -- the tables -------------------------------------------------------------------------------------------------------


def test_every_error_of_the_model_is_listed() -> None:
    shapes = Loader().load_service_model("kms", "service-2")["shapes"]
    modelled = {shape.get("error", {}).get("code", name) for name, shape in shapes.items() if shape.get("exception")}
    assert len(modelled) >= 48
    assert modelled - CODES.keys() == set()


def test_every_fault_of_the_model_is_unreachable() -> None:
    shapes = Loader().load_service_model("kms", "service-2")["shapes"]
    faults = {name for name, shape in shapes.items() if shape.get("exception") and shape.get("fault")}
    assert faults == {"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"}
    assert {CODES[name] for name in faults} == {KmsUnreachableError}


def test_every_state_of_the_model_is_listed() -> None:
    shapes = Loader().load_service_model("kms", "service-2")["shapes"]
    assert set(shapes["KeyState"]["enum"]) == STATES.keys()


def exceptions() -> list[type[Exception]]:
    found = [getattr(botocore.exceptions, name) for name in dir(botocore.exceptions)]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, botocore.exceptions.BotoCoreError)]


def test_every_exception_of_botocore_has_a_type_and_only_credentials_mean_no() -> None:
    assert len(exceptions()) > 80
    invalid = {
        kind.__name__
        for kind in exceptions()
        if issubclass(aws_boto3.classify(kind.__new__(kind)).kind, KmsInvalidError)
    }
    assert invalid == CREDENTIAL_EXCEPTIONS
    assert all(issubclass(kind, KmsError) for kind in aws_boto3.EXCEPTIONS.values())


def test_every_listed_exception_exists() -> None:
    assert aws_boto3.EXCEPTIONS.keys() <= {kind.__name__ for kind in exceptions()}


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "expected"), CODES.items())
def test_code_decides(kms: Kms, answer: Answer, code: str, expected: type[KmsError]) -> None:
    answer.status, answer.body = 400, error_body(code)
    error = refused(kms)
    assert type(error) is expected
    assert f"{code}: the reason. Nothing" in str(error)


@pytest.mark.parametrize("status", [400, 403, 404, 429])
@pytest.mark.parametrize(
    "body", [error_body("SomethingNewException"), b"", b"{}", b"<html>no</html>" * 100, error_body("", ""), b'{"a": 1}']
)
def test_answer_that_nobody_listed_is_never_invalid(kms: Kms, answer: Answer, status: int, body: bytes) -> None:
    answer.status, answer.body = status, body
    error = refused(kms)
    assert type(error) is KmsUnreachableError
    assert len(str(error)) < 800


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("code", ["KMSInternalException", "AccessDeniedException", "DisabledException"])
def test_any_5xx_is_unreachable(kms: Kms, answer: Answer, status: int, code: str) -> None:
    answer.status, answer.body = status, error_body(code)
    assert type(refused(kms)) is KmsUnreachableError


@given(body=st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"3", b'"x"', b"null", b'{"Plaintext": 3}'])))
@settings(max_examples=60)
@pytest.mark.parametrize("status", [200, 400])
def test_unreadable_answer_is_unreachable(kms: Kms, answer: Answer, status: int, body: bytes) -> None:
    answer.status, answer.body = status, body
    assert type(refused(kms)) is KmsUnreachableError


@pytest.mark.parametrize(
    "body", [{"Plaintext": "%%%"}, {"Plaintext": None}, {"Plaintext": ""}, {"KeyId": "x"}, {"Plaintext": ["x"]}]
)
def test_answer_with_a_broken_field_is_unreachable(kms: Kms, answer: Answer, body: object) -> None:
    answer.status, answer.body = 200, json.dumps(body).encode()
    assert type(refused(kms)) is KmsUnreachableError


def test_secret_of_another_length_is_no_wrapped_key(kms: Kms, answer: Answer) -> None:
    answer.status, answer.body = 200, json.dumps({"Plaintext": base64.b64encode(bytes(31)).decode()}).encode()
    with pytest.raises(CiphertextError, match="31 bytes"):
        kms.unwrap(WRAPPED, {})


@pytest.mark.parametrize(("state", "expected"), STATES.items())
def test_state_is_asked_for(kms: Kms, answer: Answer, state: str, expected: type[KmsError]) -> None:
    answer.status, answer.body = 400, error_body(INVALID_STATE)
    metadata = {"KeyId": "k", "Arn": "arn:x", "KeyState": state, "KeyUsage": "ENCRYPT_DECRYPT"}
    answer.by_target["DescribeKey"] = 200, json.dumps({"KeyMetadata": metadata}).encode()
    with pytest.raises(expected) as caught:
        kms.unwrap(WRAPPED, {})
    assert type(caught.value) is expected
    assert answer.targets == ["Decrypt", "DescribeKey"]
    assert kms.describe().usable == (state == "Enabled")


def test_state_that_is_not_explained_is_unusable(kms: Kms, answer: Answer) -> None:
    answer.status, answer.body = 400, error_body(INVALID_STATE)
    assert type(refused(kms)) is KeyUnusableError


def test_request_carries_key_context_and_recorded_arn(kms: Kms, answer: Answer) -> None:
    answer.status, answer.body = 400, error_body("DisabledException")
    with pytest.raises(KeyDisabledError):
        kms.unwrap(WRAPPED, {"a": "b"})
    blob = base64.b64encode(b"ciphertext").decode()
    sent = {"KeyId": "arn:x", "CiphertextBlob": blob, "EncryptionContext": {"a": "b"}}
    assert json.loads(answer.bodies[-1]) == sent


# -- the way there ----------------------------------------------------------------------------------------------------


def test_nothing_listens() -> None:
    with closing(connect(URI, "http://127.0.0.1:1")) as kms:
        error = refused(kms)
    assert type(error) is KmsUnreachableError
    assert "EndpointConnectionError" in str(error)


@pytest.mark.usefixtures("once")
def test_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_boto3, "READ_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        kms = connect(URI, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with closing(kms), pytest.raises(KmsUnreachableError, match="ReadTimeoutError"):
            kms.describe()


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [
        (400, "ThrottlingException", 3),
        (500, "KMSInternalException", 3),
        (503, "ServiceUnavailable", 3),
        (400, "DisabledException", 1),
        (400, "AccessDeniedException", 1),
        (400, "SomethingNewException", 1),
    ],
)
def test_attempts_are_counted(
    answer: Answer, status: int, code: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded whatever the environment says, and never for a no."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "50")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    answer.status, answer.body = status, error_body(code)
    with closing(connect(URI, answer.url)) as kms, pytest.raises(KmsError):
        kms.unwrap(WRAPPED, {})
    assert answer.targets == ["Decrypt"] * attempts


# -- settings ---------------------------------------------------------------------------------------------------------


def test_without_an_endpoint_the_service_itself_is_meant() -> None:
    wire = aws_boto3.open_wire("eu-west-3", None)
    assert wire._client.meta.endpoint_url == "https://kms.eu-west-3.amazonaws.com"
    wire.close()


@pytest.mark.parametrize("name", ["KEYSTORE_AWS_ENDPOINT", "KEYSTORE_KMS_ENDPOINT", "AWS_ENDPOINT_URL_KMS"])
def test_environment_names_the_endpoint(answer: Answer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, answer.url)
    answer.status, answer.body = 400, error_body("DisabledException")
    with closing(connect(URI)) as kms, pytest.raises(KeyDisabledError):
        kms.unwrap(WRAPPED, {})


def test_endpoint_of_aws_goes_before_the_one_for_all(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTORE_AWS_ENDPOINT", answer.url)
    monkeypatch.setenv("KEYSTORE_KMS_ENDPOINT", "127.0.0.1:1")
    answer.status, answer.body = 400, error_body("DisabledException")
    with closing(connect(URI)) as kms, pytest.raises(KeyDisabledError):
        kms.unwrap(WRAPPED, {})


@pytest.mark.parametrize(
    "url",
    [
        *("http://10.0.0.1:80", "http://kms.us-east-1.amazonaws.com", "http://localhost.example.com", "http://"),
        *("ftp://127.0.0.1", "https://", "http://[::2]:1", "http://127.0.0.1:x", "http://[::1"),
    ],
)
def test_secrets_cross_no_network_in_clear(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KmsEndpointError, match="Nothing was sent"):
        connect(URI, url)
    if url.startswith("http://1") or "amazon" in url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        with pytest.raises((KmsEndpointError, KmsSetupError), match="Nothing was sent"):
            connect(URI)


def test_plaintext_goes_through_no_proxy(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    answer.status, answer.body = 400, error_body("DisabledException")
    for endpoint in (answer.url, None):
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", answer.url)
        with closing(connect(URI, endpoint)) as kms, pytest.raises(KeyDisabledError):
            kms.unwrap(WRAPPED, {})


def test_given_credentials_sign(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment has others."""
    answer.status, answer.body = 400, error_body("DisabledException")
    for token in (None, "the-session"):
        credentials = AwsCredentials("AKIDGIVEN", "the-secret", token)
        assert "the-secret" not in repr(credentials)
        assert "the-session" not in repr(credentials)
        with closing(connect(URI, answer.url, credentials=credentials)) as kms, pytest.raises(KeyDisabledError):
            kms.unwrap(WRAPPED, {})
        assert "Credential=AKIDGIVEN/" in answer.headers["Authorization"]
        assert answer.headers.get("X-Amz-Security-Token") == token


def test_no_credentials(answer: Answer, once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with closing(connect(URI, answer.url)) as kms:
        error = refused(kms)
    assert type(error) is KmsCredentialsError
    assert "AWS_PROFILE" in str(error)
    assert answer.targets == []


def test_unknown_profile_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(KmsSetupError, match="nobody"):
        connect(URI)


def test_region_that_is_no_host_name_is_told_before_anything_is_sent() -> None:
    with pytest.raises(KmsSetupError, match="-x-"):
        connect("aws://-x-/alias/k")


def test_without_boto3_the_error_says_how_to_get_it() -> None:
    """A process of its own, where the import fails; and nothing imports boto3 before it is needed."""
    program = """
import sys
sys.modules["boto3"] = None
from keystore.kms.connect import connect
assert "botocore" not in sys.modules
connect("aws://us-east-1/alias/k", "127.0.0.1:1").close()
try:
    connect("aws://us-east-1/alias/k", "http://127.0.0.1:1")
except Exception as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("KmsSetupError")
    assert "cmk-keystore[aws]" in run.stdout


def test_no_secret_in_a_log(kms: Kms, answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "")
    with SecretKey.generate() as secret:
        plain = base64.b64encode(secret.view()).decode()
        reply = {"KeyId": "arn:x", "CiphertextBlob": "AAAA", "Plaintext": plain}
        answer.status, answer.body = 200, json.dumps(reply).encode()
        assert kms.unwrap(kms.wrap(secret, {}), {}) == secret
        assert plain in answer.bodies[0].decode()
        assert any(record.name.startswith("botocore") for record in caplog.records)
        for shown in (plain, repr(bytes(secret.view()))[2:-1], bytes(secret.view()).hex()):
            assert shown not in caplog.text


def test_others_log_as_before(kms: Kms, answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    import boto3

    caplog.set_level(logging.DEBUG, "botocore.parsers")
    client = boto3.client("kms", endpoint_url=answer.url, region_name="us-east-1")
    answer.status, answer.body = 200, b'{"Keys": []}'
    client.list_keys()
    client.close()
    assert "Response body" in caplog.text


def test_pending_deletion_over_http(kms: Kms, answer: Answer) -> None:
    answer.status, answer.body = 400, error_body(INVALID_STATE)
    metadata = {"KeyId": "k", "Arn": "arn:x", "KeyState": "PendingDeletion", "KeyUsage": "ENCRYPT_DECRYPT"}
    answer.by_target["DescribeKey"] = 200, json.dumps({"KeyMetadata": metadata}).encode()
    with pytest.raises(KeyPendingDeletionError, match="Cancel the deletion"):
        kms.wrap(SecretKey.generate(), {})
