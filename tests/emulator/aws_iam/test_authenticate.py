"""Who calls, over HTTP: known keys are verified, unknown ones pass for root or are refused, revoked ones never pass."""

import datetime
import http.client
import json
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPMessage
from pathlib import Path
from unittest.mock import patch

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kms_emulator.calls import CallFilter
from tests.emulator.aws_iam.world import FOR_ROOT, REGION, World, access_key, refused, secret, statement
from tests.emulator.running import process

ALL = statement("kms:*")
HOUR_NS = 3_600_000_000_000


def ago(world: World, seconds: float) -> datetime.datetime:
    """Return the time that was so long ago, by the clock that signatures are held to."""
    now_s = world.core.clock.host_ns() / 1_000_000_000
    return datetime.datetime.fromtimestamp(now_s - seconds, datetime.UTC)


def send(
    world: World,
    *,
    name: str = "alice",
    secret_key: str = "",
    service: str = "kms",
    region: str = REGION,
    late_s: float = 0,
    change: Mapping[str, str | None] | None = None,
    host: str | None = None,
    headers: Mapping[str, str] | None = None,
    signer: type[SigV4Auth] = SigV4Auth,
) -> tuple[int, dict[str, str]]:
    """Send a ListKeys signed by botocore, with headers changed after signing; return status and answer."""
    assert world.url is not None
    netloc = world.url.removeprefix("http://")
    named = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1", **(headers or {})}
    if host is not None:
        named["Host"] = host
    request = AWSRequest("POST", f"http://{netloc}/", headers=named, data=b"{}")
    credentials = Credentials(access_key(name), secret_key or secret(name))
    with patch("botocore.auth.get_current_datetime", lambda: ago(world, late_s)):
        signer(credentials, service, region).add_auth(request)
    sent = {key: value for key, value in request.headers.items() if (change or {}).get(key, value) is not None}
    sent |= {key: value for key, value in (change or {}).items() if value is not None}
    connection = http.client.HTTPConnection(netloc, timeout=30)
    try:
        connection.request("POST", "/", b"{}", sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def alice(world: World) -> World:
    world.user("alice", ALL)
    return world


def test_right_secret_is_let_in(alice: World) -> None:
    assert send(alice)[0] == 200
    assert alice.kms("alice").list_keys()["Keys"] == []


def test_wrong_secret_is_refused_with_what_should_have_been_signed(alice: World) -> None:
    status, answer = send(alice, secret_key="wrong")
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"].startswith(
        "The request signature we calculated does not match the signature you provided."
    )
    assert "The Canonical String for this request should have been\n'POST\n/\n" in answer["message"]
    assert secret("alice") not in answer["message"]
    calls = list(alice.core.calls.select(CallFilter(outcome="InvalidSignatureException")))
    assert [call.operation for call in calls] == ["ListKeys"]


def test_host_is_taken_as_it_was_signed_with_and_without_its_port(alice: World) -> None:
    assert alice.url is not None
    netloc = alice.url.removeprefix("http://")
    assert send(alice, host=netloc)[0] == 200
    assert send(alice, host=netloc.partition(":")[0])[0] == 200
    assert send(alice, host="kms.us-east-1.amazonaws.com")[0] == 200


def test_changed_header_or_body_is_refused(alice: World) -> None:
    assert send(alice, change={"X-Amz-Target": "TrentService.ListAliases"})[1]["__type"] == "InvalidSignatureException"


class Signing(SigV4Auth):
    """Signs without some headers, over what it signs."""

    unsigned: frozenset[str] = frozenset()

    def headers_to_sign(self, request: AWSRequest) -> HTTPMessage:
        found = super().headers_to_sign(request)
        for name in self.unsigned:
            del found[name]
        return found


UNSIGNED = [
    ("host", "'Host' or ':authority'"),
    ("x-amz-date", "'X-Amz-Date' or 'Date'"),
    ("x-amz-target", "'X-Amz-Target'"),
    ("x-amz-other", "'X-Amz-Other'"),
]


@pytest.mark.parametrize(("name", "named"), UNSIGNED)
def test_host_date_and_headers_of_aws_must_be_signed(
    alice: World, monkeypatch: pytest.MonkeyPatch, name: str, named: str
) -> None:
    monkeypatch.setattr(Signing, "unsigned", frozenset({name}))
    status, answer = send(alice, headers={"X-Amz-Other": "1"}, signer=Signing)
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"] == f"{named} must be a 'SignedHeader' in the AWS Authorization."


def test_other_headers_may_be_added_after_signing(alice: World) -> None:
    assert send(alice, change={"X-Amzn-Trace-Id": "Root=1", "X-Forwarded-For": "10.0.0.1"})[0] == 200
    answer = send(alice, change={"X-Amz-Added": "1"})[1]
    assert answer["message"] == "'X-Amz-Added' must be a 'SignedHeader' in the AWS Authorization."


LATE = [
    (299, None),
    (-299, None),
    (310, "Signature expired: "),
    (-310, "Signature not yet current: "),
]


@pytest.mark.parametrize(("late_s", "expected"), LATE)
def test_skew_of_five_minutes(
    alice: World, monkeypatch: pytest.MonkeyPatch, late_s: float, expected: str | None
) -> None:
    now_ns = alice.core.clock.host_ns()
    monkeypatch.setattr(alice.core.clock, "_host_ns", lambda: now_ns)
    status, answer = send(alice, late_s=late_s)
    if expected is None:
        assert status == 200
    else:
        assert (status, answer["__type"]) == (400, "InvalidSignatureException")
        assert answer["message"].startswith(expected)
        assert "5 min.)" in answer["message"]


@pytest.mark.parametrize("frozen", [False, True])
def test_moved_or_frozen_clock_locks_nobody_out(alice: World, frozen: bool) -> None:
    clock = alice.core.clock
    alice.core.set_clock(clock.at(clock.host_ns() + 400 * 24 * HOUR_NS, frozen=frozen))
    assert send(alice)[0] == 200
    assert send(alice, late_s=400)[1]["__type"] == "InvalidSignatureException"


def test_scope_must_be_this_service_a_region_and_the_day(alice: World) -> None:
    service = send(alice, service="s3")[1]
    assert (service["__type"], service["message"]) == (
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'kms'.",
    )
    region = send(alice, region="nowhere")[1]
    assert region["message"] == "Credential should be scoped to a valid region."
    date = send(alice, change={"X-Amz-Date": "20150830T123600Z"})[1]
    assert date["message"].startswith("Date in Credential scope does not match YYYYMMDD")


def test_anything_is_accepted_from_those_whom_nobody_knows(alice: World) -> None:
    assert send(alice, name="stranger", secret_key="anything")[0] == 200
    assert send(alice, change={"Authorization": None})[0] == 200
    assert send(alice, change={"Authorization": "nonsense"})[0] == 200
    assert send(alice, name="stranger", secret_key="anything", late_s=86_400)[0] == 200


def test_known_key_with_half_a_signature_is_refused_and_not_taken_for_nobody(alice: World) -> None:
    half = f"AWS4-HMAC-SHA256 Credential={access_key('alice')}/20150830/us-east-1/kms/aws4_request, SignedHeaders=host"
    status, answer = send(alice, change={"Authorization": half})
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")
    assert answer["message"].startswith("Authorization header requires 'Signature' parameter.")
    foreign = half.replace(access_key("alice"), "AKIASTRANGER")
    assert send(alice, change={"Authorization": foreign})[0] == 200


STRICT = [
    ({"Authorization": None}, "MissingAuthenticationTokenException", "Request is missing Authentication Token"),
    ({"Authorization": "nonsense"}, "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'nonsense'."),
]


@pytest.mark.parametrize(("change", "code", "message"), STRICT)
def test_strict_refuses_what_is_not_signed(
    alice: World, change: dict[str, str | None], code: str, message: str
) -> None:
    alice.core.strict_auth = True
    status, answer = send(alice, change=change)
    assert (status, answer) == (400, {"__type": code, "message": message})


def test_strict_refuses_unknown_keys_and_lets_known_ones_in(alice: World) -> None:
    alice.core.strict_auth = True
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        alice.kms().list_keys()
    assert alice.kms("alice").list_keys()["Keys"] == []


def test_revoked_key_is_refused_and_never_taken_for_root(alice: World) -> None:
    identities = alice.core.identities
    credential = identities.credential(access_key("alice"))
    assert credential is not None
    identities.revoke(credential)
    with refused("UnrecognizedClientException"):
        alice.kms("alice").list_keys()
    identities.issue(replace(credential, active=True))
    assert alice.kms("alice").list_keys()["Keys"] == []
    identities.remove(credential.identity)
    with refused("UnrecognizedClientException"):
        alice.kms("alice").list_keys()


def test_token_that_does_not_belong_to_the_key_is_refused(alice: World) -> None:
    client = alice.kms(
        aws_access_key_id=access_key("alice"), aws_secret_access_key=secret("alice"), aws_session_token="x"
    )
    with refused("UnrecognizedClientException"):
        client.list_keys()


def test_region_is_what_the_request_was_signed_for(world: World) -> None:
    world.user("alice", ALL)
    there = world.kms("alice", region="eu-central-1")
    arn = there.create_key()["KeyMetadata"]["Arn"]
    assert arn.startswith("arn:aws:kms:eu-central-1:")
    with refused("NotFoundException"):
        world.kms("alice").describe_key(KeyId=arn)


def test_presigned_identity_request_is_verified(alice: World) -> None:
    url = f"{alice.url}/?Action=GetCallerIdentity&Version=2011-06-15"
    statuses = []
    for key, late_s in ((secret("alice"), 0.0), ("wrong", 0.0), (secret("alice"), 120.0)):
        request = AWSRequest("GET", url)
        with patch("botocore.auth.get_current_datetime", lambda late_s=late_s: ago(alice, late_s)):
            SigV4QueryAuth(Credentials(access_key("alice"), key), "sts", REGION, expires=60).add_auth(request)
        prepared = request.prepare()
        netloc, _, rest = prepared.url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(netloc, timeout=30)
        connection.request("GET", f"/{rest}")
        statuses.append(connection.getresponse().status)
        connection.close()
    assert statuses == [200, 403, 403]


def test_call_log_names_the_caller(world: World) -> None:
    arn = world.user("alice", ALL)
    key = world.key(FOR_ROOT)
    world.kms("alice").describe_key(KeyId=key)
    call = list(world.core.calls.select(CallFilter(operation="DescribeKey")))[-1]
    assert (call.caller, call.access_key_id, call.outcome) == (arn, access_key("alice"), "OK")


def test_strict_authentication_of_the_real_program(tmp_path: Path) -> None:
    with process(tmp_path, "--http-port", "0", "--strict-auth") as running:
        assert running.ready["aws"] is not None
        client = boto3.client(
            "kms",
            endpoint_url=running.ready["aws"],
            region_name=REGION,
            aws_access_key_id="AKIAUNKNOWN",
            aws_secret_access_key="anything",
        )
        with refused("UnrecognizedClientException"):
            client.list_keys()
