"""An HTTPS server on this machine that stands for a vault and for Entra, answers every request of a kind alike, and
notes what was asked.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kms_emulator.tls import make_tls

TENANT = "72f988bf-0000-4000-8000-000000000001"


class VaultAnswer:
    """What is answered, and what was asked.

    `requests` holds method and path of each request that the vault took; `by_method` answers some apart. `token` is
    what the token endpoint says: status and body.
    """

    def __init__(self, url: str, ca: str) -> None:
        self.url, self.ca = url, ca
        self.clear()

    def clear(self) -> None:
        self.status, self.body = 200, b"{}"
        self.headers: dict[str, str] = {}
        self.by_method: dict[str, tuple[int, bytes]] = {}
        self.token = 200, json.dumps({"access_token": "t", "expires_in": 3599, "token_type": "Bearer"}).encode()
        self.requests: list[tuple[str, str]] = []
        self.hosts: set[str] = set()
        self.bodies: list[bytes] = []
        self.secrets: list[str] = []


@contextmanager
def vault_answer(directory: Path) -> Iterator[VaultAnswer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if "/.well-known/openid-configuration" in self.path:
                base = f"{answer.url}/{TENANT}"
                found = {"token_endpoint": f"{base}/oauth2/v2.0/token", "authorization_endpoint": f"{base}/authorize"}
                self.send(200, json.dumps({**found, "issuer": f"{base}/v2.0"}).encode(), {})
            elif self.path.endswith("/oauth2/v2.0/token"):
                answer.secrets.append(body.decode())
                self.send(*answer.token, {})
            elif "Authorization" not in self.headers:
                resource = answer.url.replace("127.", "", 1)
                challenge = f'Bearer authorization="{answer.url}/{TENANT}", resource="{resource}"'
                self.send(401, b"{}", {"WWW-Authenticate": challenge})
            else:
                answer.requests.append((self.command, self.path))
                answer.hosts.add(self.headers["Host"])
                answer.bodies.append(body)
                status, found_body = answer.by_method.get(self.command, (answer.status, answer.body))
                self.send(status, found_body, answer.headers)

        do_GET = do_POST = answer  # noqa: N815 - the names that the base class looks for

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    tls = make_tls(directory, ("127.0.0.1",))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls.context.wrap_socket(server.socket, server_side=True)
    answer = VaultAnswer(f"https://127.0.0.1:{server.server_port}", str(tls.ca_path))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield answer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
