"""Admin over HTTP: every page and method, JSON in and out, and what is refused; the same as over gRPC."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.embedded import KmsEmulator

Ask = Callable[..., tuple[int, Any]]
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
SECRET = b"a plaintext that nobody may see"


@pytest.fixture
def ask(kms_emulator: KmsEmulator) -> Ask:
    """Send a request; returns the status and the JSON of the answer, or its text."""

    def send(
        method: str, path: str, body: object = None, headers: dict[str, str] | None = None, raw: bytes | None = None
    ) -> tuple[int, Any]:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        url = f"{kms_emulator.aws_endpoint}/_emulator/{path}"
        request = urllib.request.Request(url, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                text = reply.read().decode()
                is_json = reply.headers["content-type"] == "application/json"
                return reply.status, json.loads(text) if is_json else text
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return send


def test_health_and_info(ask: Ask) -> None:
    status, health = ask("GET", "health")
    assert (status, health["status"], health["services"]) == (200, "ok", ["aws", "azure", "gcp"])
    assert ask("GET", "info")[1]["key_count"] == 0


def test_clock(ask: Ask) -> None:
    frozen = ask("PUT", "clock", {"now": "2030-01-01T00:00:00Z", "frozen": True})
    assert frozen[0] == 200
    assert (frozen[1]["now"], frozen[1]["frozen"]) == ("2030-01-01T00:00:00Z", True)
    for by, now in (
        (60, "2030-01-01T00:01:00Z"),
        (0.5, "2030-01-01T00:01:00.500Z"),
        ("30d", "2030-01-31T00:01:00.500Z"),
    ):
        assert ask("POST", "clock/advance", {"by": by})[1]["now"] == now
    assert ask("GET", "clock")[1]["now"] == "2030-01-31T00:01:00.500Z"
    status, answer = ask("PUT", "clock")
    assert (status, answer["frozen"], answer["offset"]) == (200, False, 0.0)


def test_calls_and_metrics_never_show_plaintext(ask: Ask, kms_emulator: KmsEmulator) -> None:
    client = kms_emulator.boto3_client("kms")
    key_id = client.create_key()["KeyMetadata"]["KeyId"]
    sealed = client.encrypt(KeyId=key_id, Plaintext=SECRET)["CiphertextBlob"]
    client.decrypt(CiphertextBlob=sealed)
    kms_emulator.faults.add("throttle", operation="ListKeys", count=1)
    client.list_keys()
    answer = ask("GET", "calls?operation=Decrypt&limit=1")[1]
    [call] = answer["calls"]
    assert (call["number"], call["plaintext_bytes"], call["access_key_id"], answer["total"]) == (3, 31, "test", 5)
    everything = json.dumps([ask("GET", page)[1] for page in ("calls", "state", "metrics")])
    assert SECRET.decode() not in everything
    status, text = ask("GET", "metrics")
    lines = text.splitlines()
    assert status == 200
    assert 'kms_emulator_calls_total{provider="aws",operation="Decrypt",outcome="OK"} 1' in lines
    assert 'kms_emulator_calls_total{provider="aws",operation="ListKeys",outcome="ThrottlingException"} 1' in lines
    assert 'kms_emulator_calls_with_fault_total{provider="aws"} 1' in lines
    assert 'kms_emulator_keys{provider="aws"} 1' in lines
    assert "# TYPE kms_emulator_calls_total counter" in lines
    assert kms_emulator.calls()[0].key.endswith(key_id)


def test_metrics_escape_what_would_break_a_line(ask: Ask, kms_emulator: KmsEmulator) -> None:
    kms_emulator.faults.add("error", code='a"b\\c\nd', count=1)
    with pytest.raises(Exception, match="a"):
        kms_emulator.boto3_client("kms").list_keys()
    assert r'outcome="a\"b\\c\nd"} 1' in ask("GET", "metrics")[1]


def test_faults(ask: Ask, kms_emulator: KmsEmulator) -> None:
    status, made = ask("POST", "faults", {"kind": "latency", "delay": "1s", "first": 2, "networks": []})
    assert (status, made["number"], made["delay"], made["first"]) == (201, 1, 1.0, 2)
    assert ask("POST", "faults", {"kind": "throttle", "retry_after_s": 0})[1]["retry_after_s"] == 0
    assert [fault["number"] for fault in ask("GET", "faults")[1]["faults"]] == [1, 2]
    assert ask("DELETE", "faults/1") == (200, {"removed": 1})
    assert ask("DELETE", "faults/1")[0] == 404
    assert ask("DELETE", "faults/x")[0] == 404
    assert ask("DELETE", "faults/0")[0] == 404
    assert ask("DELETE", "faults") == (200, {"removed": 1})
    assert kms_emulator.faults.list() == []


def test_state_has_everything_but_material_and_secrets(ask: Ask, kms_emulator: KmsEmulator) -> None:
    client = kms_emulator.boto3_client("kms")
    key_id = client.create_key(Description="mine")["KeyMetadata"]["KeyId"]
    client.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    user = {"name": "alice", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "the secret of alice"}
    ask("POST", "users", user)
    ask("POST", "faults", {"kind": "close", "provider": "gcp"})
    application = kms_emulator.azure.put_application("get", secret="the secret of an application")
    core = kms_emulator._started_core()
    secret = next(iter(core.registry._materials.values())).to_stored()
    state = ask("GET", "state")[1]
    [key] = state["keys"]
    assert (key["name"], key["aliases"]) == (f"us-east-1/{key_id}", ["us-east-1/alias/app"])
    assert (key["attributes"]["description"], [version["number"] for version in key["versions"]]) == ("mine", [1])
    assert [found["name"] for found in state["users"]] == ["alice"]
    assert len(state["faults"]) == 1
    assert [found["client_id"] for found in state["applications"]] == [application.client_id]
    assert [(found["name"], found["access"]) for found in state["vaults"]] == [
        ("local-vault", {application.client_id: "get"})
    ]
    with kms_emulator.azure.key_client() as keys:
        keys.create_ec_key("cmk")
    [azure] = [found for found in ask("GET", "state")[1]["keys"] if found["provider"] == "azure"]
    assert (azure["name"], azure["kind"]) == ("local-vault/cmk", "ec-p256")
    text = json.dumps(ask("GET", "state")[1])
    assert "the secret of an application" not in text
    assert secret.hex() not in text
    assert "the secret of alice" not in text
    with grpc.insecure_channel(kms_emulator.grpc_endpoint) as channel:
        same = AdminStub(channel).GetState(admin_pb2.GetStateRequest())
    assert [found.uid for found in same.keys] == [key["uid"], azure["uid"]]


def test_users_can_call_and_removed_ones_cannot(ask: Ask, kms_emulator: KmsEmulator) -> None:
    status, made = ask("POST", "users", {"name": "alice"})
    assert status == 201
    [key_id], secret = made["access_key_ids"], made["secret_access_key"]
    theirs = kms_emulator.boto3_client("kms", aws_access_key_id=key_id, aws_secret_access_key=secret)
    with pytest.raises(theirs.exceptions.ClientError, match="AccessDeniedException"):
        theirs.create_key()
    policy = ALL
    changed = ask("POST", "users", {"name": "alice", "policy": policy})[1]
    assert ask("POST", "users", {"name": "alice"})[1]["policy"] == changed["policy"] == json.dumps(policy)
    assert (changed["access_key_ids"], changed["secret_access_key"]) == ([key_id], "")
    assert theirs.create_key()["KeyMetadata"]["Enabled"]
    assert kms_emulator.calls(outcome="OK")[-1].caller == made["arn"]
    assert [found["access_key_ids"] for found in ask("GET", "users")[1]["users"]] == [[key_id]]
    assert ask("DELETE", "users/alice")[0] == 200
    assert ask("DELETE", "users/alice")[0] == 404
    with pytest.raises(theirs.exceptions.ClientError, match="UnrecognizedClientException"):
        theirs.list_keys()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": "a b"}, "name must match"),
        ({"name": "a", "policy": "{"}, "policy: the policy is not valid JSON"),
        ({"name": "a", "access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "belong together"),
        ({"name": "a", "access_key_id": "short", "secret_access_key": "s"}, "access_key_id must match"),
        ({"name": "a", "access_key_id": "AKIATAKENTAKENTAKEN0", "secret_access_key": "s"}, "another user's"),
    ],
)
def test_wrong_users_are_refused(ask: Ask, body: dict[str, str], text: str) -> None:
    ask("POST", "users", {"name": "b", "access_key_id": "AKIATAKENTAKENTAKEN0", "secret_access_key": "s"})
    status, answer = ask("POST", "users", body)
    assert (status, text in answer["error"]["message"]) == (400, True), answer
    assert [user["name"] for user in ask("GET", "users")[1]["users"]] == ["b"]


def test_reset(ask: Ask, kms_emulator: KmsEmulator) -> None:
    kms_emulator.boto3_client("kms").create_key()
    ask("POST", "users", {"name": "alice"})
    kms_emulator.faults.add("close", provider="gcp")
    kms_emulator.clock.advance(days=1)
    assert ask("POST", "reset") == (200, {})
    state = ask("GET", "state")[1]
    assert (state["keys"], state["users"], state["faults"], state["calls"]) == ([], [], [], 0)
    assert state["clock"]["offset"] == 0.0


@pytest.mark.parametrize(
    ("method", "path", "raw", "status", "text"),
    [
        ("GET", "nothing", None, 404, "calls, clock, "),
        ("GET", "", None, 404, "there is no"),
        ("GET", "faults/1/2", None, 405, "takes DELETE"),
        ("POST", "health", b"", 405, "takes GET"),
        ("POST", "faults", b"{", 400, "not JSON"),
        ("POST", "faults", b"[]", 400, "must be a JSON object"),
        ("POST", "faults", b"\xff", 400, "not JSON"),
        ("POST", "faults", b"[" * 100_000, 400, "not JSON"),
        ("POST", "faults", b'{"kind": "close", "colour": 1}', 400, "colour"),
        ("POST", "faults", b'{"kind": "earthquake"}', 400, "kind must be one of"),
        ("POST", "faults", b'{"kind": "close", "operation": "Decrpyt"}', 400, "did you mean Decrypt"),
        ("POST", "faults", b'{"kind": "latency", "delay": true}', 400, "delay"),
        ("POST", "faults", b'{"kind": "latency", "delay": 1e300}', 400, "delay"),
        ("POST", "faults", b'{"kind": "latency", "delay": 601}', 400, "0 to 600 seconds"),
        ("POST", "faults", b'{"kind": "close", "number": 5}', 400, "set by the server"),
        ("POST", "clock/advance", b'{"by": -1}', 400, "zero or more"),
        ("POST", "clock/advance", b'{"by": "a while"}', 400, "by: 'a while' is not a length of time such as 90s, 15m"),
        ("PUT", "clock", b'{"now": "tomorrow"}', 400, "now: 'tomorrow' is not a time such as 2030"),
        ("GET", "calls?limit=x", None, 400, "limit"),
        ("GET", "calls?limit=10001", None, 400, "limit must be"),
        ("GET", "calls?colour=red", None, 400, "colour"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(
    ask: Ask, method: str, path: str, raw: bytes | None, status: int, text: str
) -> None:
    found, answer = ask(method, path, raw=raw)
    assert (found, text in answer["error"]["message"]) == (status, True), answer
    state = ask("GET", "state")[1]
    assert (state["faults"], state["clock"]["offset"], state["clock"]["frozen"]) == ([], 0.0, False)


def test_web_pages_are_refused(ask: Ask, kms_emulator: KmsEmulator) -> None:
    kms_emulator.boto3_client("kms").create_key()
    status, answer = ask("POST", "reset", headers={"Origin": "http://evil.example"})
    assert (status, answer["error"]["message"]) == (403, "admin takes no requests of web pages")
    assert len(kms_emulator.state()["keys"]) == 1
