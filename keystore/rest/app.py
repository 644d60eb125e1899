"""The API as an ASGI application: from a request to its route, and from what came out of it to an answer.

The order in which a request is refused: path, size, key (429 after too many wrong ones, 401), project and role (403,
404), media types, query, body. A refusal for a missing role is written down as an event, with the role that was needed.

Leaves to others: TLS and sockets (`keystore.rest.serving`), what a route does.
"""

import base64
import binascii
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from keystore.errors import (
    AccessError,
    ApiError,
    ControlConflictError,
    ControlUnreachableError,
    InputError,
    KeystoreError,
    KmsUnreachableError,
    NodeUnreachableError,
)
from keystore.projects.access import Caller, authenticate, require_organization_role, require_role
from keystore.projects.api_keys import PUBLIC_LENGTH
from keystore.projects.codes import Code
from keystore.projects.events import record_event
from keystore.projects.ids import is_id
from keystore.projects.plane import ProjectPlane
from keystore.rest import media
from keystore.rest.attempts import Attempts
from keystore.rest.openapi import document
from keystore.rest.routes import ROUTES
from keystore.rest.routing import BASE, Call, Reply, Route

LOG = logging.getLogger("keystore.rest")

DOCUMENT_PATH = f"{BASE}/openapi.json"
"""Where the document is; without a key, for it says nothing about anybody."""

REFUSED = "ACCESS_REFUSED"
"""Type of the event of a caller who lacked a role."""


@dataclass(frozen=True)
class _Request:
    """What is needed of a request once its body is here."""

    path: dict[str, str]
    query: str
    accept: str
    content_type: str
    authorization: str
    body: bytes
    address: str


def create_app(plane: ProjectPlane, routes: Sequence[Route] = ROUTES) -> Starlette:
    """Return the application over `plane`."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.full_path, {})[route.method] = route
    attempts = Attempts()
    served = [StarletteRoute(path, _Endpoint(plane, attempts, methods)) for path, methods in by_path.items()]
    described = media.encode(document(routes))

    async def describe(request: Request) -> Response:
        return Response(described, media_type=media.PLAIN)

    app = Starlette(
        routes=[StarletteRoute(DOCUMENT_PATH, describe, methods=["GET"]), *served],
        exception_handlers={HTTPException: _not_routed},
    )
    app.router.redirect_slashes = False
    return app


class _Endpoint:
    """All methods of one path."""

    def __init__(self, plane: ProjectPlane, attempts: Attempts, methods: dict[str, Route]) -> None:
        self._plane, self._attempts, self._methods = plane, attempts, methods

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route = self._methods.get(request.method)
        if route is None:
            response = _error_response(Code.METHOD_NOT_ALLOWED.error(request.method))
            response.headers["Allow"] = ", ".join(sorted(self._methods))
            return response
        try:
            body = await _read_body(request)
        except ApiError as error:
            return _error_response(error)
        except ClientDisconnect:
            return Response()  # which nobody gets
        headers = request.headers
        given = _Request(
            dict(request.path_params),
            request.scope["query_string"].decode("latin-1"),
            headers.get("accept", ""),
            headers.get("content-type", ""),
            headers.get("authorization", ""),
            body,
            request.client.host if request.client else "",
        )
        return await run_in_threadpool(_respond, self._plane, self._attempts, route, given)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > media.BODY_BYTES_MAX:
            raise Code.REQUEST_TOO_LARGE.error(str(media.BODY_BYTES_MAX))
    return bytes(body)


def _respond(plane: ProjectPlane, attempts: Attempts, route: Route, given: _Request) -> Response:
    caller = None
    try:
        caller = _caller(plane, attempts, given)
        _require(plane, route, given, caller)
        media_type = media.answer_type(given.accept)
        query = None if route.query is None else media.decode_query(_parameters(given.query), route.query)
        body = None if route.body is None else media.decode_body(given.body, given.content_type, route.body)
        found = route.handle(Call(plane, caller, given.path, query, body))
    except AccessError as error:
        _record_refusal(plane, caller, route, error)
        return _error_response(error)
    except KeystoreError as error:
        return _error_response(_told(error, route))
    except Exception:
        LOG.exception("%s failed", route.operation_id)
        return _error_response(Code.UNEXPECTED_ERROR.error())
    reply = found if isinstance(found, Reply) else Reply(found, route.status)
    content = b"" if reply.value is None else media.encode(reply.value)
    return Response(content, reply.status, media_type=media_type if content else None)


def _caller(plane: ProjectPlane, attempts: Attempts, given: _Request) -> Caller:
    scheme, _, encoded = given.authorization.partition(" ")
    try:
        public_key, _, private_key = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Code.UNAUTHORIZED.error() from None
    is_name = public_key.isalnum() and len(public_key) <= PUBLIC_LENGTH
    if scheme.lower() != "basic" or not is_name or not private_key:
        raise Code.UNAUTHORIZED.error()
    attempts.require_few(given.address, public_key)
    try:
        with plane.database.read() as connection:
            caller = authenticate(connection, public_key, private_key)
    except ApiError:
        attempts.failed(given.address, public_key)
        raise
    attempts.succeeded(given.address, public_key)
    return caller


def _require(plane: ProjectPlane, route: Route, given: _Request, caller: Caller) -> None:
    for name, value in given.path.items():
        if name.endswith("Id") and not is_id(value):
            raise Code.INVALID_ID.error(value, field=name)
    if "groupId" in given.path:
        with plane.database.read() as connection:
            require_role(connection, caller, given.path["groupId"], *route.roles)
    elif "orgId" in given.path:
        require_organization_role(caller, given.path["orgId"], *route.roles)


def _parameters(query: str) -> dict[str, list[str]]:
    try:
        found = parse_qs(query, keep_blank_values=True, strict_parsing=False, errors="strict")
    except ValueError:
        raise Code.INVALID_QUERY_PARAMETER.error("", "it cannot be read") from None
    for name, values in found.items():
        if any("\x00" in text for text in (name, *values)):
            raise Code.INVALID_QUERY_PARAMETER.error(name, "it has a NUL character", field=name)
    return found


def _record_refusal(plane: ProjectPlane, caller: Caller | None, route: Route, error: AccessError) -> None:
    actor = caller.actor if caller else ""
    detail = {"operation": route.operation_id, "needed": list(error.needed)}
    try:
        with plane.database.write() as connection:
            where = (error.project_id, None, actor, plane.clock.now_ns(), detail, error.organization_id)
            record_event(connection, REFUSED, *where)
    except KeystoreError as not_recorded:
        LOG.error("the refusal of %s to %s was not recorded: %s", route.operation_id, actor, not_recorded)


def _told(error: KeystoreError, route: Route) -> ApiError:
    """Return what a request is told of an error of another kind."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ControlConflictError):
        return Code.CONFLICT.error()
    if isinstance(error, ControlUnreachableError | KmsUnreachableError | NodeUnreachableError):
        return Code.SERVICE_UNAVAILABLE.error(str(error))
    if isinstance(error, InputError):
        return Code.INVALID_ATTRIBUTE.error("body", str(error))
    LOG.error("%s failed: %s: %s", route.operation_id, type(error).__name__, error)
    return Code.UNEXPECTED_ERROR.error()


def _error_response(error: ApiError) -> Response:
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="keystore"'
    if error.status == 429:
        headers["Retry-After"] = error.parameters[0]
    return Response(media.error_body(error), error.status, headers, media.PLAIN)


async def _not_routed(request: Request, error: Exception) -> Response:
    return _error_response(Code.RESOURCE_NOT_FOUND.error(request.scope["path"]))
