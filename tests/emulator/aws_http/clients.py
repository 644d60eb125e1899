"""Clients of the HTTP side for tests: boto3 as everybody has it, and requests made by hand."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

TIMEOUT_S = 30
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/{region}/kms/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00"
)


def client(url: str, region: str = "us-east-1", **options: Any) -> "KMSClient":
    """Return a boto3 client of an endpoint; it checks no parameters, so that the emulator has to."""
    config = Config(parameter_validation=options.pop("parameter_validation", True), retries={"max_attempts": 0})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} | options
    return boto3.client("kms", region_name=region, endpoint_url=url, config=config, **keys)


class Refused:
    """What `refused` saw."""

    code: str
    message: str
    status: int


@contextmanager
def refused(code: str, message: str | None = None) -> Iterator[Refused]:
    """Expect a ClientError with that code, and that message if given; `.` and `*` in it are literal."""
    seen = Refused()
    with pytest.raises(ClientError) as caught:
        yield seen
    error = caught.value.response
    seen.code, seen.message = error["Error"]["Code"], error["Error"].get("Message", "")
    seen.status = error["ResponseMetadata"]["HTTPStatusCode"]
    assert seen.code == code, seen.message
    if message is not None:
        assert seen.message == message


class Answer:
    """An HTTP response, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.body = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(
    url: str, target: str | None, body: bytes, *, method: str = "POST", path: str = "/", region: str = "us-east-1"
) -> Answer:
    """Send one request that nobody has checked or signed properly."""
    host, port = re.fullmatch(r"http://(.*):(\d+)", url).groups()  # type: ignore[union-attr]
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    headers = {"content-type": "application/x-amz-json-1.1", "authorization": AUTHORIZATION.format(region=region)}
    if target is not None:
        headers["x-amz-target"] = target
    try:
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()
