"""An HTTP request and response as values, and what handles one."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request.

    Attributes:
        path: as sent, with its percent signs; without the query.
        query: what follows the question mark, as sent.
        headers: by lower-case name; a header sent twice has its values joined by a comma (RFC 9110, 5.2).
        address: the client's address, without a port.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response; its length is added when it is sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=())


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


def json_response(value: object, status: int = 200) -> HttpResponse:
    """Return a response that holds one JSON value."""
    return HttpResponse(status, json.dumps(value).encode())
