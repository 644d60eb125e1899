"""Requests whose head does not come, or does not end: bounded in time and in bytes, and the server goes on."""

import contextlib
import socket
from typing import Any

import pytest

from kms_emulator.wire.http import server as http_server
from tests.emulator.aws_http.clients import post
from tests.emulator.running import WAIT_MAX_S, Running, wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: TrentService.ListKeys\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), WAIT_MAX_S)


def told(connection: socket.socket) -> bytes:
    """Return what the server sends until it ends the connection, in whatever way."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def answers(connection: socket.socket, count: int) -> None:
    """Read that many good answers."""
    found = b""
    while found.count(b'"Truncated":false}') < count:
        part = connection.recv(65536)
        assert part
        found += part
    assert found.count(b"HTTP/1.1 200 OK") == count


def at_its_deadline(running: Running, count: int) -> None:
    """Let the time for a head be over on the one connection, once the server has `count` bytes of it."""
    http = running.server.http_server
    assert http is not None
    connections: set[Any] = http._server.server_state.connections
    wait_until(lambda: [found._framing_bytes for found in connections] == [count])
    (protocol,) = connections
    deadline = protocol._deadline
    assert deadline.when() - running.loop.time() <= http_server.HEAD_READ_S_MAX
    running.loop.call_soon_threadsafe(deadline._callback, *deadline._args)


SLOW = [
    (b"", b"", b""),
    (b"", b"\r\n", b""),
    (b"", b"POST / HT", b"HTTP/1.1 408 "),
    (b"", HEAD, b"HTTP/1.1 408 "),
    (WHOLE, b"\r\n", b""),
    (WHOLE, HEAD, b"HTTP/1.1 408 "),
]


@pytest.mark.parametrize(("first", "sent", "answer"), SLOW)
def test_a_head_that_does_not_come_ends_the_connection(
    url: str, running: Running, first: bytes, sent: bytes, answer: bytes
) -> None:
    with connected(url) as connection:
        connection.sendall(first)
        answers(connection, 1 if first else 0)
        connection.sendall(sent)
        at_its_deadline(running, len(sent))
        assert told(connection)[:13] == answer
    assert post(url, "TrentService.ListKeys", b"{}").status == 200


def test_a_request_in_pieces_keeps_its_connection(url: str) -> None:
    with connected(url) as connection:
        for part in (HEAD, WHOLE.removeprefix(HEAD), WHOLE[:70], WHOLE[70:]):
            connection.sendall(part)
        answers(connection, 2)


LONG = [
    HEAD + b"X-Long: " + b"a" * (1 << 20),
    HEAD + b"X-Long: a\r\n" * 100_000,
    b"GET /" + b"a" * (1 << 20),
    b"a" * 100,
]


@pytest.mark.parametrize("sent", LONG, ids=["value", "headers", "target", "method"])
def test_a_head_that_does_not_end_is_refused(url: str, sent: bytes) -> None:
    with connected(url) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        assert told(connection)[:13] in (b"HTTP/1.1 431 ", b"HTTP/1.1 400 ", b"")
    assert post(url, "TrentService.ListKeys", b"{}").status == 200


def test_a_head_just_within_the_limit_is_read(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\nConnection: close\r\nX-Long: ")
        connection.sendall(b"a" * (http_server.HEAD_BYTES_MAX - 200) + b"\r\n\r\n{}")
        assert told(connection).startswith(b"HTTP/1.1 200 ")


def test_trailers_are_bounded_and_are_no_headers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(url) as connection:
        connection.sendall(CHUNKED.replace(HEAD, b"POST / HTTP/1.1\r\nConnection: close\r\n"))
        connection.sendall(b"X-Amz-Target: TrentService.ListKeys\r\n\r\n")
        assert b'"UnknownOperationException"' in told(connection)
    monkeypatch.setattr(http_server, "FRAMING_BYTES_MAX", 1 << 20)
    with connected(url) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(CHUNKED + b"X-Long: " + b"a" * (4 << 20))
        assert told(connection) == b""
    assert post(url, "TrentService.ListKeys", b"{}").status == 200
