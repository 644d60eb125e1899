"""Bodies and their media types: what a request may bring, and what it is answered with.

Invariants:
1. A body is read up to its limit and decoded into the route's type; nothing else of it is looked at.
2. No text of an error has a value of the body in it, which may be a secret.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from keystore.errors import ApiError
from keystore.projects.codes import Code
from keystore.rest.patterns import form_of

VERSIONED = "application/vnd.atlas.2023-01-01+json"
PLAIN = "application/json"
BODY_BYTES_MAX = 1 << 18
"""LIMIT: bytes of a body; the largest that is any use, a service account's key, has a few thousand."""

_VERSIONED = re.compile(r"application/vnd\.atlas\.(\d{4}-\d{2}-\d{2})\+json")
_FIELD = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?P<what>required|unknown) field `(?P<name>[^`]*)`")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def answer_type(accept: str) -> str:
    """Return the media type to answer with: plain JSON only where nothing else is taken.

    Raises:
        ApiError: what is taken is neither.
    """
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    if not wanted or any(part in ("*/*", "application/*") or _is_versioned(part) for part in wanted):
        return VERSIONED
    if PLAIN in wanted:
        return PLAIN
    raise Code.INVALID_MEDIA_TYPE.error(", ".join(wanted))


def decode_body(raw: bytes, content_type: str, wanted: Any) -> Any:
    """Return a body as the type `wanted`.

    Raises:
        ApiError: it is of another media type, is not JSON, or is not what was wanted.
    """
    given = content_type.partition(";")[0].strip().lower()
    if given != PLAIN and not _is_versioned(given):
        raise Code.UNSUPPORTED_MEDIA_TYPE.error(given or "none")
    if _NUL.search(raw):
        raise Code.INVALID_JSON.error("a text has a NUL character")
    try:
        return msgspec.json.decode(raw, type=wanted)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Code.INVALID_JSON.error("it cannot be read" if raw else "there is none") from None


def decode_query(given: Mapping[str, list[str]], wanted: Any) -> Any:
    """Return the parameters of a query as the type `wanted`; one that is a list there may come several times.

    Raises:
        ApiError: one is unknown, comes twice, or has a value that it cannot have.
    """
    lists = {field.encode_name for field in msgspec.structs.fields(wanted) if field.default_factory is list}
    values: dict[str, object] = {}
    for name, found in given.items():
        if name not in lists and len(found) > 1:
            raise Code.INVALID_QUERY_PARAMETER.error(name, "it came more than once", field=name)
        values[name] = found if name in lists else found[0]
    try:
        return msgspec.convert(values, wanted, strict=False)
    except msgspec.ValidationError as error:
        found_error = _invalid(str(error))
        reason = found_error.parameters[1] if len(found_error.parameters) > 1 else "it is required"
        raise Code.INVALID_QUERY_PARAMETER.error(found_error.field, reason, field=found_error.field) from None


def encode(value: Any) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(value)


def error_body(error: ApiError) -> bytes:
    """Return what an error is told with, in the form of the Atlas API."""
    fields = [{"field": error.field, "description": str(error)}] if error.field else []
    return encode(
        {
            "detail": str(error),
            "error": error.status,
            "errorCode": error.code,
            "parameters": list(error.parameters),
            "reason": REASONS.get(error.status, ""),
            "badRequestDetail": {"fields": fields} if fields else None,
        }
    )


REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def _is_versioned(media_type: str) -> bool:
    found = _VERSIONED.fullmatch(media_type)
    return found is not None and found[1] >= "2023-01-01"


def _invalid(message: str) -> ApiError:
    at = _FIELD.search(message)
    path, what = (at["path"], message[: at.start()]) if at else ("", message)
    if named := _NAMED.search(what):
        path = f"{path}.{named['name']}".strip(".")
        if named["what"] == "required":
            return Code.MISSING_ATTRIBUTE.error(path, field=path)
        what = "there is no such attribute"
    elif what.startswith("Invalid enum value"):
        what = "it is none of the values that it may have"
    else:
        what = form_of(what) or what
    return Code.INVALID_ATTRIBUTE.error(path or "body", what, field=path or "body")
