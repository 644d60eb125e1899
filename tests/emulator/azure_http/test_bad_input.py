"""What a vault refuses, in Azure's own words."""

from typing import Any

import pytest

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
