"""The shapes of AWS's API, from shapes.json: what each operation takes and gives, and what constrains its members."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb


@dataclass(frozen=True, slots=True)
class Shape:
    """A type of the API.

    Attributes:
        type: string, blob, integer, boolean, timestamp, list, map or structure.
        min, max: bounds of the value of an integer, and of the length of everything else.
        member, value: names of the shapes of a list's items and a map's values.
        members: of a structure, in the order of the fields of its message.
    """

    name: str
    type: str
    min: int | None = None
    max: int | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    member: str = ""
    value: str = ""
    members: tuple["Member", ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure: its name in JSON, in the message, and in the text of errors."""

    name: str
    field: str
    spoken: str
    shape: str
    required: bool


@dataclass(frozen=True, slots=True)
class Described:
    """An operation: its input shape, its output shape if it has one, and the errors it may answer with."""

    name: str
    input: str
    output: str
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """The whole API."""

    version: str
    target_prefix: str
    operations: Mapping[str, Described]
    errors: Mapping[str, int]
    shapes: Mapping[str, Shape]


@cache
def api() -> Api:
    """Return the API; read once."""
    found = json.loads(Path(__file__).with_name("shapes.json").read_text(encoding="utf-8"))
    operations = {
        name: Described(name, value["input"], value["output"] or "", tuple(value["errors"]))
        for name, value in found["operations"].items()
    }
    requests = {operation.input for operation in operations.values()}
    return Api(
        version=found["api_version"],
        target_prefix=found["target_prefix"],
        operations=operations,
        errors=found["errors"],
        shapes={name: _shape(name, value, name in requests) for name, value in found["shapes"].items()},
    )


def _shape(name: str, facts: Mapping[str, Any], is_request: bool) -> Shape:
    return Shape(
        name=name,
        type=facts["type"],
        min=facts.get("min"),
        max=facts.get("max"),
        pattern=facts.get("pattern", ""),
        enum=tuple(facts.get("enum", ())),
        sensitive=facts.get("sensitive", False),
        member=facts.get("member", ""),
        value=facts.get("value", ""),
        members=_members(name, facts, is_request) if "members" in facts else (),
    )


def _members(name: str, facts: Mapping[str, Any], is_request: bool) -> tuple[Member, ...]:
    fields = [field.name for field in getattr(pb, name).DESCRIPTOR.fields][1 if is_request else 0 :]
    required = facts["required"]
    return tuple(
        Member(member, field, _spoken(member), shape, member in required)
        for (member, shape), field in zip(facts["members"].items(), fields, strict=True)
    )


def _spoken(member: str) -> str:
    """Return a member's name as AWS's errors have it: KeyId is keyId, XksKeyId is xksKeyId."""
    return re.sub(r"^[A-Z]+(?=[A-Z][a-z])|^[A-Z]", lambda found: found[0].lower(), member)
