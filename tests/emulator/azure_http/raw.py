"""Requests to a vault without an SDK, for what no SDK sends."""

import http.client
import json
import ssl
from typing import Any

from tests.emulator.running import Running


def ask(
    emulator: Running,
    method: str,
    path: str,
    body: object = None,
    *,
    host: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Return status, JSON and headers of the answer to a request with a token of nobody, unless headers are given."""
    context = ssl.create_default_context(cafile=emulator.server.ca)
    connection = http.client.HTTPSConnection(host, emulator.server.https_port or 0, context=context, timeout=30)
    text = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    try:
        connection.request(method, path, text, headers if headers is not None else {"authorization": "Bearer nobody"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None, answer.headers
    finally:
        connection.close()
