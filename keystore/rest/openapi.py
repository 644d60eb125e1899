"""The OpenAPI document, made from the tables of routes and their types: what is served is what is described."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from keystore.projects.ids import END, PATTERN
from keystore.rest import media
from keystore.rest.routing import Answer, Route

_SCHEMAS = "#/components/schemas/{name}"
_PLACE_PATTERN = rf"^[^/\x00-\x1f\x7f]{{1,64}}{END}"


class FieldViolation(Answer, frozen=True):
    """A field that was wrong."""

    field: str
    description: str


class BadRequestDetail(Answer, frozen=True):
    """Which fields were wrong."""

    fields: list[FieldViolation]


class ErrorAnswer(Answer, frozen=True, omit_defaults=False):
    """How every error is told."""

    detail: str
    error: int
    error_code: str
    parameters: list[str]
    reason: str
    bad_request_detail: BadRequestDetail | None


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document of these routes."""
    types = [ErrorAnswer, *(kind for route in routes for kind in (route.answer, route.query, route.body) if kind)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    by_type = {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.full_path, {})[route.method.lower()] = _operation(route, by_type, components)
    queries = {route.query.__name__ for route in routes if route.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "keystore control plane", "version": version("cmk-keystore")},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "basic"}},
        },
        "security": [{"apiKey": []}],
    }


def _operation(route: Route, by_type: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    statuses = [400, 401, 403, 404, 405, 406, 409, 413, 429, 500, 503, *([415] if route.body else [])]
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route, components)],
        "responses": {
            str(route.status): {"description": "done", **_content(by_type.get(repr(route.answer)))},
            **{str(status): _error(status, by_type) for status in sorted(statuses)},
        },
    }
    if route.roles:
        operation["x-roles"] = [role.value for role in route.roles]
    if route.body:
        operation["requestBody"] = {"required": True, **_content(by_type[repr(route.body)])}
    return operation


def _error(status: int, by_type: dict[str, Any]) -> dict[str, Any]:
    return {"description": media.REASONS[status], "content": {media.PLAIN: {"schema": by_type[repr(ErrorAnswer)]}}}


def _content(schema: Any) -> dict[str, Any]:
    if schema is None:
        return {}
    return {"content": {kind: {"schema": schema} for kind in (media.VERSIONED, media.PLAIN)}}


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            pattern = PATTERN if name.endswith("Id") else _PLACE_PATTERN
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _query_parameters(route: Route, components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    schema = components[route.query.__name__]
    for name, described in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": described}
