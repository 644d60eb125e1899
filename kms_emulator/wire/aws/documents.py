"""AWS JSON 1.1 to messages and back: CamelCase members, base64 blobs, timestamps as seconds since 1970.

As AWS does: members that are not known, or null, are passed over; a value of another type is refused.
"""

import binascii
from collections.abc import Callable, Mapping
from functools import cache
from json import JSONDecoder
from json.encoder import encode_basestring
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.shapes import Shape, api
from kms_emulator.wire.call import CloudError
from kms_emulator.wire.times import SECOND_NS

TIME_S_MAX = 253_402_300_799
"""LIMIT: the end of the year 9999, the last time a protobuf timestamp can hold."""

_INTEGER_MAX = 2**31 - 1
_WORDS = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}
_NAMES = {"blob": "ByteBuffer", "boolean": "Boolean", "integer": "Integer", "string": "String", "timestamp": "Date"}

_from_json = JSONDecoder().decode

Decode = Callable[[Any], Any]
Encode = Callable[[Any], str]
"""Returns the JSON text of a value."""


def decode(shape: str, body: bytes) -> Message:
    """Return the message of a JSON document.

    Raises:
        CloudError: SerializationException: not JSON, or a value of the wrong type.
    """
    try:
        value = _from_json(body.decode())
    except (ValueError, RecursionError):
        raise _refused("the body is not a JSON document") from None
    if type(value) is not dict:
        raise _refused("Unexpected token: the body must be a JSON object")
    message: Message = _decoder(shape)(value)
    return message


def encode(shape: str, message: Message) -> bytes:
    """Return the JSON document of a message."""
    return _encoder(shape)(message).encode()


@cache
def _decoder(name: str) -> Decode:
    shape = api().shapes[name]
    if shape.type == "structure":
        return _structure_decoder(shape)
    if shape.type == "list":
        return _list_decoder(shape)
    if shape.type == "map":
        return _map_decoder(shape)
    return _SCALARS[shape.type]


def _structure_decoder(shape: Shape) -> Decode:
    message_type: Callable[..., Message] = getattr(pb, shape.name)
    members = {member.name: (member.field, _decoder(member.shape)) for member in shape.members}
    maps = {member.field for member in shape.members if api().shapes[member.shape].type == "map"}

    def decode_structure(value: Any) -> Message:
        if type(value) is not dict:
            raise _refused("Unexpected token: expected the start of a structure")
        fields: dict[str, Any] = {}
        entries: dict[str, Mapping[str, str]] = {}
        for name, inner in value.items():
            if name in members and inner is not None:
                field, decode_member = members[name]
                (entries if field in maps else fields)[field] = decode_member(inner)
        try:
            message = message_type(**fields)
            for field, items in entries.items():
                kept = getattr(message, field)
                for key, item in items.items():  # given to the constructor, a map takes three times as long
                    kept[key] = item
        except ValueError:  # half of a surrogate pair
            raise _refused("a string is not Unicode text") from None
        return message

    return decode_structure


def _list_decoder(shape: Shape) -> Decode:
    def decode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _refused("Unexpected token: expected the start of a list")
        return [decode_item(item) for item in value]

    decode_item = _decoder(shape.member)
    return decode_list


def _map_decoder(shape: Shape) -> Decode:
    def decode_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _refused("Unexpected token: expected the start of a map")
        return {name: decode_value(inner) for name, inner in value.items()}

    decode_value = _decoder(shape.value)
    return decode_map


def _decode_string(value: Any) -> str:
    if type(value) is not str:
        raise _mismatch(value, "string")
    return value


def _decode_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _mismatch(value, "boolean")
    return value


def _decode_integer(value: Any) -> int:
    if type(value) is not int or abs(value) > _INTEGER_MAX:
        raise _mismatch(value, "integer")
    return value


def _decode_blob(value: Any) -> bytes:
    if type(value) is not str:
        raise _mismatch(value, "blob")
    try:
        return binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _refused("a blob is not base64") from None


def _decode_timestamp(value: Any) -> Timestamp:
    if type(value) not in (int, float) or not 0 <= value <= TIME_S_MAX:
        raise _mismatch(value, "timestamp")
    seconds, rest = divmod(value, 1)
    return Timestamp(seconds=int(seconds), nanos=round(rest * 1000) * 1_000_000 % SECOND_NS)


_SCALARS: Mapping[str, Decode] = {
    "blob": _decode_blob,
    "boolean": _decode_boolean,
    "integer": _decode_integer,
    "string": _decode_string,
    "timestamp": _decode_timestamp,
}


def _mismatch(value: Any, wanted: str) -> CloudError:
    """Return the error for a value of the wrong type; nothing of the value is repeated."""
    found = f"{value}_VALUE".upper() if type(value) is bool else _WORDS.get(type(value), "a structure or list")
    return _refused(f"{found} cannot be converted to {_NAMES[wanted]}")


def _refused(text: str) -> CloudError:
    return aws_error("SerializationException", text)


@cache
def _encoder(name: str) -> Encode:
    shape = api().shapes[name]
    if shape.type == "structure":
        return _structure_encoder(shape)
    if shape.type == "list":
        encode_item = _encoder(shape.member)
        return lambda items: f"[{','.join([encode_item(item) for item in items])}]"
    return _TEXTS[shape.type]


def _structure_encoder(shape: Shape) -> Encode:
    members = {member.field: (f'"{member.name}":', _encoder(member.shape)) for member in shape.members}
    # Pages and families have their lists also when those are empty; elsewhere an empty list does not apply.
    always = not members.keys().isdisjoint({"truncated", "replica_keys"})
    lists = [member for member in shape.members if always and api().shapes[member.shape].type == "list"]

    def encode_structure(message: Message) -> str:
        texts = [f'"{member.name}":[]' for member in lists if not getattr(message, member.field)]
        for field, value in message.ListFields():
            name, encode_member = members[field.name]
            texts.append(name + encode_member(value))
        return f"{{{','.join(texts)}}}"

    return encode_structure


def _encode_map(items: Mapping[str, str]) -> str:
    """Return the entries in order of their names: a message has them in an order that changes from run to run."""
    texts = [f"{encode_basestring(name)}:{encode_basestring(item)}" for name, item in sorted(items.items())]
    return f"{{{','.join(texts)}}}"


def _encode_boolean(value: bool) -> str:
    return "true" if value else "false"


def _encode_blob(value: bytes) -> str:
    return f'"{binascii.b2a_base64(value, newline=False).decode()}"'


def _encode_timestamp(value: Timestamp) -> str:
    return repr(value.seconds + value.nanos // 1_000_000 / 1000 if value.nanos else value.seconds)


_TEXTS: Mapping[str, Encode] = {
    "blob": _encode_blob,
    "boolean": _encode_boolean,
    "integer": repr,
    "map": _encode_map,
    "string": encode_basestring,
    "timestamp": _encode_timestamp,
}
"""What encodes the other types; the only map of answers is a grant's constraint, of strings."""
