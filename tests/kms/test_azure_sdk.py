"""What Azure's own SDKs may raise, and what each answer of a vault or of Entra means to our client on them."""

import base64
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import azure.core.exceptions
import pytest
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
    KmsPermissionError,
    KmsSetupError,
    KmsUnreachableError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms import azure_sdk
from keystore.kms.azure_codes import CODES, DECRYPT_CODES, SIGN_IN
from keystore.kms.connect import connect
from keystore.kms.credentials import AwsCredentials, AzureCredentials
from keystore.kms.protocol import Kms
from tests.kms.vault_answer import TENANT, VaultAnswer, vault_answer

URI = "azure://contoso/cmk/0a"
KID = "https://contoso.vault.azure.net/keys/cmk/0a"
WRAPPED = WrappedKey("azure", URI, KID, b"ciphertext")
APPLICATION = AzureCredentials(TENANT, "app", "the-client-secret")


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's settings out."""
    for name in (*azure_sdk.CONFIGURED, *azure_sdk.SECRET_VARIABLES, "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KEYSTORE_KMS_ENDPOINT", "KEYSTORE_AZURE_ENDPOINT", "KEYSTORE_KMS_CA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultAnswer]:
    with vault_answer(tmp_path_factory.mktemp("tls")) as answer:
        yield answer


@pytest.fixture
def answer(server: VaultAnswer, monkeypatch: pytest.MonkeyPatch) -> VaultAnswer:
    server.clear()
    monkeypatch.setenv("KEYSTORE_KMS_CA", server.ca)
    return server


@pytest.fixture
def kms(answer: VaultAnswer) -> Iterator[Kms]:
    with closing(connect(URI, answer.url)) as kms:
        yield kms


def refused(kms: Kms) -> KmsError:
    """Return the error of an unwrap; a wrap must be refused as well."""
    with pytest.raises(KmsError):
        kms.wrap(SecretKey.generate(), {"a": "b"})
    with pytest.raises(KmsError) as caught:
        kms.unwrap(WRAPPED, {"a": "b"})
    assert "Nothing was changed." in str(caught.value)
    return caught.value


def error_body(code: str, inner: str = "", message: str = "the reason.") -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "innererror": {"code": inner}}}).encode()


# -- answers of a vault -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["outer", "inner"])
@pytest.mark.parametrize(("code", "expected"), DECRYPT_CODES.items())
def test_code_decides(kms: Kms, answer: VaultAnswer, code: str, expected: type[KmsError], place: str) -> None:
    answer.by_method["GET"] = 404, error_body("KeyNotFound")
    body = error_body(code) if place == "outer" else error_body("Forbidden", code)
    answer.status, answer.body = 400, body
    error = refused(kms)
    assert type(error) is expected
    assert f"{code}: the reason. Nothing" in str(error)


def test_bad_parameter_is_a_ciphertext_only_where_one_was_sent(kms: Kms, answer: VaultAnswer) -> None:
    answer.status, answer.body = 400, error_body("BadParameter")
    with pytest.raises(KmsUnreachableError):
        kms.wrap(SecretKey.generate(), {})
    with pytest.raises(CiphertextError):
        kms.unwrap(WRAPPED, {})


@pytest.mark.parametrize(
    ("inner", "message", "expected"),
    [
        ("ForbiddenByFirewall", "Client address is not authorized", KmsUnreachableError),
        ("ForbiddenByConnection", "Public network access is disabled", KmsUnreachableError),
        ("", "Client address is not authorized and caller is not a trusted service.", KmsUnreachableError),
        ("ForbiddenByPolicy", "does not have keys decrypt permission", KmsPermissionError),
        ("ForbiddenByRbac", "Caller is not authorized to perform action", KmsPermissionError),
        ("SomethingNew", "the reason", KmsPermissionError),
        ("KeyDisabled", "the reason", KeyDisabledError),
        ("KeyExpired", "the reason", KeyUnusableError),
    ],
)
def test_forbidden_is_no_only_if_it_is_not_about_the_network(
    kms: Kms, answer: VaultAnswer, inner: str, message: str, expected: type[KmsError]
) -> None:
    """A firewall's 403 says nothing about the key."""
    error = {"code": "Forbidden", "message": message} | ({"innererror": {"code": inner}} if inner else {})
    answer.status, answer.body = 403, json.dumps({"error": error}).encode()
    assert type(refused(kms)) is expected


@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 429])
@pytest.mark.parametrize(
    "body",
    [
        error_body("SomethingNew"),
        b"",
        b"{}",
        b"[]",
        b"<html>no</html>" * 100,
        error_body("", ""),
        b'{"error": 3}',
        b'{"error": {"code": 3, "innererror": []}}',
    ],
)
def test_answer_that_nobody_listed_is_never_invalid(kms: Kms, answer: VaultAnswer, status: int, body: bytes) -> None:
    answer.status, answer.body = status, body
    answer.headers["Location"] = "https://127.0.0.1:1/elsewhere"
    error = refused(kms)
    assert type(error) is KmsUnreachableError
    assert len(str(error)) < 800


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("code", ["InternalServerError", "Forbidden", "KeyNotFound"])
def test_any_5xx_is_unreachable(kms: Kms, answer: VaultAnswer, status: int, code: str) -> None:
    answer.status, answer.body = status, error_body(code)
    assert type(refused(kms)) is KmsUnreachableError


@given(body=st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"3", b'"x"', b"null", b'{"value": 3}'])))
@settings(max_examples=30)
@pytest.mark.parametrize("status", [200, 400])
def test_unreadable_answer_is_unreachable(kms: Kms, answer: VaultAnswer, status: int, body: bytes) -> None:
    answer.status, answer.body = status, body
    assert type(refused(kms)) is KmsUnreachableError


@pytest.mark.parametrize("value", ["%%%", None, "", ["x"], "A"])
def test_answer_with_a_broken_value_is_unreachable(kms: Kms, answer: VaultAnswer, value: object) -> None:
    answer.status, answer.body = 200, json.dumps({"kid": KID, "value": value}).encode()
    assert type(refused(kms)) is KmsUnreachableError


def test_secret_of_another_length_is_no_wrapped_key(kms: Kms, answer: VaultAnswer) -> None:
    answer.body = json.dumps({"kid": KID, "value": base64.urlsafe_b64encode(bytes(31)).decode()}).encode()
    with pytest.raises(CiphertextError, match="31 bytes"):
        kms.unwrap(WRAPPED, {})


def test_deleted_key_is_told_from_one_that_never_was(kms: Kms, answer: VaultAnswer) -> None:
    answer.status, answer.body = 404, error_body("KeyNotFound")
    answer.by_method["GET"] = 200, b"{}"
    with pytest.raises(KeyPendingDeletionError):
        kms.unwrap(WRAPPED, {})
    paths = [(method, path.partition("?")[0]) for method, path in answer.requests]
    assert paths == [("POST", "/keys/cmk/0a/decrypt"), ("GET", "/deletedkeys/cmk")]


def test_request_goes_to_the_endpoint_and_means_the_vault(kms: Kms, answer: VaultAnswer) -> None:
    answer.status, answer.body = 400, error_body("BadParameter")
    with pytest.raises(CiphertextError):
        kms.unwrap(WRAPPED, {})
    value = base64.urlsafe_b64encode(b"ciphertext").rstrip(b"=").decode()
    assert json.loads(answer.bodies[-1]) == {"alg": "RSA-OAEP-256", "value": value}
    assert answer.hosts == {"contoso.vault.azure.net"}


@pytest.mark.parametrize(
    ("enabled", "operations", "usable"),
    [(True, ["encrypt", "decrypt"], True), (False, ["encrypt", "decrypt"], False), (True, ["sign"], False)],
)
def test_description(kms: Kms, answer: VaultAnswer, enabled: bool, operations: list[str], usable: bool) -> None:
    bundle = {"key": {"kid": KID, "key_ops": operations}, "attributes": {"enabled": enabled}}
    answer.body = json.dumps(bundle).encode()
    found = kms.describe()
    assert (found.usable, found.key_version, found.state) == (usable, KID, "Enabled" if enabled else "Disabled")


# -- answers of Entra -------------------------------------------------------------------------------------------------


def refused_token(answer: VaultAnswer, status: int, body: bytes) -> KmsError:
    answer.token = status, body
    with closing(connect(URI, answer.url, credentials=APPLICATION)) as kms:
        error = refused(kms)
    assert answer.requests == []
    assert APPLICATION.client_secret not in str(error)
    return error


@pytest.mark.parametrize(("code", "expected"), SIGN_IN.items())
def test_code_of_entra_decides(answer: VaultAnswer, code: str, expected: type[KmsError]) -> None:
    described = {"error": "invalid_client", "error_description": f"{code}: the reason. Trace ID: 1"}
    error = refused_token(answer, 401, json.dumps(described).encode())
    assert type(error) is expected
    assert code in str(error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error": "invalid_client", "error_description": "AADSTS99999999: new"}'),
        (400, b'{"error": "temporarily_unavailable"}'),
        (503, b'{"error": "x", "error_description": "AADSTS7000215: but it is a 503"}'),
        (500, b"<html>no</html>"),
        (200, b"{}"),
        (429, b"{}"),
    ],
)
def test_entra_that_does_not_say_no_is_unreachable(answer: VaultAnswer, status: int, body: bytes) -> None:
    assert type(refused_token(answer, status, body)) is KmsUnreachableError


def test_given_credentials_go_to_the_authority_and_nowhere_else(answer: VaultAnswer) -> None:
    answer.status, answer.body = 400, error_body("BadParameter")
    with closing(connect(URI, answer.url, credentials=APPLICATION)) as kms, pytest.raises(CiphertextError):
        kms.unwrap(WRAPPED, {})
    (form,) = answer.secrets
    assert "client_secret=the-client-secret" in form
    assert not any(APPLICATION.client_secret.encode() in body for body in answer.bodies)
    assert APPLICATION.client_secret not in repr(APPLICATION)


def test_application_of_the_environment_is_refused_as_such(
    answer: VaultAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", "app")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", answer.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", answer.ca)
    answer.token = 401, b'{"error": "invalid_client", "error_description": "AADSTS7000222: expired"}'
    with closing(connect(URI, answer.url)) as kms:
        assert type(refused(kms)) is KmsCredentialsError


# -- the way there ----------------------------------------------------------------------------------------------------


def exceptions() -> list[type[Exception]]:
    found = [getattr(azure.core.exceptions, name) for name in dir(azure.core.exceptions)]
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]
    # These are made of an answer, not of a text.
    made = {"ODataV4Error", "ResponseNotReadError", "StreamClosedError", "StreamConsumedError", "TooManyRedirectsError"}
    return [kind for kind in kinds if kind.__name__ not in made]


def test_no_exception_of_the_sdk_means_no_unless_it_carries_a_code_that_does() -> None:
    assert len(exceptions()) > 12
    for kind in exceptions():
        assert azure_sdk.classify(kind("the way")).kind is KmsUnreachableError
        assert azure_sdk.classify(kind("AADSTS7000215: wrong")).kind is KmsCredentialsError


def test_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_sdk, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(azure_sdk, "READ_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        kms = connect(URI, f"https://127.0.0.1:{silent.getsockname()[1]}")
        with closing(kms), pytest.raises(KmsUnreachableError, match="imed out"):
            kms.describe()


@pytest.mark.parametrize(("status", "code"), [(429, "Throttled"), (503, "ServiceUnavailable"), (403, "Forbidden")])
def test_calls_are_not_repeated(kms: Kms, answer: VaultAnswer, status: int, code: str) -> None:
    """Also where an answer asks to come back in an hour."""
    answer.status, answer.body, answer.headers = status, error_body(code), {"Retry-After": "3600"}
    with pytest.raises(KmsError):
        kms.unwrap(WRAPPED, {})
    assert [path.partition("?")[0] for _, path in answer.requests] == ["/keys/cmk/0a/decrypt"]


def test_certificate_of_somebody_else_is_unreachable(answer: VaultAnswer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYSTORE_KMS_CA")
    with closing(connect(URI, answer.url)) as kms:
        error = refused(kms)
    assert type(error) is KmsUnreachableError
    assert answer.bodies == []


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (URI, "https://contoso.vault.azure.net"),
        ("https://contoso.vault.azure.cn/keys/cmk/0a", "https://contoso.vault.azure.cn"),
        ("https://contoso.managedhsm.azure.net/keys/cmk/0a", "https://contoso.managedhsm.azure.net"),
    ],
)
def test_without_an_endpoint_the_vault_itself_is_meant(uri: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("azure.keyvault.keys.KeyClient.__init__", lambda self, at, *_, **__: opened.append(at))
    connect(uri)
    assert opened == [url]


@pytest.mark.parametrize("name", ["KEYSTORE_AZURE_ENDPOINT", "KEYSTORE_KMS_ENDPOINT"])
def test_environment_names_the_endpoint(answer: VaultAnswer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTORE_KMS_ENDPOINT", "127.0.0.1:1")
    monkeypatch.setenv(name, answer.url)
    answer.status, answer.body = 403, error_body("Forbidden", "KeyDisabled")
    with closing(connect(URI)) as kms, pytest.raises(KeyDisabledError):
        kms.unwrap(WRAPPED, {})


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://10.0.0.1:1", "ftp://127.0.0.1", "https://"])
def test_only_https_is_taken(url: str) -> None:
    with pytest.raises(KmsEndpointError, match="Nothing was sent"):
        connect(URI, url)


def test_certificates_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTORE_KMS_CA", "/nonexistent/ca.pem")
    with pytest.raises(KmsEndpointError, match="KEYSTORE_KMS_CA"):
        connect(URI, "https://127.0.0.1:1")


def test_credentials_of_another_cloud_are_refused() -> None:
    with pytest.raises(KmsSetupError, match="AwsCredentials are not for this key"):
        connect(URI, "https://127.0.0.1:1", credentials=AwsCredentials("a", "b"))


def test_grpc_carries_no_credentials() -> None:
    with pytest.raises(KmsSetupError, match="carries no credentials"):
        connect(URI, "127.0.0.1:1", credentials=APPLICATION)


def test_tenant_that_cannot_be_one_is_told() -> None:
    with pytest.raises(KmsSetupError, match="Nothing was sent"):
        connect(URI, "https://127.0.0.1:1", credentials=AzureCredentials("not a tenant!", "app", "s"))


def test_without_the_packages_the_error_says_how_to_get_them() -> None:
    """A process of its own, where the import fails; and nothing imports them before they are needed."""
    program = """
import sys
sys.modules["azure.identity"] = None
from keystore.kms.connect import connect
assert "azure.core" not in sys.modules
connect("azure://contoso/cmk/0a", "127.0.0.1:1").close()
try:
    connect("azure://contoso/cmk/0a")
except Exception as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("KmsSetupError")
    assert "cmk-keystore[azure]" in run.stdout


def test_no_secret_in_a_log(answer: VaultAnswer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "")
    with SecretKey.generate() as secret, closing(connect(URI, answer.url, credentials=APPLICATION)) as kms:
        plain = base64.urlsafe_b64encode(secret.view()).rstrip(b"=").decode()
        answer.body = json.dumps({"kid": KID, "value": plain}).encode()
        assert kms.unwrap(kms.wrap(secret, {}), {}) == secret
        assert plain in answer.bodies[0].decode()
        assert caplog.records
        logged = "".join(str(record.__dict__) for record in caplog.records)
        for shown in (plain, repr(bytes(secret.view()))[2:-1], bytes(secret.view()).hex(), APPLICATION.client_secret):
            assert shown not in logged


def test_no_answer_is_taken_for_no(kms: Kms, answer: VaultAnswer) -> None:
    """Every code that means no is in the table, and no other way leads there."""
    invalid = {code for code, kind in {**CODES, **SIGN_IN}.items() if issubclass(kind, KmsInvalidError)}
    assert {"Forbidden", "KeyNotFound", "Unauthorized", "AADSTS7000222"} <= invalid
    assert not {"ForbiddenByFirewall", "Throttled", "AADSTS90033"} & invalid
