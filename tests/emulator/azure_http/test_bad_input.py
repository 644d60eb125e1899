"""What a vault refuses, in Azure's own words."""

import base64
import http.client
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_emulator.embedded import KmsEmulator
from kms_emulator.wire.http.app import BODY_BYTES_MAX
from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running

VERSION = "?api-version=7.4"


def test_a_request_without_a_token_is_challenged_once(emulator: Running) -> None:
    status, body, headers = ask(emulator, "GET", f"/keys{VERSION}", headers={})
    assert (status, body["error"]["code"]) == (401, "Unauthorized")
    challenges = headers.get_all("www-authenticate")
    assert challenges is not None
    port = emulator.server.https_port
    assert len(challenges) == 1
    assert challenges[0].startswith(f'Bearer authorization="https://127.0.0.1:{port}/')
    assert challenges[0].endswith(f'resource="https://0.0.1:{port}"')
    assert len(headers["x-ms-request-id"]) == 36


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "api-version must be specified"),
        ("?api-version=7.99", "The specified version (7.99) is not recognized"),
    ],
)
def test_unknown_api_versions(emulator: Running, query: str, text: str) -> None:
    status, body, _ = ask(emulator, "GET", f"/keys{query}")
    assert (status, body["error"]["code"]) == (400, "BadParameter")
    assert text in body["error"]["message"]


@pytest.mark.parametrize("version", ["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01"])
def test_known_api_versions(emulator: Running, version: str) -> None:
    assert ask(emulator, "GET", f"/keys?api-version={version}")[:2] == (200, {"value": []})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "NotFound"),
        ("GET", "/keys/missing/", None, 404, "KeyNotFound"),
        ("PUT", "/keys", None, 405, "MethodNotAllowed"),
        ("POST", "/keys/k/create", b"{", 400, "BadParameter"),
        ("POST", "/keys/k/create", [], 400, "BadParameter"),
        ("POST", "/keys/k/create", {"kty": 5}, 400, "BadParameter"),
        ("POST", "/keys/k/create", {"kty": "RSA", "key_size": 2047}, 400, "BadParameter"),
        ("POST", "/keys/k/create", {"kty": "RSA", "key_ops": ["fly"]}, 400, "BadParameter"),
        ("POST", "/keys/k/create", {"kty": "RSA", "attributes": {"exp": "soon"}}, 400, "BadParameter"),
        ("POST", "/keys/k/create", {"kty": "RSA", "attributes": {"exp": 1e300}}, 400, "BadParameter"),
        ("POST", "/keys/a_b/create", {"kty": "RSA"}, 400, "BadParameter"),
        ("POST", "/keys/k//wrapkey", {"alg": "RSA-OAEP", "value": "!"}, 400, "BadParameter"),
        ("POST", "/keys/k//wrapkey", {"alg": "RSA-OAEP", "value": "aaaa"}, 404, "KeyNotFound"),
        ("GET", "/keys?maxresults=26", None, 400, "BadParameter"),
    ],
)
def test_refusals(emulator: Running, method: str, path: str, body: Any, status: int, code: str) -> None:
    joint = "&" if "?" in path else "?"
    found = ask(emulator, method, f"{path}{joint}api-version=7.4", body)
    assert (found[0], found[1]["error"]["code"]) == (status, code)


def test_faults_answer_as_key_vault_does(emulator: Running) -> None:
    from kms_emulator.model.faults import Fault, FaultKind

    fault = Fault(kind=FaultKind.THROTTLE, retry_after_s=7)
    emulator.loop.call_soon_threadsafe(emulator.core.faults.add, fault)
    status, body, headers = ask(emulator, "GET", f"/keys{VERSION}")
    assert (status, body["error"]["code"], headers["retry-after"]) == (429, "Throttled", "7")
    assert body["error"]["innererror"]["code"] == "VaultRequestTypeLimitReached"


# -- what does not come as far as an operation


def test_a_body_that_is_too_long_is_refused_as_azure_does(emulator: Running) -> None:
    status, body, headers = ask(emulator, "POST", f"/keys/k/create{VERSION}", b"x" * (BODY_BYTES_MAX + 1))
    assert (status, set(body), body["error"]["code"]) == (413, {"error"}, "RequestEntityTooLarge")
    assert str(BODY_BYTES_MAX) in body["error"]["message"]
    assert headers["connection"] == "close"


def test_a_body_that_stalls_is_refused_as_azure_does(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kms_emulator.wire.http.app.BODY_READ_S_MAX", 0.05)
    headers = {"authorization": "Bearer nobody", "content-length": "10"}
    status, body, _ = ask(emulator, "POST", f"/keys/k/create{VERSION}", None, headers=headers)
    assert (status, body["error"]["code"]) == (408, "RequestTimeout")


def test_a_crowd_is_told_to_come_again_as_azure_does(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kms_emulator.wire.http.app.REQUESTS_AT_ONCE_MAX", 0)
    status, body, _ = ask(emulator, "GET", f"/keys{VERSION}")
    assert (status, body["error"]["code"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize(
    "place", ["kms_emulator.wire.azure.documents.decode", "kms_emulator.wire.azure.documents.encode"]
)
def test_a_fault_of_the_emulator_itself_is_azures_500_and_shows_nothing(
    emulator: Running, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(place, fail)
    status, body, _ = ask(emulator, "GET", f"/keys{VERSION}")
    assert (status, body["error"]["code"]) == (500, "InternalServerError")
    assert not any(word in str(body) for word in ("inside", "Traceback", "RuntimeError", ".py"))


# -- malformed keys, wrong versions, names that are taken

EC_KEY = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}


@pytest.mark.parametrize(
    "key",
    [
        None,
        [],
        "text",
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": 7},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "!!", "e": "AQAB", "d": "AQ"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"},
        {"kty": "RSA", "n": "_" * 342, "e": "AQAB", "d": "_" * 342},
        {"kty": "RSA", "n": "_" * 342, "e": "AA", "d": "AA", "p": "AA", "q": "AA"},
        {"kty": "RSA", "n": "_" * 342, "e": "AQAB", "d": "AQ", "p": "_" * 342, "q": "AQ"},
        EC_KEY,
        {**EC_KEY, "crv": "P-999"},
        {**EC_KEY, "crv": 256},
        {**EC_KEY, "x": "_" * 43, "y": "_" * 43, "d": "_" * 43},
        {**EC_KEY, "d": ""},
        {**EC_KEY, "key_ops": ["fly"]},
        {**EC_KEY, "key_ops": "sign"},
    ],
)
def test_malformed_keys_are_not_imported(emulator: Running, key: Any) -> None:
    status, body, _ = ask(emulator, "PUT", f"/keys/imported{VERSION}", {"key": key})
    assert (status, body["error"]["code"]) == (400, "BadParameter")
    assert "Traceback" not in str(body)
    assert ask(emulator, "GET", f"/keys{VERSION}")[1] == {"value": []}


@given(
    key=st.fixed_dictionaries(
        {"kty": st.sampled_from(["RSA", "EC", "oct", "RSA-HSM", "EC-HSM"])},
        optional={
            name: st.one_of(st.none(), st.integers(), st.text(max_size=12), st.from_regex(r"[A-Za-z0-9_-]{1,90}"))
            for name in ("crv", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y", "k", "key_ops")
        },
    )
)
@settings(max_examples=40)
def test_no_key_ends_in_a_fault_of_the_emulator(emulator: Running, key: dict[str, Any]) -> None:
    status, body, _ = ask(emulator, "PUT", f"/keys/imported{VERSION}", {"key": key})
    assert (status, body["error"]["code"]) == (400, "BadParameter"), key


def test_versions_vaults_and_ciphertexts_that_do_not_belong_together(emulator: Running) -> None:
    for name in ("one", "two"):
        assert ask(emulator, "POST", f"/keys/{name}/create{VERSION}", {"kty": "RSA"})[0] == 200
    kid = ask(emulator, "GET", f"/keys/one/{VERSION}")[1]["key"]["kid"]
    operation = {"alg": "RSA-OAEP-256", "value": "AAAA"}
    sealed = ask(emulator, "POST", f"/keys/one//encrypt{VERSION}", operation)[1]["value"]
    version = kid.rpartition("/")[2]

    def refusal(path: str, value: str = sealed, host: str = "127.0.0.1") -> tuple[int, str]:
        status, body, _ = ask(emulator, "POST", f"{path}{VERSION}", {**operation, "value": value}, host=host)
        return status, body["error"]["code"]

    assert refusal(f"/keys/one/{version[::-1]}/decrypt") == (404, "KeyNotFound")
    assert refusal(f"/keys/two/{version}/decrypt") == (404, "KeyNotFound")
    assert refusal("/keys/two//decrypt") == (400, "BadParameter")
    assert refusal("/keys/one//decrypt", sealed[:-3]) == (400, "BadParameter")
    assert refusal(f"/keys/one/{version}/decrypt", host="127.0.0.2") == (404, "KeyNotFound")
    assert refusal("/keys/one//decrypt", "AAAA") == (400, "BadParameter")
    assert ask(emulator, "POST", f"/keys/one/{version}/decrypt{VERSION}", {**operation, "value": sealed})[0] == 200


def test_additional_data_of_an_hsm_key_is_bound(emulator: Running) -> None:
    hsm = "127.0.0.8"
    assert ask(emulator, "POST", f"/keys/aes/create{VERSION}", {"kty": "oct-HSM"}, host=hsm)[0] == 200
    operation = {"alg": "A256GCM", "value": "AAAA", "aad": "AQ"}
    sealed = ask(emulator, "POST", f"/keys/aes//encrypt{VERSION}", operation, host=hsm)[1]
    opening = {**operation, **{name: sealed[name] for name in ("value", "iv", "tag")}}
    assert ask(emulator, "POST", f"/keys/aes//decrypt{VERSION}", opening, host=hsm)[1]["value"] == "AAAA"
    for wrong in ({"aad": "Ag"}, {"aad": ""}, {"tag": sealed["iv"]}, {"iv": "AAAA"}, {"value": "AAAB"}):
        status, body, _ = ask(emulator, "POST", f"/keys/aes//decrypt{VERSION}", {**opening, **wrong}, host=hsm)
        assert (status, body["error"]["code"]) == (400, "BadParameter"), wrong


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "inner"),
    [
        ("POST", "/keys/gone/create", {"kty": "EC"}, 409, "ObjectIsDeletedButRecoverable"),
        ("PUT", "/keys/gone", {"key": {**EC_KEY}}, 400, None),
        ("GET", "/keys/gone/", None, 404, None),
        ("POST", "/keys/gone//wrapkey", {"alg": "RSA-OAEP", "value": "AAAA"}, 404, None),
        ("POST", "/keys/gone/rotate", None, 404, None),
        ("DELETE", "/keys/gone", None, 404, None),
        ("POST", "/deletedkeys/live/recover", None, 404, None),
        ("DELETE", "/deletedkeys/live", None, 404, None),
        ("POST", "/keys/restore", {"value": "AAAA"}, 400, None),
    ],
)
def test_names_of_deleted_keys(
    emulator: Running, method: str, path: str, body: Any, status: int, inner: str | None
) -> None:
    for name in ("gone", "live"):
        assert ask(emulator, "POST", f"/keys/{name}/create{VERSION}", {"kty": "EC"})[0] == 200
    assert ask(emulator, "DELETE", f"/keys/gone{VERSION}")[0] == 200
    found = ask(emulator, method, f"{path}{VERSION}", body)
    assert (found[0], found[1]["error"].get("innererror", {}).get("code")) == (status, inner)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    prefix=st.sampled_from(["/keys/", "/deletedkeys/", "/", "/t/oauth2/v2.0/token/", "/subscriptions/"]),
    path=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#/"), max_size=9)),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=20),
    body=st.one_of(st.binary(max_size=40), st.sampled_from([b"[[" * 500, b"1e999", b'{"kty": {}}', b'"\\ud800"'])),
)
@settings(max_examples=150)
def test_no_request_ends_in_a_fault_of_the_emulator(
    emulator: Running, method: str, prefix: str, path: list[str], query: str, body: bytes
) -> None:
    status, found, _ = ask(emulator, method, f"{prefix}{'/'.join(path)}?api-version=7.4&{query}", body)
    assert status < 500, found
    assert "Traceback" not in str(found)


def test_numbers_that_are_no_rsa_key_end_no_search(emulator: Running) -> None:
    prime, e = (1 << 2048) - 1942289, 65537
    assert pow(2, prime - 1, prime) == 1
    for n, d in ((prime, pow(e, -1, prime - 1)), (prime - 2, 12345), (prime, 1 << 100_000)):
        numbers = {name: web_number(number) for name, number in (("n", n), ("e", e), ("d", d))}
        status, body, _ = ask(emulator, "PUT", f"/keys/k{VERSION}", {"key": {"kty": "RSA", **numbers}})
        assert (status, body["error"]["code"]) == (400, "BadParameter")


def web_number(number: int) -> str:
    """Return a number as web keys have it."""
    text = base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
    return text.rstrip(b"=").decode()


def test_a_client_that_keeps_its_end_open_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with KmsEmulator() as kms:
        context = ssl.create_default_context(cafile=kms.azure.ca_file)
        host, port = "127.0.0.1", urlsplit(kms.azure.vault_url()).port
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=30)
        connection.request("GET", "/_emulator/health")
        assert connection.getresponse().read()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []
    connection.close()
