"""The HTTP server beside gRPC: one event loop, its own port, limits, and an end that waits for nobody."""

import asyncio
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from kms_emulator.calls import CallFilter
from kms_emulator.cli import serve
from kms_emulator.cli.exits import UNUSABLE, CommandError
from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.model.material import Material
from kms_emulator.wire.http import app as http_app
from kms_emulator.wire.http.app import ABORT_KEY, App, Event
from kms_emulator.wire.http.message import HttpRequest, HttpResponse
from tests.emulator.aws_http.clients import client, post
from tests.emulator.running import WAIT_MAX_S, Running, process, run_cli, wait_until

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


def test_both_wires_are_one_emulator(kms: "KMSClient", running: Running) -> None:
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = AwsKmsStub(running.channel).Encrypt(pb.EncryptRequest(key_id=key_id, plaintext=b"secret"))
    assert kms.decrypt(CiphertextBlob=sealed.ciphertext_blob)["Plaintext"] == b"secret"


def test_large_keys_are_made_beside_the_event_loop(
    kms: "KMSClient", url: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    new_material = running.core.registry.new_material

    def wait(kind: Any) -> Material:
        begun.set()
        assert go_on.wait(WAIT_MAX_S)
        return new_material(kind)

    monkeypatch.setattr(running.core.registry, "new_material", wait)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(client(url).create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        assert begun.wait(WAIT_MAX_S)
        assert kms.list_keys()["Keys"] == []
        go_on.set()
        made = making.result(WAIT_MAX_S)["KeyMetadata"]
    assert [key["KeyId"] for key in kms.list_keys()["Keys"]] == [made["KeyId"]]


def test_many_at_once_on_connections_of_their_own(url: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(url, "TrentService.ListKeys", b"{}"), range(100)))
    assert [answer.status for answer in answers] == [200] * 100
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 100


def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    request = "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: TrentService.GenerateRandom\r\nContent-Length: {}\r\n\r\n{}"
    bodies = [f'{{"NumberOfBytes":{number}}}' for number in (3, 6, 9)]
    with socket.create_connection((host, int(port)), WAIT_MAX_S) as connection:
        connection.sendall("".join(request.format(len(body), body) for body in bodies).encode())
        answer = b""
        while answer.count(b'"Plaintext"') < 3:
            received = connection.recv(65536)
            assert received
            answer += received
    lengths = [part.partition(b"\r\n")[0] for part in answer.split(b"Content-Length: ")[1:]]
    assert lengths == [str(len('{"Plaintext":""}') + count).encode() for count in (4, 8, 12)]


def test_requests_under_way_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_app, "REQUESTS_AT_ONCE_MAX", 2)
    statuses = asyncio.run(_statuses_of(3))
    assert sorted(statuses) == [200, 200, 503]


async def _statuses_of(count: int) -> list[int]:
    every_one_came, come = asyncio.Event(), []

    async def handle(request: HttpRequest) -> HttpResponse:
        await every_one_came.wait()
        return HttpResponse(200)

    async def receive() -> Event:
        come.append(1)
        if len(come) == count:
            every_one_came.set()
        return {"type": "http.request", "body": b""}

    statuses: list[int] = []

    async def send(event: Event) -> None:
        if event["type"] == "http.response.start":
            statuses.append(event["status"])

    scope = {"type": "http", "method": "POST", "raw_path": b"/", "query_string": b"", "headers": [], ABORT_KEY: bool}
    app = App(handle, {}, {})
    await asyncio.gather(*(app(scope, receive, send) for _ in range(count)))
    return statuses


def test_a_header_sent_twice_is_one_with_both_values() -> None:
    seen: list[HttpRequest] = []

    async def handle(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse(200)

    async def receive() -> Event:
        return {"type": "http.request", "body": b"{}"}

    async def send(event: Event) -> None:
        pass

    headers = [(b"x-a", b"1"), (b"host", b"h"), (b"x-a", b"2")]
    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        ABORT_KEY: bool,
    }
    asyncio.run(App(handle, {}, {})(scope, receive, send))
    assert [request.headers for request in seen] == [{"x-a": "1,2", "host": "h"}]


HALF_SENT = (
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: TrentService.ListKeys\r\nExpect: 100-continue\r\n"
    b"Content-Length: 10\r\n\r\n{"
)


def received(connection: socket.socket) -> bytes:
    """Return what the server sends until the connection ends, in whatever way."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def test_the_end_drops_hung_and_half_sent_requests_without_a_word(tmp_path: Path) -> None:
    with process(tmp_path) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        admin = AdminStub(channel)
        admin.AddFault(admin_pb2.Fault(kind="hang", operation="ListKeys"))
        host, _, port = str(emulator.ready["aws"]).removeprefix("http://").rpartition(":")
        with (
            socket.create_connection((host, int(port)), WAIT_MAX_S) as hung,
            socket.create_connection((host, int(port)), WAIT_MAX_S) as half,
        ):
            half.sendall(HALF_SENT)
            assert half.recv(25).startswith(b"HTTP/1.1 100")
            hung.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: TrentService.ListKeys\r\n")
            hung.sendall(b"Content-Length: 2\r\n\r\n{}")
            wait_until(lambda: admin.ListFaults(admin_pb2.ListFaultsRequest()).faults[0].met == 1)
            assert emulator.end(signal.SIGTERM)[::2] == (0, "")
            assert (received(hung), received(half)) == (b"", b"")


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_asked_for(url: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {(1 << 20) + 1}\r\n\r\n"
    with socket.create_connection(address_of(url), WAIT_MAX_S) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        connection.shutdown(socket.SHUT_WR)
    assert post(url, "TrentService.ListKeys", b" " * (20 << 20)).status == 413


def test_a_body_that_does_not_come_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_app, "BODY_READ_S_MAX", 0.05)
    monkeypatch.setattr(http_app, "LINGER_S_MAX", 0.05)
    with socket.create_connection(address_of(url), WAIT_MAX_S) as connection:
        connection.sendall(HALF_SENT)
        answer = received(connection)
    assert answer.count(b"HTTP/1.1 408 ") == 1
    assert b"RequestTimeoutException" in answer


def test_a_dropped_connection_has_no_answer_and_leaves_nothing_in_the_log(
    url: str, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.core.faults.add(Fault(FaultKind.CLOSE))
    with socket.create_connection(address_of(url), WAIT_MAX_S) as connection:
        connection.sendall(HALF_SENT.replace(b": 10", b": 2").replace(b"Expect", b"X-None") + b"}")
        assert received(connection) == b""
    assert caplog.records == []
    assert [call.outcome for call in running.core.calls.select(CallFilter())] == ["ConnectionClosed"]


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with process(tmp_path) as emulator:
        port = str(emulator.ready["aws"]).rpartition(":")[2]
        done = run_cli("serve", "--port", "0", "--http-port", port)
    assert (done.returncode, f"cannot listen on 127.0.0.1 port {port}" in done.stderr) == (UNUSABLE, True)
    assert "--http-port" in done.stderr


def test_without_its_packages_http_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve._http_port(0, None) == 0
    assert serve._http_port(4710, None) == 4711
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert serve._http_port(0, None) is None
    with pytest.raises(CommandError, match=r"cmk-keystore\[emulator\]"):
        serve._http_port(0, 0)
