"""Conditions of policies: operators, set qualifiers, and what a missing key means.

Source: IAM user guide, "IAM JSON policy elements: Condition operators". Keys are compared without regard to case,
values as their operator says. Time comes in as a value of the request, never from a clock.
"""

import base64
import binascii
import calendar
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

Values = Mapping[str, tuple[str, ...]]
"""What is known of a request: values by condition key in lower case. A key that is not there has no value."""

Compare = Callable[[str, str], bool]
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}


class ConditionError(ValueError):
    """A condition that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key.

    Attributes:
        compare: tells whether a value of the request matches one of the policy.
        negated: the operator wants no value of the policy to match.
        if_exists: a missing key satisfies it.
        quantifier: "forallvalues", "foranyvalue" or nothing.
        variables: whether ``${key}`` in a value stands for a value of the request.
    """

    compare: Compare | None
    negated: bool
    if_exists: bool
    quantifier: str
    key: str
    wanted: tuple[str, ...]
    variables: bool

    def holds(self, values: Values) -> bool:
        """Tell whether the request satisfies the condition."""
        present = values.get(self.key, ())
        if self.compare is None:
            return any((not present) is (wanted.lower() == "true") for wanted in self.wanted)
        if not present:
            if self.if_exists or self.quantifier == "forallvalues":
                return True
            return self.negated and self.quantifier != "foranyvalue"
        held = [self._matches(value, values) is not self.negated for value in present]
        if self.quantifier:
            return all(held) if self.quantifier == "forallvalues" else any(held)
        return all(held) if self.negated else any(held)

    def _matches(self, value: str, values: Values) -> bool:
        compare = self.compare
        assert compare is not None
        wanted = (substitute(text, values) for text in self.wanted) if self.variables else self.wanted
        return any(text is not None and compare(value, text) for text in wanted)


def parse_condition(operator: str, key: str, wanted: tuple[str, ...], *, variables: bool) -> Condition:
    """Return the condition; ConditionError if there is no such operator, or a value that it cannot compare."""
    quantifier, colon, name = operator.lower().rpartition(":")
    if colon and quantifier not in ("forallvalues", "foranyvalue"):
        raise ConditionError(f"there is no condition operator {operator}")
    if_exists = name.endswith("ifexists") and name != "null"
    name = name.removesuffix("ifexists") if if_exists else name
    if name == "null":
        return Condition(None, False, False, quantifier, key.lower(), wanted, variables)
    found = _OPERATORS.get(name)
    if found is None:
        raise ConditionError(f"there is no condition operator {operator}")
    compare, negated, check = found
    for value in wanted:
        if check is not None and "${" not in value and not check(value):
            raise ConditionError(f"the condition operator {operator} cannot compare the value given for {key}")
    return Condition(compare, negated, if_exists, quantifier, key.lower(), wanted, variables)


def substitute(text: str, values: Values) -> str | None:
    """Return the text with each ``${key}`` replaced; None if a key has not exactly one value."""
    if "${" not in text:
        return text
    found: list[str] = []
    end = 0
    for variable in _VARIABLE.finditer(text):
        value = _variable(variable[1], values)
        if value is None:
            return None
        found += text[end : variable.start()], value
        end = variable.end()
    return "".join((*found, text[end:]))


def _variable(expression: str, values: Values) -> str | None:
    name, comma, default = (part.strip() for part in expression.partition(","))
    if name in _LITERALS:
        return _LITERALS[name]
    present = values.get(name.lower(), ())
    if len(present) == 1:
        return present[0]
    return default.strip("'") if comma and not present else None


@lru_cache(maxsize=4096)
def wildcard(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Return the expression of a pattern in which ``*`` is any text and ``?`` any character.

    What stands between two stars is found at its first place and never looked for again (an atomic group), which is
    enough for a match: so the time grows with text times pattern, whatever somebody writes into a policy.
    """
    first, *rest = ["".join("." if char == "?" else re.escape(char) for char in part) for part in pattern.split("*")]
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    last = f".*{rest[-1]}" if rest else ""
    return re.compile(first + middle + last, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _like(value: str, wanted: str) -> bool:
    return wildcard(wanted).fullmatch(value) is not None


def _arn_like(value: str, wanted: str) -> bool:
    """Compare the six parts of an ARN one by one: a ``*`` does not reach over a colon, but for the last part."""
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    return len(parts) == len(patterns) and all(map(_like, parts, patterns))


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _numeric(compare: Callable[[float, float], bool]) -> Compare:
    def compare_text(value: str, wanted: str) -> bool:
        left, right = _number(value), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return compare_text


def epoch_s(text: str) -> float | None:
    """Return seconds since 1970 of a date of ISO 8601 or a number; None if it is neither, or no day of the calendar."""
    found = _DATE.fullmatch(text)
    if found is None:
        return _number(text)
    fields = tuple(int(part) if part else 0 for part in found.groups()[:6])
    year, month, day, hour, minute, second = fields
    if not (year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    zone = found[7] or "Z"
    seconds = calendar.timegm((*fields, 0, 0, 0))
    if zone == "Z":
        return seconds
    offset_s = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return seconds - offset_s if zone[0] == "+" else seconds + offset_s


def _dated(compare: Callable[[float, float], bool]) -> Compare:
    def compare_text(value: str, wanted: str) -> bool:
        left, right = epoch_s(value), epoch_s(wanted)
        return left is not None and right is not None and compare(left, right)

    return compare_text


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _in_network(value: str, wanted: str) -> bool:
    network = _network(wanted)
    try:
        return network is not None and ipaddress.ip_address(value) in network
    except ValueError:
        return False


def _same_bytes(value: str, wanted: str) -> bool:
    try:
        return base64.b64decode(value, validate=True) == base64.b64decode(wanted, validate=True)
    except (binascii.Error, ValueError):
        return False


def _equals(value: str, wanted: str) -> bool:
    return value == wanted


def _equals_ignoring_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _is_number(value: str) -> bool:
    return _number(value) is not None


def _is_date(value: str) -> bool:
    return epoch_s(value) is not None


def _is_network(value: str) -> bool:
    return _network(value) is not None


def _is_bool(value: str) -> bool:
    return value.lower() in ("true", "false")


_ORDER: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda left, right: left == right,
    "lessthan": lambda left, right: left < right,
    "lessthanequals": lambda left, right: left <= right,
    "greaterthan": lambda left, right: left > right,
    "greaterthanequals": lambda left, right: left >= right,
}
_OPERATORS: dict[str, tuple[Compare, bool, Callable[[str], bool] | None]] = {
    "stringequals": (_equals, False, None),
    "stringnotequals": (_equals, True, None),
    "stringequalsignorecase": (_equals_ignoring_case, False, None),
    "stringnotequalsignorecase": (_equals_ignoring_case, True, None),
    "stringlike": (_like, False, None),
    "stringnotlike": (_like, True, None),
    "arnequals": (_arn_like, False, None),
    "arnlike": (_arn_like, False, None),
    "arnnotequals": (_arn_like, True, None),
    "arnnotlike": (_arn_like, True, None),
    "bool": (_equals_ignoring_case, False, _is_bool),
    "binaryequals": (_same_bytes, False, None),
    "ipaddress": (_in_network, False, _is_network),
    "notipaddress": (_in_network, True, _is_network),
    "numericnotequals": (_numeric(_ORDER["equals"]), True, _is_number),
    "datenotequals": (_dated(_ORDER["equals"]), True, _is_date),
    **{f"numeric{name}": (_numeric(order), False, _is_number) for name, order in _ORDER.items()},
    **{f"date{name}": (_dated(order), False, _is_date) for name, order in _ORDER.items()},
}
