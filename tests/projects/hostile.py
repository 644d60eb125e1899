"""A KMS that misbehaves over the HTTP of AWS and Azure: a real server on this machine that answers as it is told, byte
by byte if need be.

Requests that are not to be answered badly are answered well enough for a check to go on to the next one.
"""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystore.projects.fields import Provider, Settings, read_block, require_complete
from kms_emulator.tls import make_tls

WAIT_S = 60
KEY = "11111111-2222-4333-8444-555555555555"
ARN = f"arn:aws:kms:us-east-1:111122223333:key/{KEY}"
SECRET = "canary/of+the secret&of~the=customer"
TENANT = "72f988bf-0000-4000-8000-000000000001"
VAULT, VERSION = "local-vault", "0" * 32
KID = f"https://{VAULT}.vault.azure.net/keys/key/{VERSION}"


@dataclass(frozen=True)
class Asked:
    """A request; `what` names it: an operation of AWS; or `configuration` and `token` of Entra, `manager`, and of a
    vault `challenge`, `list`, `get`, `encrypt` and `decrypt`.
    """

    what: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[socket.socket, Asked], None]
"""Writes an answer, or does not; the connection is closed afterwards."""


@dataclass
class Hostile:
    """The server.

    Attributes:
        bad: how to answer badly, by what was asked.
        asked: all requests.
        ended: set at the end, for answers that wait.
    """

    url: str
    ca: str
    bad: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, connection: socket.socket) -> None:
        """Answer one request."""
        request = _read(connection)
        if request is None:
            return
        self.asked.append(request)
        answer = self.bad.get(request.what)
        if answer is None:
            connection.sendall(self._good(request))
        else:
            answer(connection, request)

    def _good(self, request: Asked) -> bytes:
        if request.what == "configuration":
            base = f"{self.url}/{TENANT}"
            found = {"token_endpoint": f"{base}/oauth2/v2.0/token", "authorization_endpoint": f"{base}/authorize"}
            return http(200, {**found, "issuer": f"{base}/v2.0"})
        if request.what == "challenge":
            said = f'Bearer authorization="{self.url}/{TENANT}", resource="https://vault.azure.net"'
            return http(401, {}, f"WWW-Authenticate: {said}")
        return http(200, GOOD[request.what])


GOOD: Mapping[str, Any] = {
    "DescribeKey": {"KeyMetadata": {"KeyId": KEY, "Arn": ARN, "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT"}},
    "Encrypt": {"KeyId": ARN, "CiphertextBlob": "YWJj"},
    "Decrypt": {"KeyId": ARN, "Plaintext": "YWJj" * 10 + "YWI="},
    "token": {"access_token": "the-token", "expires_in": 3599, "token_type": "Bearer"},
    "manager": {"id": "vault"},
    "list": {"value": []},
    "get": {"key": {"kid": KID, "key_ops": ["encrypt", "decrypt"]}, "attributes": {"enabled": True}},
    "encrypt": {"kid": KID, "value": "YWJj"},
    "decrypt": {"kid": KID, "value": "YWJj" * 10 + "YWI"},
}


def http(status: int, body: object, *headers: str) -> bytes:
    """Return an answer; `body` is JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def say(raw: bytes) -> Answer:
    """Return the answer that is these bytes."""
    return lambda connection, request: connection.sendall(raw)


def settings_of(provider: Provider) -> Settings:
    """Return what a customer gave who is at AWS or at Azure, with `SECRET` as the secret."""
    account = {"accessKeyID": "AKIA0000000000000000", "secretAccessKey": SECRET, "region": "US_EAST_1"}
    who = {"clientID": KEY, "tenantID": TENANT, "secret": SECRET, "azureEnvironment": "AZURE", "subscriptionID": KEY}
    vault = {"resourceGroupName": "group", "keyVaultName": VAULT, "keyIdentifier": KID}
    given = {"AWS": {**account, "customerMasterKeyID": KEY}, "AZURE": {**who, **vault}}[provider]
    change = read_block(provider, {"enabled": True, **given})
    require_complete(provider, change.public, change.secrets)
    return Settings(provider, change.public, change.secrets)


@contextmanager
def hostile(folder: Path, context: ssl.SSLContext | None = None, *, plain: bool = False) -> Iterator[Hostile]:
    """Serve until the end of the block: over TLS that `ca` trusts, unless a context, or none, is asked for."""
    tls = make_tls(folder, ("127.0.0.1",))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    scheme = "http" if plain else "https"
    server = Hostile(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", str(tls.ca_path))
    threads: list[threading.Thread] = []

    def one(accepted: socket.socket) -> None:
        accepted.settimeout(WAIT_S)
        with accepted, contextlib.suppress(OSError, UnicodeDecodeError):  # who is no client of ours
            if plain:
                server.serve(accepted)
                return
            with (context or tls.context).wrap_socket(accepted, server_side=True) as secured:
                server.serve(secured)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=one, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(WAIT_S)


def _read(connection: socket.socket) -> Asked | None:
    stream = connection.makefile("rb")
    path = (stream.readline().decode() + "  ").split(" ")[1]
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) and ":" in line:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if not path:
        return None
    body = stream.read(int(headers.get("content-length", 0)))
    return Asked(_named(path, headers), headers, body)


def _named(path: str, headers: Mapping[str, str]) -> str:
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    if "openid-configuration" in path:
        return "configuration"
    if path.endswith("/token"):
        return "token"
    if path.startswith("/subscriptions/"):
        return "manager"
    if "authorization" not in headers:
        return "challenge"
    if path.startswith("/keys?"):
        return "list"
    last = path.partition("?")[0].rpartition("/")[2]
    return last if last in ("encrypt", "decrypt") else "get"
