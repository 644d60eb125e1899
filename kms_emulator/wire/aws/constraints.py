"""Holds requests to the constraints that AWS's model declares, and words what breaks them as AWS does.

All that is wrong with a request is told at once: "2 validation errors detected: Value null at 'keyId' failed to satisfy
constraint: Member must not be null; Value ...".
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter, methodcaller
from typing import Any

from google.protobuf.message import Message

from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.shapes import Member, Shape, api

Rule = tuple[Callable[[Any], bool], str]
"""Tells whether a value is what it must be, and says that, such as "have length less than or equal to 4096"."""

Check = Callable[[Any, str], Iterator[str]]
"""Yields the complaints about a value at a path."""


def checker(operation: str) -> Callable[[Message], None]:
    """Return what refuses an operation's requests with ValidationException; cheap to make, compiled when first used."""

    def check(request: Message) -> None:
        if complaints := list(_structure(api().operations[operation].input)(request, "")):
            plural = "s" if len(complaints) > 1 else ""
            text = f"{len(complaints)} validation error{plural} detected: {'; '.join(complaints)}"
            raise aws_error("ValidationException", text)

    return check


@cache
def _structure(name: str) -> Check:
    members = [(member, _check(member.shape)) for member in api().shapes[name].members]
    checked = [(member, check, _presence(member)) for member, check in members if check or member.required]

    def check(message: Any, path: str) -> Iterator[str]:
        for member, check, present in checked:
            if not present(message):
                if member.required:
                    yield f"Value null at '{path}{member.spoken}' failed to satisfy constraint: Member must not be null"
            elif check:
                yield from check(getattr(message, member.field), path + member.spoken)

    return check


def _presence(member: Member) -> Callable[[Any], Any]:
    """Return what gives something true if a message has the member."""
    if api().shapes[member.shape].type in ("list", "map"):
        return attrgetter(member.field)
    return methodcaller("HasField", member.field)


@cache
def _check(name: str) -> Check | None:
    shape = api().shapes[name]
    if shape.type == "structure":
        inner = _structure(name)
        return lambda message, path: inner(message, f"{path}.")
    if shape.type == "list":
        return _list(shape)
    rules = _rules(shape)
    if not rules:
        return None
    shown = shape.type != "blob" and not shape.sensitive

    def check(value: Any, path: str) -> Iterator[str]:
        for holds, text in rules:
            if not holds(value):
                yield _complaint(f"Value '{value}'" if shown else "Value", path, f"Member must {text}")

    return check


def _list(shape: Shape) -> Check:
    own, member = _rules(shape), api().shapes[shape.member]
    inner = _check(shape.member) if member.type == "structure" else None
    rules = _rules(member)

    def check(items: Any, path: str) -> Iterator[str]:
        for holds, text in own:
            if not holds(items):
                yield _complaint(f"Value '{_listed(items)}'", path, f"Member must {text}")
        if not all(holds(item) for item in items for holds, _ in rules):
            every = ", ".join(f"Member must {text}" for _, text in rules)
            yield _complaint(f"Value '{_listed(items)}'", path, f"Member must satisfy constraint: [{every}]")
        for number, item in enumerate(items if inner else (), 1):
            yield from inner(item, f"{path}.{number}.member") if inner else ()

    return check


def _listed(items: Any) -> str:
    return f"[{', '.join(str(item) for item in items)}]"


def _complaint(value: str, path: str, constraint: str) -> str:
    return f"{value} at '{path}' failed to satisfy constraint: {constraint}"


def _rules(shape: Shape) -> list[Rule]:
    is_integer = shape.type == "integer"
    size: Callable[[Any], int] = int if is_integer else len
    what, least, most = "value" if is_integer else "length", shape.min, shape.max
    rules: list[Rule] = []
    if most is not None:
        rules.append((lambda value: size(value) <= most, f"have {what} less than or equal to {most}"))
    if least is not None:
        rules.append((lambda value: size(value) >= least, f"have {what} greater than or equal to {least}"))
    if shape.pattern:
        # Java's classes \w, \d and \s are those of ASCII, and a pattern must match the whole value.
        matches = re.compile(shape.pattern, re.ASCII).fullmatch
        rules.append((lambda value: matches(value) is not None, f"satisfy regular expression pattern: {shape.pattern}"))
    if shape.enum:
        rules.append((frozenset(shape.enum).__contains__, f"satisfy enum value set: [{', '.join(shape.enum)}]"))
    return rules
