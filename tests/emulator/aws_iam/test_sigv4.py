"""Signature Version 4: AWS's published examples, and botocore's signer as the peer."""

import datetime
from unittest.mock import patch
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from kms_emulator.wire.aws import sigv4
from kms_emulator.wire.aws.sigv4 import IncompleteError
from kms_emulator.wire.http.message import HttpRequest

TIME = "20150830T123600Z"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = {"host": "example.amazonaws.com", "x-amz-date": TIME}


def header(signed: str, service: str = "service", signature: str = "0" * 64) -> str:
    scope = f"20150830/us-east-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={signed}, Signature={signature}"


def signature(request: HttpRequest, secret: str = SECRET) -> str:
    authorization = sigv4.read_authorization(request)
    assert authorization is not None
    text = sigv4.string_to_sign(sigv4.canonical_request(request, authorization), authorization)
    return sigv4.sign(secret, text, authorization)


# AWS's test suite for Signature Version 4 (aws-sig-v4-test-suite: AKIDEXAMPLE, us-east-1, service "service").
SUITE = [
    ("get-vanilla", "GET", "/", "", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        "",
        {"my-header1": " value1", "my-header2": ' "a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    ("post-vanilla", "POST", "/", "", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "post-x-www-form-urlencoded",
        "POST",
        "/",
        "",
        {"content-type": "application/x-www-form-urlencoded"},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
]


@pytest.mark.parametrize(("name", "method", "path", "query", "more", "body", "expected"), SUITE, ids=lambda v: str(v))
def test_suite_of_aws(
    name: str, method: str, path: str, query: str, more: dict[str, str], body: bytes, expected: str
) -> None:
    headers = {**HOST, **more}
    signed = ";".join(sorted(headers))
    request = HttpRequest(method, path, query, {**headers, "authorization": header(signed)}, body)
    assert signature(request) == expected


def test_worked_example_of_the_iam_user_guide() -> None:
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": "iam.amazonaws.com",
        "x-amz-date": TIME,
        "authorization": header("content-type;host;x-amz-date", "iam"),
    }
    request = HttpRequest("GET", "/", "Action=ListUsers&Version=2010-05-08", headers, b"")
    authorization = sigv4.read_authorization(request)
    assert authorization is not None
    canonical = sigv4.canonical_request(request, authorization)
    text = sigv4.string_to_sign(canonical, authorization)
    assert text.endswith("f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59")
    assert signature(request) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8).map(lambda name: f"x-{name}")
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.strip)
segments = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/."), max_size=6), max_size=4)
queries = st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=4, unique_by=lambda pair: pair[0])


def moment() -> datetime.datetime:
    return datetime.datetime(2015, 8, 30, 12, 36, 0, tzinfo=datetime.UTC)


def as_sent(signed: AWSRequest, body: bytes) -> HttpRequest:
    """Return the request that botocore signed, as a server sees it."""
    prepared = signed.prepare()
    rest = prepared.url.removeprefix("http://127.0.0.1:8001")
    path, _, query = rest.partition("?")
    headers = {name.lower(): str(value) for name, value in prepared.headers.items()}
    return HttpRequest(prepared.method, path or "/", query, {"host": "127.0.0.1:8001", **headers}, body)


@given(
    method=st.sampled_from(["GET", "POST"]),
    path=segments,
    query=queries,
    headers=st.dictionaries(names, values, max_size=4),
    body=st.binary(max_size=40),
    token=st.sampled_from([None, "token/+="]),
)
def test_botocore_signs_what_is_verified(
    method: str,
    path: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    token: str | None,
) -> None:
    location = "/" + "/".join(quote(part, safe="") for part in path)
    encoded = urlencode([(name, value) for name, value in query if name], quote_via=quote)
    url = f"http://127.0.0.1:8001{location}" + (f"?{encoded}" if encoded else "")
    request = AWSRequest(method, url, headers=headers, data=body)
    with patch("botocore.auth.get_current_datetime", moment):
        SigV4Auth(Credentials("AKID", SECRET, token), "kms", "eu-west-1").add_auth(request)
    sent = as_sent(request, body)
    authorization = sigv4.read_authorization(sent)
    assert authorization is not None
    assert (authorization.access_key_id, authorization.token) == ("AKID", token or "")
    assert signature(sent) == authorization.signature
    assert sigv4.signed_for(sent) == ("eu-west-1", "kms")
    other = HttpRequest(sent.method, sent.path, sent.query, sent.headers, body + b"x")
    assert signature(other) != authorization.signature
    assert signature(sent, "another secret") != authorization.signature


@given(query=queries, token=st.sampled_from([None, "token/+="]))
def test_botocore_presigns_what_is_verified(query: list[tuple[str, str]], token: str | None) -> None:
    encoded = urlencode([(name, value) for name, value in query if name], quote_via=quote)
    request = AWSRequest("GET", "http://127.0.0.1:8001/" + (f"?{encoded}" if encoded else ""))
    with patch("botocore.auth.get_current_datetime", moment):
        SigV4QueryAuth(Credentials("AKID", SECRET, token), "sts", "eu-west-1", expires=60).add_auth(request)
    sent = as_sent(request, b"")
    authorization = sigv4.read_authorization(sent)
    assert authorization is not None
    assert (authorization.valid_s, authorization.token) == (60, token or "")
    assert signature(sent) == authorization.signature


INCOMPLETE = [
    ("Basic dXNlcjpwYXNz", "Unsupported AWS 'algorithm': 'Basic'."),
    ("AWS4-HMAC-SHA256", "Authorization header requires 'Credential' parameter."),
    ("AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/kms/aws4_request", "requires 'Signature' parameter."),
    (
        "AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=host, Signature=0",
        "must have exactly 5 slash-delimited elements",
    ),
]


@pytest.mark.parametrize(("text", "expected"), INCOMPLETE)
def test_incomplete_header_says_what_is_missing(text: str, expected: str) -> None:
    request = HttpRequest("POST", "/", "", {**HOST, "authorization": text}, b"")
    with pytest.raises(IncompleteError, match=r".*") as caught:
        sigv4.read_authorization(request)
    assert expected in str(caught.value)


@given(st.text())
def test_no_header_breaks_it(text: str) -> None:
    request = HttpRequest("POST", "/", text, {**HOST, "authorization": text}, b"")
    sigv4.signed_for(request)
    try:
        sigv4.read_authorization(request)
    except IncompleteError:
        pass
    else:
        assert not text


@given(st.integers(0, 4_102_444_800))
def test_times_are_read_as_written(seconds: int) -> None:
    assert sigv4.seconds_of(sigv4.time_of(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "20150830", "20151330T123600Z", "20150830T253600Z", "2015-08-30T12:36:00Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert sigv4.seconds_of(text) is None
