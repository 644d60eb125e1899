"""The API as anybody who reaches its port may treat it: slowly, halfway, in great numbers, and with guessed keys."""

import base64
import json
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from keystore.control.database import Database
from keystore.errors import ApiError
from keystore.projects.access import Role
from keystore.projects.plane import ProjectPlane
from keystore.rest import connections
from keystore.rest.attempts import KEPT_MAX, KEY_FAILURES_MAX, NETWORK_FAILURES_MAX, WINDOW_S, Attempts, network_of
from kms_emulator.tls import make_tls
from tests.agents.running import wait_until
from tests.rest.client import Answered, Api
from tests.rest.conftest import Rest, create_plane, found_organization
from tests.rest.serving import serving

WAIT_S = 30
DOCUMENT = "/api/atlas/v2/openapi.json"
PATCH = b"PATCH /api/atlas/v2/groups/x HTTP/1.1\r\nHost: h\r\n"
SHORT_S = 0.4


@pytest.fixture
def own_plane(tmp_path: Path, opened: Callable[[str], Database]) -> ProjectPlane:
    return create_plane(opened(f"sqlite:///{tmp_path / 'control.db'}"), tmp_path)


@pytest.fixture
def served(own_plane: ProjectPlane) -> Iterator[Rest]:
    with serving(own_plane) as url:
        yield found_organization(own_plane, url)


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    parts = urlsplit(url)
    made = socket.create_connection((str(parts.hostname), parts.port), WAIT_S, (source, 0))
    made.settimeout(WAIT_S)
    return made


def is_ended(connection: socket.socket) -> bool:
    """Wait for the server's end of a connection, and say whether it came."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def drip(connection: socket.socket, part: bytes) -> bool:
    """Send a part every now and then, and say whether the server ended that."""
    until = time.monotonic() + WAIT_S
    connection.settimeout(0.03)
    while time.monotonic() < until:
        try:
            connection.sendall(part)
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def get(rest: Rest) -> int:
    return rest.owner.get("/groups").status


@pytest.mark.parametrize(
    ("limit", "head", "part"),
    [
        ("HEAD_S", b"", b""),
        ("HEAD_S", b"GET / HTTP/1.1\r\nX-A: ", b"a"),
        ("BODY_S", b"PATCH /api/atlas/v2/groups/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n", b" "),
        (
            "BODY_S",
            b"PATCH /api/atlas/v2/groups/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\n \r\n",
        ),
    ],
)
def test_who_is_slow_is_not_waited_for(
    served: Rest,
    limit: str,
    head: bytes,
    part: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connections, limit, SHORT_S)
    with closing(connect(served.url)) as slow:
        slow.sendall(head)
        assert drip(slow, part)
    assert get(served) == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_second_request_has_a_limit_too(served: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", SHORT_S)
    with closing(connect(served.url)) as slow:
        slow.sendall(f"GET {DOCUMENT} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert slow.recv(1 << 20).startswith(b"HTTP/1.1 200")
        assert drip(slow, b"G")


def test_a_body_that_was_refused_is_not_read_for_ever(served: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_S", SHORT_S)
    with closing(connect(served.url)) as endless:
        endless.sendall(PATCH + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            endless.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        assert endless.recv(1 << 16).startswith(b"HTTP/1.1 413")
        assert drip(endless, b"1\r\n \r\n")


def test_who_takes_no_answers_is_cut_off(served: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SENT_S", SHORT_S)
    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        deaf.settimeout(SHORT_S)
        parts = urlsplit(served.url)
        deaf.connect((parts.hostname, parts.port))
        asked, until = f"GET {DOCUMENT} HTTP/1.1\r\nHost: h\r\n\r\n".encode() * 100, time.monotonic() + WAIT_S
        with pytest.raises(ConnectionError):  # noqa: PT012 - it takes some requests until the way is full
            while time.monotonic() < until:
                try:
                    deaf.sendall(asked)
                except TimeoutError:
                    continue
    assert get(served) == 200


REFUSED = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": "TLS where there is none",
    b"GET\r\n\r\n": "no request",
    b"GET / HTTP/1.1\r\nX: " + b"a" * (connections.HEAD_BYTES_MAX + 1): "a large head",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n": "no length",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": "two lengths",
}


def test_what_is_no_http_is_refused_in_the_form_of_the_api(served: Rest) -> None:
    for raw, what in REFUSED.items():
        with closing(connect(served.url)) as strange:
            strange.sendall(raw)
            answered = strange.makefile("rb").read()
        head, _, body = answered.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400"), what
        assert json.loads(body)["errorCode"] == "INVALID_HTTP_REQUEST", what


def test_requests_that_come_at_once_are_answered_one_after_the_other(served: Rest) -> None:
    with closing(connect(served.url)) as both:
        first = f"GET {DOCUMENT} HTTP/1.1\r\nHost: h\r\n\r\n"
        both.sendall(f"{first}GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        answered = both.makefile("rb").read()
    assert answered.startswith(b"HTTP/1.1 200")
    assert answered.count(b"HTTP/1.1 ") == 2
    assert answered.index(b"HTTP/1.1 404") > answered.index(b'"openapi"')


def test_half_closed_connections_leave_nothing(served: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 5)
    for _ in range(20):
        for sent in (b"", b"GET / HT", f"GET {DOCUMENT} HTTP/1.1\r\nHost: h\r\n\r\n".encode()):
            with closing(connect(served.url)) as half:
                half.sendall(sent)
                half.shutdown(socket.SHUT_WR)
                assert is_ended(half)
    assert get(served) == 200


def test_connections_have_a_limit_and_so_has_each_address(served: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 12)
    monkeypatch.setattr(connections, "NETWORK_CONNECTIONS_MAX", 8)
    with ExitStack() as stack:

        def open_(count: int, source: str) -> list[socket.socket]:
            return [stack.enter_context(closing(connect(served.url, source))) for _ in range(count)]

        kept = open_(8, "127.0.0.2")
        assert all(is_ended(each) for each in open_(20, "127.0.0.2"))
        assert get(served) == 200  # from another address
        others = open_(8, "127.0.0.3")
        wait_until(lambda: len(select.select(others, [], [], 0)[0]) >= 4, "the end of those beyond the limit")
        assert select.select(kept, [], [], 0)[0] == []
    wait_until(lambda: is_answered(served), "an answer, once the others are gone")


def is_answered(rest: Rest) -> bool:
    try:
        return get(rest) == 200
    except ConnectionError:
        return False


# -- over TLS -------------------------------------------------------------------------------------------------------


@contextmanager
def secured(plane: ProjectPlane, folder: Path) -> Iterator[tuple[str, str]]:
    """Serve over TLS; give the URL, and the path of what it is trusted by."""
    tls = make_tls(folder / "tls", ("127.0.0.1",))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(tls.certificate_pem)
    key.write_bytes(tls.key_pem)
    with serving(plane, (certificate, key)) as url:
        yield url, str(tls.ca_path)


def test_it_is_served_over_tls(own_plane: ProjectPlane, tmp_path: Path) -> None:
    with secured(own_plane, tmp_path) as (url, ca):
        assert requests.get(url + DOCUMENT, verify=ca, timeout=WAIT_S).status_code == 200
        assert requests.get(f"{url}/api/atlas/v2/groups", verify=ca, timeout=WAIT_S).status_code == 401
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url + DOCUMENT, timeout=WAIT_S)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_handshakes_that_do_not_end_are_ended_and_not_counted(
    own_plane: ProjectPlane,
    tmp_path: Path,
    sent: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(connections, "NETWORK_CONNECTIONS_MAX", 10)
    monkeypatch.setattr(connections, "HANDSHAKE_S", SHORT_S)
    with secured(own_plane, tmp_path) as (url, ca):

        def is_served() -> bool:
            with suppress(requests.exceptions.ConnectionError):  # a handshake of ours may take that long, too
                return requests.get(url + DOCUMENT, verify=ca, timeout=WAIT_S).status_code == 200
            return False

        for _ in range(3):
            with ExitStack() as stack:
                halves = [stack.enter_context(closing(connect(url))) for _ in range(10)]
                for half in halves:
                    with suppress(ConnectionError):
                        half.sendall(sent)
                assert all(is_ended(half) for half in halves)
        wait_until(is_served, "an answer")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# -- guessed keys ---------------------------------------------------------------------------------------------------


def with_key(rest: Rest, public_key: str, private_key: str) -> Answered:
    encoded = base64.b64encode(f"{public_key}:{private_key}".encode()).decode()
    return Api(rest.url).call("GET", "/groups", headers={"Authorization": f"Basic {encoded}"})


def test_who_guesses_a_key_is_refused_until_some_time_has_passed(served: Rest) -> None:
    owner, other = served.owner, served.caller(Role.GROUP_READ_ONLY)
    assert other.get("/groups").status == 200
    statuses = [with_key(served, owner.public_key, f"guess{number}").status for number in range(KEY_FAILURES_MAX + 2)]
    assert statuses == [401] * KEY_FAILURES_MAX + [429] * 2
    refused = owner.get("/groups")  # one more guess could be right
    assert (refused.status, refused.code) == (429, "TOO_MANY_FAILED_AUTHENTICATIONS")
    assert 0 < int(refused.headers["retry-after"]) <= WINDOW_S
    assert refused.body["reason"] == "Too Many Requests"
    assert other.get("/groups").status == 200

    statuses = [with_key(served, f"nobody{number}", "x").status for number in range(NETWORK_FAILURES_MAX)]
    left = NETWORK_FAILURES_MAX - KEY_FAILURES_MAX
    assert statuses == [401] * left + [429] * (NETWORK_FAILURES_MAX - left)
    assert other.get("/groups").status == 200  # it was right from here before


def test_requests_without_a_key_are_no_guess(served: Rest) -> None:
    assert {Api(served.url).get("/groups").status for _ in range(NETWORK_FAILURES_MAX + 5)} == {401}
    too_long = {with_key(served, "k" * 10_000, "x").status for _ in range(NETWORK_FAILURES_MAX + 5)}
    assert too_long == {401}  # no key is called so, and nothing so large is remembered
    assert get(served) == 200


def refused(attempts: Attempts, address: str, key: str) -> bool:
    try:
        attempts.require_few(address, key)
    except ApiError as error:
        return error.code == "TOO_MANY_FAILED_AUTHENTICATIONS"
    return False


def test_failures_are_of_a_network_and_end_with_their_minute() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for number in range(NETWORK_FAILURES_MAX):
        attempts.failed(f"2001:db8::{number}", f"key{number}")
    assert refused(attempts, "2001:db8::ffff", "fresh")
    assert not refused(attempts, "2001:db8:0:1::1", "fresh")
    now[0] = WINDOW_S - 0.5
    assert refused(attempts, "2001:db8::1", "fresh")
    now[0] = WINDOW_S
    assert not refused(attempts, "2001:db8::1", "fresh")
    attempts.failed("2001:db8::1", "fresh")
    assert not refused(attempts, "2001:db8::1", "fresh")


def test_memory_has_a_limit() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(KEPT_MAX):
        attempts.failed(str(number), f"key{number}")
        attempts.succeeded("127.0.0.1", f"key{number}")
    for _ in range(KEY_FAILURES_MAX):
        attempts.failed("127.0.0.1", "guessed")
    assert refused(attempts, "127.0.0.1", "guessed")
    assert len(attempts._failed) == len(attempts._right) == KEPT_MAX


def test_networks() -> None:
    assert network_of("10.0.0.7") == "10.0.0.7"
    assert network_of("::ffff:10.0.0.7") == "10.0.0.7"
    assert network_of("fe80::1%eth0") == network_of("fe80::2") == "fe80::/64"
    assert network_of("testclient") == network_of("") == ""
