"""Reads YAML or JSON strictly: every value is asked for by name and type, and every complaint names its line.

Leaves to others: what the values mean.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

BYTES_MAX = 1 << 22
"""LIMIT: bytes of a seed file."""

COMPLAINTS_MAX = 20
"""LIMIT: complaints in one message."""


class ComplaintError(Exception):
    """What is wrong at one place of a file."""

    def __init__(self, line: int, path: str, text: str) -> None:
        self.line, self.path, self.text = line, path, text
        super().__init__(f"line {line}: {path}: {text}" if path else f"line {line}: {text}")


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file, where it stands, and its name."""

    node: yaml.Node
    path: str

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def refuse(self, text: str) -> ComplaintError:
        """Return a complaint about this value."""
        return ComplaintError(self.line, self.path, text)

    def fields(self, known: Mapping[str, bool]) -> dict[str, "Place"]:
        """Return the values of a mapping by name; `known` says which names there are, and whether one must be there."""
        found = dict(self.entries())
        for name, place in found.items():
            if name not in known:
                raise place.refuse(f"there is no such field; there are {', '.join(known)}")
        for name, needed in known.items():
            if needed and name not in found:
                raise self.refuse(f"{name} is missing")
        return found

    def entries(self) -> Iterator[tuple[str, "Place"]]:
        """Yield the names and values of a mapping."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.refuse("must be a mapping")
        seen: set[str] = set()
        for name_node, node in self.node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else ""
            if not _is_whole(name):
                raise self.refuse("a name must be whole characters")
            path = f"{self.path}.{name}" if self.path else name
            place = Place(node, path)
            if not isinstance(name_node, yaml.ScalarNode) or name in seen:
                raise ComplaintError(int(name_node.start_mark.line) + 1, path, "a name must be text, and stand once")
            seen.add(name)
            yield name, place

    def items(self) -> list["Place"]:
        """Return the values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.refuse("must be a list")
        return [Place(node, f"{self.path}[{number}]") for number, node in enumerate(self.node.value)]

    def text(self) -> str:
        """Return a text, also of what only looks like a number, such as an account."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag.endswith((":null", ":bool", ":binary")):
            raise self.refuse("must be text; put it in quotes")
        text = str(self.node.value)
        if not _is_whole(text):
            raise self.refuse("must be whole characters")
        return text

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.value not in ("true", "false"):
            raise self.refuse("must be true or false")
        return bool(self.node.value == "true")

    def number(self, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        text = self.node.value if isinstance(self.node, yaml.ScalarNode) else ""
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most):
            raise self.refuse(f"must be a number from {least} to {most}")
        return int(text)

    def document(self) -> str:
        """Return a JSON document: written out as a mapping, or as text that holds it."""
        if isinstance(self.node, yaml.ScalarNode):
            return self.text()
        plain: Any = yaml.SafeLoader("").construct_document(self.node)
        try:
            return json.dumps(plain)
        except (TypeError, ValueError):
            raise self.refuse("must be what JSON can hold; put dates in quotes") from None


class Unique:
    """Names that may stand once in a file."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Place] = {}

    def check(self, kind: str, name: str, place: Place) -> str:
        first = self._places.setdefault((kind, name), place)
        if first is not place:
            raise place.refuse(f"{kind} {name} stands in line {first.line} already")
        return name


def _is_whole(text: str) -> bool:
    """Tell whether no message refuses a text: YAML can write halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def matching(place: Place, pattern: re.Pattern[str]) -> str:
    """Return a text that matches as a whole."""
    text = place.text()
    if not pattern.fullmatch(text):
        raise place.refuse(f"must match {pattern.pattern}")
    return text


def parse(text: str, *, is_json: bool) -> Place:
    """Return the top of a document.

    Raises:
        ComplaintError: not YAML, or not JSON.
    """
    if is_json:
        try:
            json.loads(text)
        except ValueError as error:
            raise ComplaintError(getattr(error, "lineno", 1), "", f"not JSON: {error}") from None
        # What is valid JSON may have tabs between values, where YAML takes none; inside text JSON has no raw tabs.
        text = text.replace("\t", " ")
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ComplaintError(
            mark.line + 1 if mark else 1, "", f"not YAML: {getattr(error, 'problem', error)}"
        ) from None
    except RecursionError:
        raise ComplaintError(1, "", "nested too deeply") from None
    if node is None:
        raise ComplaintError(1, "", "the file is empty")
    return Place(node, "")
