"""What boto3 makes of each fault: the same exception, code and number of attempts as from AWS.

What AWS sends is a server of a few lines that answers with AWS's documented bytes; an outage is the same whoever is not
there. Attempts are counted where they arrive: by that server, and in the emulator's call log.
"""

import json
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import botocore.endpoint
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from tests.emulator.clients.environment import REGION
from tests.emulator.running import wait_until
from tests.kms.http_answer import Answer, http_answer

TIMEOUT_S = 30
THROTTLED = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
ATTEMPTS = {"legacy": 5, "standard": 3}
"""Attempts of one call in botocore's retry modes, as its documentation has them."""


class Seen:
    """What a caller sees of a call that failed, and what it waited for."""

    def __init__(self, url: str, mode: str, monkeypatch: pytest.MonkeyPatch, answer_s: float = TIMEOUT_S) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=pauses.append))
        config = Config(retries={"mode": mode}, read_timeout=answer_s)  # type: ignore[arg-type] # one of two
        client = boto3.session.Session().client("kms", region_name=REGION, endpoint_url=url, config=config)
        with pytest.raises((ClientError, BotoCoreError)) as caught:
            client.list_keys()
        client.close()
        self.kind, self.pauses = caught.type.__name__, len(pauses)
        self.error, self.status, self.retries = "", 0, 0
        if isinstance(caught.value, ClientError):
            response = caught.value.response
            self.error = f"{response['Error']['Code']}: {response['Error']['Message']}"
            self.status = response["ResponseMetadata"]["HTTPStatusCode"]
            self.retries = response["ResponseMetadata"]["RetryAttempts"]


@pytest.fixture
def cloud(settings: None) -> Iterator[Answer]:
    with http_answer() as answer:
        yield answer


def add_fault(admin: AdminStub, kind: str, **fields: object) -> None:
    admin.AddFault(admin_pb2.Fault(kind=kind, provider="aws", **fields), timeout=TIMEOUT_S)  # type: ignore[arg-type]


def arrived(admin: AdminStub) -> int:
    log = admin.ListCalls(admin_pb2.ListCallsRequest(provider="aws", operation="ListKeys"), timeout=TIMEOUT_S)
    return len(log.calls)


@pytest.mark.parametrize("mode", ATTEMPTS)
@pytest.mark.parametrize(
    ("kind", "code", "status", "message"),
    [
        ("throttle", "ThrottlingException", 400, THROTTLED),
        ("unavailable", "ServiceUnavailable", 503, None),
        ("error", "KMSInternalException", 500, "internal"),
        ("error", "DependencyTimeoutException", 500, "slow"),
    ],
)
def test_throttle_and_5xx_are_the_cloud_s(
    url: str,
    admin: AdminStub,
    cloud: Answer,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    kind: str,
    code: str,
    status: int,
    message: str | None,
) -> None:
    own = {"code": code, "message": message} if kind == "error" else {}
    add_fault(admin, kind, **own)
    here = Seen(url, mode, monkeypatch)
    said = here.error.partition(": ")[2] if message is None else message
    cloud.status, cloud.body = status, json.dumps({"__type": code, "message": said}).encode()
    there = Seen(cloud.url, mode, monkeypatch)
    assert vars(here) == vars(there)
    assert (here.error, here.status) == (f"{code}: {said}", status)
    assert arrived(admin) == len(cloud.targets) == ATTEMPTS[mode] == here.pauses + 1


@pytest.mark.parametrize("mode", ATTEMPTS)
def test_connection_that_is_closed(
    url: str, admin: AdminStub, monkeypatch: pytest.MonkeyPatch, settings: None, mode: str
) -> None:
    """As many attempts as at a port where nothing listens; only the exception's class is another."""
    add_fault(admin, "close")
    here = Seen(url, mode, monkeypatch)
    with socket.socket() as deaf:  # bound, so that nobody else takes the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        there = Seen(f"http://127.0.0.1:{deaf.getsockname()[1]}", mode, monkeypatch)
    assert (here.kind, there.kind) == ("ConnectionClosedError", "EndpointConnectionError")
    assert arrived(admin) == ATTEMPTS[mode] == here.pauses + 1 == there.pauses + 1


def test_no_answer(url: str, admin: AdminStub, monkeypatch: pytest.MonkeyPatch, settings: None) -> None:
    """As from a listener that takes connections and says nothing."""
    add_fault(admin, "hang")
    here = Seen(url, "standard", monkeypatch, answer_s=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = Seen(f"http://127.0.0.1:{silent.getsockname()[1]}", "standard", monkeypatch, answer_s=1)
    assert vars(here) == vars(there)
    assert here.kind == "ReadTimeoutError"
    wait_until(lambda: arrived(admin) == 3)


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "close"])
def test_fault_that_ends_in_time_is_not_noticed(url: str, admin: AdminStub, settings: None, kind: str) -> None:
    """The next attempt is answered."""
    add_fault(admin, kind, count=1)
    client = boto3.session.Session().client("kms", region_name=REGION, endpoint_url=url)
    assert client.list_keys()["Keys"] == []
    client.close()
    assert arrived(admin) == 2


def test_refusals_are_not_repeated(url: str, admin: AdminStub, monkeypatch: pytest.MonkeyPatch, settings: None) -> None:
    add_fault(admin, "expired-credentials")
    here = Seen(url, "legacy", monkeypatch)
    assert (here.kind, here.error.partition(":")[0], here.status) == ("ClientError", "ExpiredTokenException", 400)
    assert arrived(admin) == 1
