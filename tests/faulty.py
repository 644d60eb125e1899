"""A proxy in front of an object store that does what networks and stores do on a bad day. Real sockets, one thread a
connection."""

import http.client
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["403", "409", "429", "500", "501", "503", "reset", "lost", "cut", "hang"]
"""What happens to a request: refusals; a connection that is reset before the store hears of it; one that is reset
after the store did what was asked; an answer whose second half is missing; no answer until the client goes."""
WAIT_S = 30.0
SECRET = "a-session-token-of-somebody"


class Plan:
    """Which requests go wrong; counts those that came and those that did."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._fault: Fault | None = None
        self._left = 0
        self._concerns: Callable[[str, str], bool] = lambda method, path: True
        self.requests: list[str] = []
        self.faults = 0
        self.hook: Callable[[], None] = lambda: None
        """Called at each fault: before a reset, and after the store did what was asked where the answer is lost."""

    def let(self, fault: Fault, times: int, concerns: Callable[[str, str], bool] | None = None) -> None:
        """From now on the next so many requests go wrong of those that `concerns` (method, path) holds for."""
        self._fault, self._left = fault, times
        self._concerns = concerns or (lambda method, path: True)
        self.requests, self.faults = [], 0

    def next(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.requests.append(f"{method} {path}")
            if not self._left or not self._concerns(method, path):
                return None
            self._left -= 1
            self.faults += 1
            return self._fault


@contextmanager
def faulty(upstream: str) -> Iterator[tuple[str, Plan]]:
    """Yield the address of a proxy for the server at `upstream`, and its plan."""
    plan, host = Plan(), urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = WAIT_S

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = plan.next(self.command, self.path)
            if fault == "hang":
                self.connection.recv(1)  # returns when the client has gone
            if fault is not None and fault.isdigit():
                self._refuse(int(fault))
            elif fault in ("reset", "hang"):
                plan.hook()
                self._reset()
            else:
                self._forward(body, fault)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

        def _refuse(self, status: int) -> None:
            body = f"<Error><Code>Slow{status}</Code><Message>{SECRET}</Message></Error>".encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def _forward(self, body: bytes, fault: Fault | None) -> None:
            connection = http.client.HTTPConnection(host, timeout=WAIT_S)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if fault == "lost":
                plan.hook()
                self._reset()
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
            self.send_header("content-length", length or "0")
            self.end_headers()
            if fault == "cut":
                self.wfile.write(content[: len(content) // 2])
                self._reset()
            else:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", plan
    finally:
        server.shutdown()
        server.server_close()
