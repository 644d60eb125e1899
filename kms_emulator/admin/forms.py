"""Messages as JSON for people: snake_case, numbers as numbers, times as RFC 3339, lengths of time as seconds.

Protobuf's own JSON writes 64-bit integers as text and durations as ``"1.5s"``; both are read here too, and ``"30d"``.
"""

import json
import re
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kms_emulator.admin.errors import RefusedError
from kms_emulator.wire.times import SECOND_NS, duration_ns

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
A_LENGTH, A_TIME = "a length of time such as 90s, 15m, 24h or 30d", "a time such as 2030-01-01T00:00:00Z"
LENGTH_PATTERN = re.compile(r"([0-9]{1,12})([smhd])")
POLICY_FIELD = "policy"
"""The field that is a JSON document as text; an object stands for its text."""
_DURATION, _TIMESTAMP = "google.protobuf.Duration", "google.protobuf.Timestamp"

Form = TypeVar("Form", bound=Message)


def length_s(text: str) -> int | None:
    """Return the seconds of a number with s, m, h or d; None if the text is none."""
    parts = LENGTH_PATTERN.fullmatch(text)
    return int(parts[1]) * UNITS_S[parts[2]] if parts else None


def known_length_s(text: str) -> int:
    """Return the seconds of a number with s, m, h or d; ValueError, with the form it should have, if it is none."""
    seconds = length_s(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not {A_LENGTH}")
    return seconds


def read_form(form: type[Form], text: bytes) -> Form:
    """Return the message of a JSON object; nothing at all is an empty one.

    Raises:
        RefusedError: not JSON, not an object, or not what the message holds; the text says where.
    """
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the body is not JSON: {error}") from None
    return form_of(form, value)


def form_of(form: type[Form], value: object) -> Form:
    """Return the message of a JSON value; see `read_form`."""
    if not isinstance(value, dict):
        raise RefusedError("the body must be a JSON object")
    for field in form.DESCRIPTOR.fields:
        if field.message_type is not None and field.name in value:
            value = value | {field.name: _well_formed(field, value[field.name])}
    if POLICY_FIELD in form.DESCRIPTOR.fields_by_name and isinstance(value.get(POLICY_FIELD), dict):
        value = value | {POLICY_FIELD: json.dumps(value[POLICY_FIELD])}
    try:
        message = form()
        json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise RefusedError(str(error)) from None
    return message


def to_form(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object, with all its fields but submessages that are not set."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields if _shown(message, field)}


def _shown(message: Message, field: Any) -> bool:
    return not field.has_presence or bool(message.HasField(field.name))


def _value(message: Message, field: Any) -> Any:
    value: Any = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_single(item) for item in value]
    return _single(value)


def _single(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    if value.DESCRIPTOR.full_name == _TIMESTAMP:
        return value.ToJsonString()  # type: ignore[attr-defined] # only well-known types have it
    if value.DESCRIPTOR.full_name == _DURATION:
        return duration_ns(value) / SECOND_NS  # type: ignore[arg-type] # it is one
    return to_form(value)


def _well_formed(field: Any, value: object) -> object:
    """Return a length of time or a time as protobuf's JSON has it; RefusedError for a text that is none."""
    kind = field.message_type.full_name
    if kind == _DURATION and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.9f}s"
    if not isinstance(value, str) or kind not in (_DURATION, _TIMESTAMP):
        return value
    seconds = length_s(value) if kind == _DURATION else None
    if seconds is not None:
        return f"{seconds}s"
    try:
        Duration().FromJsonString(value) if kind == _DURATION else Timestamp().FromJsonString(value)
    except ValueError:
        raise RefusedError(f"{field.name}: {value!r} is not {A_LENGTH if kind == _DURATION else A_TIME}") from None
    return value
