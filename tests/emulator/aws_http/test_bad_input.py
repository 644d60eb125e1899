"""What is wrong with a request is said in AWS's words, never with a traceback, and the server goes on."""

import base64
import json
import socket
from typing import TYPE_CHECKING

import pytest

from kms_emulator.calls import CallFilter
from kms_emulator.model.keys import KeyKind
from tests.emulator.aws_http.clients import TIMEOUT_S, post, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

BODY_BYTES_MAX = 1 << 20
BLOB = base64.b64encode(b"x" * 80).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"KeyId":' + b"[" * 100_000,
        b'{"KeyId":1}',
        b'{"KeyId":true}',
        b'{"KeyId":{"a":1}}',
        b'{"KeyId":["a"]}',
        b'{"KeyId":"a\\ud800"}',
        b'{"Plaintext":7}',
        b'{"Plaintext":"not base64!"}',
        b'{"Plaintext":"YQ"}',
        b'{"EncryptionContext":"a=b"}',
        b'{"EncryptionContext":["a"]}',
        b'{"EncryptionContext":{"a":1}}',
        b'{"EncryptionContext":{"a":null}}',
        b'{"GrantTokens":"a"}',
        b'{"GrantTokens":[1]}',
        b'{"DryRun":"yes"}',
        b'{"DryRun":1}',
    ],
)
def test_what_is_no_document_of_the_right_types(url: str, body: bytes) -> None:
    answer = post(url, "TrentService.Encrypt", body)
    assert (answer.status, answer.json["__type"]) == (400, "SerializationException")
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36


@pytest.mark.parametrize("number", [b"1.5", b'"7"', b"true", b"1e400", b"NaN", b"99999999999999999999", b"{}"])
def test_what_is_no_integer(url: str, number: bytes) -> None:
    answer = post(url, "TrentService.ListKeys", b'{"Limit":' + number + b"}")
    assert (answer.status, answer.json["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("time", [b"-1", b'"2026"', b"NaN", b"1e30", b"true", b"[]"])
def test_what_is_no_time(url: str, time: bytes) -> None:
    answer = post(url, "TrentService.ImportKeyMaterial", b'{"ValidTo":' + time + b"}")
    assert (answer.status, answer.json["__type"]) == (400, "SerializationException")


def test_null_and_unknown_members_are_passed_over(url: str) -> None:
    body = json.dumps({"Limit": None, "Unknown": {"deep": [1]}, "Marker": None}).encode()
    assert post(url, "TrentService.ListKeys", body).json == {"Keys": [], "Truncated": False}


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/", None),
        ("POST", "/", ""),
        ("POST", "/", "TrentService"),
        ("POST", "/", "TrentService."),
        ("POST", "/", "TrentService.Explode"),
        ("POST", "/", "TrentService.encrypt"),
        ("POST", "/", "DynamoDB_20120810.ListKeys"),
        ("POST", "/", ".ListKeys"),
        ("POST", "/keys", "TrentService.ListKeys"),
        ("PUT", "/", "TrentService.ListKeys"),
        ("DELETE", "/", "TrentService.ListKeys"),
        ("GET", "/", "TrentService.ListKeys"),
        ("GET", "/favicon.ico", None),
    ],
)
def test_what_is_no_operation(url: str, method: str, path: str, target: str | None) -> None:
    answer = post(url, target, b"{}", method=method, path=path)
    assert (answer.status, answer.json) == (404, {"__type": "UnknownOperationException"})


def test_body_has_a_limit(url: str) -> None:
    padded = b'{"KeyId":"' + b"a" * (BODY_BYTES_MAX - 12) + b'"}'
    assert len(padded) == BODY_BYTES_MAX
    assert post(url, "TrentService.DescribeKey", padded).json["__type"] == "ValidationException"
    answer = post(url, "TrentService.DescribeKey", padded + b" ")
    assert (answer.status, answer.json["__type"]) == (413, "RequestEntityTooLargeException")
    assert answer.headers["connection"] == "close"


def test_several_errors_are_told_at_once(url: str) -> None:
    body = {"KeyId": "", "EncryptionAlgorithm": "ROT13", "GrantTokens": ["", "b"]}
    answer = post(url, "TrentService.Encrypt", json.dumps(body).encode())
    algorithms = "[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]"
    assert (answer.status, answer.json["__type"]) == (400, "ValidationException")
    assert answer.json["message"] == (
        "4 validation errors detected: "
        "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        "Value null at 'plaintext' failed to satisfy constraint: Member must not be null; "
        "Value '[, b]' at 'grantTokens' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]; "
        "Value 'ROT13' at 'encryptionAlgorithm' failed to satisfy constraint: "
        f"Member must satisfy enum value set: {algorithms}"
    )


def test_members_of_members_are_held_too(raw_kms: "KMSClient") -> None:
    with refused(
        "ValidationException",
        "1 validation error detected: Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
    ):
        raw_kms.create_key(Tags=[{"TagKey": "a", "TagValue": ""}, {"TagKey": "", "TagValue": "b"}])
    with refused("ValidationException") as seen:
        raw_kms.create_key(Tags=[{"TagKey": "a"}])  # type: ignore[typeddict-item]
    assert "Value null at 'tags.1.member.tagValue'" in seen.message


def test_plaintexts_are_not_repeated(raw_kms: "KMSClient") -> None:
    key_id = raw_kms.create_key()["KeyMetadata"]["KeyId"]
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: "
        "Member must have length less than or equal to 4096",
    ):
        raw_kms.encrypt(KeyId=key_id, Plaintext=b"s" * 4097)


def test_ciphertexts_that_are_none_of_ours(kms: "KMSClient", running: Running) -> None:
    one, two = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    sealed = kms.encrypt(KeyId=one, Plaintext=b"secret", EncryptionContext={"a": "b"})["CiphertextBlob"]
    for wrong in (sealed[:-1], sealed[:20], b"x", b"x" * 200, sealed + b"x", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with refused("InvalidCiphertextException", ""):
            kms.decrypt(CiphertextBlob=wrong, EncryptionContext={"a": "b"})
    with refused("InvalidCiphertextException", ""):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "B"})
    with refused("IncorrectKeyException"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "b"}, KeyId=two)
    assert [call.outcome for call in running.core.calls.select(CallFilter())][-2:] == [
        "InvalidCiphertextException",
        "IncorrectKeyException",
    ]


def test_ciphertexts_of_other_providers_are_none_of_ours(kms: "KMSClient", running: Running) -> None:
    core, now_ns = running.core, running.core.now_ns()
    for realm in ("azure", "gcp"):
        registry = core.registry
        key = registry.add_version(registry.create(realm, "name", KeyKind.AES_256, now_ns), registry.new_aes(), now_ns)
        with refused("InvalidCiphertextException", ""):
            kms.decrypt(CiphertextBlob=registry.seal(key, 1, b"secret", b""))


def test_what_is_refused_is_in_the_log(url: str, running: Running) -> None:
    post(url, "TrentService.Encrypt", b"{")
    post(url, "TrentService.Nothing", b"{}")
    post(url, "TrentService.Encrypt", b"{}")
    assert [(call.operation, call.outcome) for call in running.core.calls.select(CallFilter())] == [
        ("Encrypt", "SerializationException"),
        ("", "UnknownOperationException"),
        ("Encrypt", "ValidationException"),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_does_not_end_the_server(url: str, sent: bytes) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    assert b"Traceback" not in answer
    assert post(url, "TrentService.ListKeys", b"{}").status == 200


def test_health(url: str) -> None:
    answer = post(url, None, b"", method="GET", path="/health")
    assert (answer.status, answer.json["status"]) == (200, "ok")


def test_a_fault_of_the_emulator_shows_nothing(
    url: str, running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = str(1234)

    def fail(*_: object) -> None:
        raise RuntimeError(f"the secret is {secret}")

    monkeypatch.setattr(running.core.registry, "keys", fail)
    answer = post(url, "TrentService.ListKeys", b"{}")
    assert (answer.status, answer.json["__type"]) == (500, "InternalError")
    assert secret.encode() not in answer.body
    assert b"File" not in answer.body
    assert secret not in caplog.text
    assert "list_keys" in caplog.text
    monkeypatch.undo()
    assert post(url, "TrentService.ListKeys", b"{}").status == 200
