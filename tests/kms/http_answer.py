"""An HTTP server on this machine that answers every request alike, and counts them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """What is answered, and what was asked: `targets` the operations of all requests, `headers` those of the last."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status, self.body = 200, b"{}"
        self.targets: list[str] = []
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.by_target: dict[str, tuple[int, bytes]] = {}


@contextmanager
def http_answer() -> Iterator[Answer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            target = (self.headers["X-Amz-Target"] or "").rpartition(".")[2]
            answer.targets.append(target)
            answer.headers = dict(self.headers)
            answer.bodies.append(self.rfile.read(int(self.headers["Content-Length"] or 0)))
            status, body = answer.by_target.get(target, (answer.status, answer.body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answer = Answer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield answer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
