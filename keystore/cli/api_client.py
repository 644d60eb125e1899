"""The client of the control plane's API, for the commands on projects; one request at a time, without a library.

Where it is and who asks comes from options and the environment. The private key comes from the environment only, so
that no list of processes shows it.
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import rich_click as click

from keystore.errors import ApiError, ControlError, ControlUnreachableError, InputError

URL, PUBLIC_KEY, PRIVATE_KEY, CA = (
    "KEYSTORE_API_URL",
    "KEYSTORE_API_PUBLIC_KEY",
    "KEYSTORE_API_PRIVATE_KEY",
    "KEYSTORE_API_CA",
)
"""Environment variables: where the API is, who asks, and the certificate that signed the server's."""

BASE = "/api/atlas/v2"
MEDIA_TYPE = "application/vnd.atlas.2023-01-01+json"
ANSWER_S = 180.0
"""LIMIT: seconds for an answer; a check of a key, or of a snapshot on every member, takes a while."""
ANSWER_BYTES_MAX = 64 << 20
"""LIMIT: bytes of an answer."""


class ApiClient:
    """Calls with one API key."""

    def __init__(self, url: str, public_key: str, private_key: str, ca: str | None = None) -> None:
        """Know the way; nothing is sent yet.

        Raises:
            InputError: the URL is none, or would show the key on a network.
        """
        from keystore.kms.endpoints import is_loopback

        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not host:
            raise InputError(f"{url!r} is not the URL of an API, such as https://HOST:PORT. Nothing was sent.")
        if parts.scheme == "http" and not is_loopback(host):
            raise InputError(f"{url} would show the API key on a network. Nothing was sent; use https://.")
        self._parts, self._ca, self.url = parts, ca, url
        encoded = base64.b64encode(f"{public_key}:{private_key}".encode()).decode()
        self._headers = {"Accept": MEDIA_TYPE, "Authorization": f"Basic {encoded}"}

    def call(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Make a request to a path below the API's base; return the JSON that came back, None for none.

        Raises:
            ApiError: it was refused, as the API told.
            ControlUnreachableError: no answer.
        """
        target = f"{self._parts.path.rstrip('/')}{BASE}{path}"
        wanted = {name: value for name, value in query.items() if value is not None}
        sent = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": MEDIA_TYPE} if sent is not None else {})
        try:
            connection = self._connect()
            try:
                connection.request(method, f"{target}?{urlencode(wanted)}" if wanted else target, sent, headers)
                answer = connection.getresponse()
                content = answer.read(ANSWER_BYTES_MAX)
            finally:
                connection.close()
        except ConnectionRefusedError:
            raise ControlUnreachableError(
                f"nothing listens at {self.url}. Nothing was sent; `keystore control serve --listen` serves the API."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ControlUnreachableError(
                f"the API at {self.url} does not answer: {why}. What was asked for may have been done; look, and try "
                "again."
            ) from None
        return self._decoded(answer.status, content)

    def all(self, path: str, **query: object) -> list[dict[str, Any]]:
        """Return every item of a list, page by page; errors as `call`."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, pageNum=len(found) // 500 + 1, itemsPerPage=500, **query)
            found += page["results"]
            if len(found) >= page["totalCount"] or not page["results"]:
                return found

    def _connect(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=ANSWER_S)
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            why = error.strerror or "it has no certificate"
            raise InputError(f"{self._ca} cannot be used as {CA}: {why}. Nothing was sent.") from None
        return http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)

    def _decoded(self, status: int, content: bytes) -> Any:
        try:
            found = json.loads(content) if content else None
        except ValueError:
            raise ControlError(
                f"{self.url} answered {status} and no JSON. It is not the API of a control plane."
            ) from None
        if status < 400:
            return found
        raise _refusal(status, found if isinstance(found, Mapping) else {})


def _refusal(status: int, told: Mapping[str, Any]) -> ApiError:
    """Return the error that a body tells: its text, its code, and the field that it names."""
    code, detail = str(told.get("errorCode", "UNEXPECTED_ERROR")), str(told.get("detail", "no reason was given"))
    fields = (told.get("badRequestDetail") or {}).get("fields") or [{}]
    field = str(fields[0].get("field", ""))
    unchanged = "" if "Nothing was changed" in detail else " Nothing was changed."
    what = f"{code}{f' at {field}' if field else ''}: {detail.rstrip('.')}.{unchanged}"
    return ApiError(status, code, what, tuple(map(str, told.get("parameters", []))), field)


def part(text: str) -> str:
    """Return a name or id as a part of a path."""
    return quote(text, safe="")


def project_path(api: ApiClient, project: str) -> str:
    """Return the path of a project by its name or its id.

    Raises:
        ApiError: the caller has no role in such a project.
    """
    for found in api.all("/groups"):
        if project in (found["id"], found["name"]):
            return f"/groups/{found['id']}"
    told = f"this API key has no role in a project {project!r}. Nothing was changed; `keystore project list` shows all."
    raise ApiError(404, "GROUP_NOT_FOUND", told)


def with_api(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that lead a command to the API; it gets an `ApiClient` as `api`."""

    @click.option("--api-url", metavar="URL", envvar=URL, required=True, help=f"Where the API is.  [env: {URL}]")
    @click.option(
        "--public-key",
        metavar="KEY",
        envvar=PUBLIC_KEY,
        required=True,
        help=f"Public half of the API key; the private half comes from {PRIVATE_KEY}.  [env: {PUBLIC_KEY}]",
    )
    @functools.wraps(function)
    def command(*args: Any, api_url: str, public_key: str, **kwargs: Any) -> Any:
        private_key = os.environ.get(PRIVATE_KEY)
        if not private_key:
            raise InputError(f"no private API key was given. Nothing was sent; set {PRIVATE_KEY}.")
        return function(*args, api=ApiClient(api_url, public_key, private_key, os.environ.get(CA)), **kwargs)

    return command
