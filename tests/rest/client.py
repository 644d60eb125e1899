"""A client of the API for tests: plain HTTP, so that tests see what goes over the wire."""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MEDIA_TYPE = "application/vnd.atlas.2023-01-01+json"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Answered:
    """What came back; `body` is JSON, or None where there was nothing."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["errorCode"])


@dataclass(frozen=True)
class Api:
    """Calls with one API key; a new connection for each, so that a server may be another one meanwhile."""

    url: str
    public_key: str = ""
    private_key: str = field(default="", repr=False)

    def get(self, path: str) -> Answered:
        return self.call("GET", path)

    def post(self, path: str, body: object = None) -> Answered:
        return self.call("POST", path, body)

    def patch(self, path: str, body: object) -> Answered:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Answered:
        return self.call("DELETE", path)

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answered:
        """Call a path below the API's base. `body` is JSON, or raw bytes."""
        parts = urlsplit(self.url)
        assert parts.scheme == "http"
        sent = {"Accept": MEDIA_TYPE}
        if body is not None:
            sent["Content-Type"] = MEDIA_TYPE
        if self.public_key:
            encoded = base64.b64encode(f"{self.public_key}:{self.private_key}".encode()).decode()
            sent["Authorization"] = f"Basic {encoded}"
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, f"/api/atlas/v2{path}", raw, {**sent, **(headers or {})})
            response = connection.getresponse()
            text = response.read()
            return Answered(response.status, dict(response.headers.items()), json.loads(text) if text else None)
        finally:
            connection.close()
