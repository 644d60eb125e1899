"""The REST form through Google's own client, and its errors as they are on the wire."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.transport.requests import Request
from google.cloud import kms
from google.oauth2 import service_account
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.wire.gcp.adapter import GCP, GCP_IAM
from kms_emulator.wire.gcp.crc32c import crc32c
from kms_emulator.wire.gcp.rules import RULES
from tests.emulator.gcp.accounts import UNIVERSE, bind, email_of, put_account, signed
from tests.emulator.gcp.keys import LOCATION, RING, Algorithm, Client, Purpose, State, make, rest_client, switch
from tests.emulator.running import Running

KEY = f"{RING}/cryptoKeys/k"
V1 = f"{KEY}/cryptoKeyVersions/1"


@pytest.fixture
def rest(http: Running) -> Client:
    client = rest_client(http)
    client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    return client


def send(http: Running, method: str, path: str, body: bytes | None = None, token: str = "") -> tuple[int, Any]:
    """Send a request as it is written here; return status and JSON."""
    url = f"{http.server.url}{path}"
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_life_of_a_symmetric_key(rest: Client) -> None:
    make(rest, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION", labels={"team": "red"})
    assert [ring.name for ring in rest.list_key_rings(parent=LOCATION)] == [RING]
    sealed = rest.encrypt(request={"name": KEY, "plaintext": b"\xff\x00x", "plaintext_crc32c": crc32c(b"\xff\x00x")})
    assert (sealed.name, sealed.verified_plaintext_crc32c) == (V1, True)
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    assert rest.encrypt(name=V1, plaintext=b"x").name == V1
    assert rest.decrypt(name=KEY, ciphertext=sealed.ciphertext).plaintext == b"\xff\x00x"
    second = rest.create_crypto_key_version(parent=KEY, crypto_key_version={}).name
    assert rest.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2").primary.name == second
    changed = rest.update_crypto_key(crypto_key={"name": KEY, "labels": {"a": "b"}}, update_mask={"paths": ["labels"]})
    assert (dict(changed.labels), changed.purpose) == ({"a": "b"}, Purpose.ENCRYPT_DECRYPT)
    switch(rest, V1, "DISABLED")
    with pytest.raises(exceptions.BadRequest, match="current state is: DISABLED"):
        rest.decrypt(name=KEY, ciphertext=sealed.ciphertext)
    assert rest.destroy_crypto_key_version(name=V1).state == State.DESTROY_SCHEDULED
    assert rest.restore_crypto_key_version(name=V1).state == State.DISABLED
    assert rest.get_crypto_key_version(name=second).algorithm == Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    pages = rest.list_crypto_key_versions(request={"parent": KEY, "page_size": 1})
    assert [version.name for version in pages] == [V1, second]
    assert [key.name for key in rest.list_crypto_keys(parent=RING)] == [KEY]
    assert rest.get_key_ring(name=RING).name == RING


def test_other_purposes(rest: Client) -> None:
    signer = make(rest, "ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256", "s")
    assert rest.get_public_key(name=signer).pem.startswith("-----BEGIN PUBLIC KEY-----")
    assert rest.asymmetric_sign(request={"name": signer, "digest": {"sha256": bytes(32)}}).signature
    code = make(rest, "MAC", "HMAC_SHA256", "m")
    mac = rest.mac_sign(name=code, data=b"data").mac
    assert rest.mac_verify(name=code, data=b"data", mac=mac).success
    raw = make(rest, "RAW_ENCRYPT_DECRYPT", "AES_256_GCM", "w")
    sealed = rest.raw_encrypt(request={"name": raw, "plaintext": b"x"})
    opening = {"name": raw, "ciphertext": sealed.ciphertext, "initialization_vector": sealed.initialization_vector}
    assert rest.raw_decrypt(request=opening).plaintext == b"x"
    opener = make(rest, "ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256", "o")
    with pytest.raises(exceptions.BadRequest, match="Decryption failed"):
        rest.asymmetric_decrypt(name=opener, ciphertext=bytes(256))
    asked = {"location": LOCATION, "length_bytes": 16, "protection_level": kms.ProtectionLevel.HSM}
    assert len(rest.generate_random_bytes(request=asked).data) == 16


def test_every_operation_has_a_url() -> None:
    assert {rule.operation for rule in RULES} == {*GCP.operations, *GCP_IAM.operations}


def test_errors_have_googles_form(http: Running, rest: Client) -> None:
    make(rest, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
    switch(rest, V1, "DISABLED")
    status, body = send(http, "POST", f"/v1/{KEY}:encrypt", b'{"plaintext": "eA=="}')
    message = f"{V1} is not enabled, current state is: DISABLED."
    detail = {
        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
        "violations": [{"type": "KEY_DISABLED", "subject": V1}],
    }
    assert status == 400
    assert body == {"error": {"code": 400, "message": message, "status": "FAILED_PRECONDITION", "details": [detail]}}
    assert send(http, "GET", f"/v1/{RING}/cryptoKeys/none")[1]["error"]["status"] == "NOT_FOUND"
    with pytest.raises(exceptions.Conflict):
        rest.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", f"/v1/{KEY}:encrypt", b"{", 400, "Invalid JSON payload"),
        ("POST", f"/v1/{KEY}:encrypt", b"[]", 400, "must be a JSON object"),
        ("POST", f"/v1/{KEY}:encrypt", b"[" * 100_000, 400, "Invalid JSON payload"),
        ("POST", f"/v1/{KEY}:encrypt", b'{"plaintext": 5}', 400, "Invalid JSON payload"),
        ("POST", f"/v1/{KEY}:encrypt", b'{"nonsense": 5}', 400, "nonsense"),
        ("POST", f"/v1/{KEY}:encrypt", b"\xff\xfe", 400, "Invalid JSON payload"),
        ("GET", f"/v1/{LOCATION}/keyRings?pageSize=many", None, 400, "Invalid JSON payload"),
        ("GET", f"/v1/{LOCATION}/keyRings?nonsense=1", None, 400, 'Unknown name "nonsense"'),
        ("GET", f"/v1/{LOCATION}/keyRings?parent.name=1", None, 400, "Unknown name"),
        ("GET", f"/v1/{LOCATION}/keyRings?filter=name:x", None, 501, "not emulated"),
        ("POST", f"/v1/{RING}/importJobs", b"{}", 404, "not found"),
        ("POST", f"/v1/{KEY}:unknown", b"{}", 501, "not emulated"),
        ("DELETE", f"/v1/{KEY}", None, 501, "not emulated"),
        ("GET", "/v1/projects/p/locations/UPPER/keyRings/r", None, 400, "invalid"),
    ],
)
def test_bad_input(http: Running, method: str, path: str, body: bytes | None, status: int, words: str) -> None:
    found, answer = send(http, method, path, body)
    assert (found, answer["error"]["code"]) == (status, status)
    assert words in answer["error"]["message"]


def test_credentials_of_googles_library_over_rest(http: Running, rest: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", UNIVERSE)
    make(rest, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
    admin = AdminStub(http.channel)
    info = put_account(admin, "app")
    made: Any = service_account.Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
    app = rest_client(http, made)
    with pytest.raises(exceptions.Forbidden, match="useToEncrypt") as caught:
        app.encrypt(name=KEY, plaintext=b"x")
    refusal: Any = caught.value
    assert refusal.reason == "IAM_PERMISSION_DENIED"
    bind(rest, KEY, "roles/cloudkms.cryptoKeyEncrypter", "app")
    assert app.encrypt(name=KEY, plaintext=b"x").name == V1
    assert rest.get_iam_policy({"resource": KEY}).bindings[0].role == "roles/cloudkms.cryptoKeyEncrypter"
    asked = {"resource": KEY, "permissions": ["cloudkms.cryptoKeys.get"]}
    assert list(app.test_iam_permissions(asked).permissions) == []
    calls = admin.ListCalls(admin_pb2.ListCallsRequest(operation="Encrypt")).calls
    assert [(call.caller, call.outcome) for call in calls] == [
        (email_of("app"), "PERMISSION_DENIED"),
        (email_of("app"), "OK"),
    ]


def test_token_is_given_for_what_the_account_signed(http: Running, rest: Client) -> None:
    make(rest, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
    admin = AdminStub(http.channel)
    info = put_account(admin, "app", "roles/cloudkms.viewer", token_uri=f"{http.server.url}/token")
    http.core.strict_auth = True
    scopes = ["https://www.googleapis.com/auth/cloudkms"]
    info["universe_domain"] = "googleapis.com"  # in others its library asks for no token
    made: Any = service_account.Credentials.from_service_account_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
    made.refresh(Request())
    assert send(http, "GET", f"/v1/{KEY}", token=made.token)[0] == 200
    assert send(http, "GET", f"/v1/{KEY}")[1]["error"]["status"] == "UNAUTHENTICATED"
    assert send(http, "POST", f"/v1/{KEY}:encrypt", b"{}", token=made.token)[0] == 403
    calls = admin.ListCalls(admin_pb2.ListCallsRequest(operation="GetToken")).calls
    assert [(call.caller, call.outcome) for call in calls] == [(email_of("app"), "OK")]
    assert made.token not in str(admin.ListCalls(admin_pb2.ListCallsRequest()))
    request = admin_pb2.AdvanceClockRequest()
    request.by.seconds = 3600
    admin.AdvanceClock(request)
    assert send(http, "GET", f"/v1/{KEY}", token=made.token)[0] == 401


def test_token_is_refused_in_oauths_form(http: Running) -> None:
    admin = AdminStub(http.channel)
    assertion = signed(put_account(admin, "app", pair=1))[0][1].removeprefix("Bearer ")
    grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
    forged = assertion.rpartition(".")[0] + ".AAAA"
    cases = [
        ("grant_type=password", "unsupported_grant_type"),
        (grant + forged, "invalid_grant"),
        (grant, "invalid_grant"),
    ]
    for body, code in cases:
        status, answer = send(http, "POST", "/token", body.encode())
        assert (status, answer["error"]) == (400, code)
    assert send(http, "POST", "/token", (grant + assertion).encode())[1]["token_type"] == "Bearer"
    admin.RemoveServiceAccount(admin_pb2.RemoveServiceAccountRequest(email=email_of("app")))
    assert send(http, "POST", "/token", (grant + assertion).encode())[1]["error"] == "invalid_grant"
    admin.AddFault(admin_pb2.Fault(kind="throttle", provider="gcp"))
    assert send(http, "POST", "/token", b"")[0] == 429
    status, answer = send(http, "GET", f"/v1/{RING}")
    assert (status, answer["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
