"""Policies: JSON documents that allow and deny, and what they decide about one request.

Three kinds are read: of a resource (who may do what with it), of an identity (what it may do), and of trust (who may
become a role). Source: IAM user guide, "Grammar of the IAM JSON policy language" and "Policy evaluation logic".

Invariants:
1. A statement that denies wins over all that allow, wherever it stands.
2. What no statement allows is not allowed.
3. A document is understood as a whole or refused: no part of it is passed over.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

from kms_emulator.model.conditions import Condition, ConditionError, Values, parse_condition, substitute, wildcard
from kms_emulator.model.errors import ModelError

VERSIONS = ("2008-10-17", "2012-10-17")
PRINCIPAL_KINDS = ("AWS", "Service", "Federated", "CanonicalUser")
ANYBODY = "*"
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_ARN_OR_ANY = re.compile(r"\*|arn:.+", re.DOTALL)
_POLICY_KEYS = {"Version", "Id", "Statement"}
_STATEMENT_KEYS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip


class PolicyError(ModelError):
    """The document is not a policy."""


class PolicyKind(Enum):
    """Whose policy it is: that decides which elements it must have."""

    RESOURCE = "resource"
    IDENTITY = "identity"
    TRUST = "trust"


class Decision(Enum):
    """What a policy says to a request, from weakest to strongest.

    `DELEGATED`: allowed to the requester's whole account, so that its own policies decide.
    """

    SILENT = 0
    DELEGATED = 1
    ALLOWED = 2
    DENIED = 3


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What is asked of policies.

    Attributes:
        action: ``service:Operation``.
        resource: full name of what it is done to.
        names: all names under which a policy may mean exactly this requester.
        account_names: the names that mean everybody in the requester's account.
        values: condition keys.
    """

    action: str
    resource: str
    names: frozenset[str]
    account_names: frozenset[str]
    values: Values


@dataclass(frozen=True, slots=True)
class Choice:
    """One element that may be given plainly or with "Not"."""

    listed: tuple[str, ...]
    inverted: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `principals` or `resources` is None where the kind of policy has none."""

    allows: bool
    principals: Choice | None
    actions: Choice
    resources: Choice | None
    conditions: tuple[Condition, ...]
    variables: bool

    def decide(self, request: AccessRequest) -> Decision:
        """Return what this statement says to the request."""
        named = self._named(request)
        if named is Decision.SILENT or not self._covers(request):
            return Decision.SILENT
        if not all(condition.holds(request.values) for condition in self.conditions):
            return Decision.SILENT
        return named if self.allows else Decision.DENIED

    def _named(self, request: AccessRequest) -> Decision:
        """Tell whether the requester is meant: itself, by its account, or not at all."""
        if self.principals is None:
            return Decision.ALLOWED
        listed = self.principals.listed
        itself = ANYBODY in listed or not request.names.isdisjoint(listed)
        if self.principals.inverted:
            return Decision.SILENT if itself else Decision.ALLOWED
        if itself:
            return Decision.ALLOWED
        return Decision.SILENT if request.account_names.isdisjoint(listed) else Decision.DELEGATED

    def _covers(self, request: AccessRequest) -> bool:
        actions, resources = self.actions, self.resources
        acts = any(wildcard(item, ignore_case=True).fullmatch(request.action) for item in actions.listed)
        if acts is actions.inverted:
            return False
        if resources is None:
            return True
        return any(self._is_resource(item, request) for item in resources.listed) is not resources.inverted

    def _is_resource(self, pattern: str, request: AccessRequest) -> bool:
        if pattern == "*":
            return True
        text = substitute(pattern, request.values) if self.variables else pattern
        return text is not None and wildcard(text).fullmatch(request.resource) is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """A document that was understood."""

    statements: tuple[Statement, ...]

    def decide(self, request: AccessRequest) -> Decision:
        """Return the strongest of what its statements say."""
        return strongest(statement.decide(request) for statement in self.statements)

    def principals(self) -> frozenset[str]:
        """Return every principal that it names."""
        choices = (statement.principals for statement in self.statements)
        return frozenset(name for choice in choices if choice is not None for name in choice.listed)


def strongest(decisions: Iterable[Decision]) -> Decision:
    """Return the strongest decision, `SILENT` if there is none."""
    return max(decisions, key=lambda decision: decision.value, default=Decision.SILENT)


@lru_cache(maxsize=2048)
def parse_policy(text: str, kind: PolicyKind) -> Policy:
    """Return the policy of a document.

    Raises:
        PolicyError: it is not JSON, or not a policy of that kind; the message says where.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise PolicyError("the policy is not valid JSON") from None
    if not isinstance(document, dict):
        raise PolicyError("the policy is not a JSON object")
    _check_keys(document, _POLICY_KEYS, "the policy")
    version = document.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise PolicyError(f"Version must be one of {', '.join(VERSIONS)}")
    statements = document.get("Statement")
    items: list[Any] = statements if isinstance(statements, list) else [statements]
    if not items or not all(isinstance(item, dict) for item in items):
        raise PolicyError("Statement must hold one statement or more")
    _check_sids(items)
    return Policy(tuple(_statement(item, kind, variables=version == VERSIONS[1]) for item in items))


def _statement(item: Mapping[str, Any], kind: PolicyKind, *, variables: bool) -> Statement:
    _check_keys(item, _STATEMENT_KEYS, "a statement")
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError("Effect must be Allow or Deny")
    principals = None
    if kind is PolicyKind.IDENTITY:
        _forbid(item, "Principal", "an identity's policy")
    else:
        principals = _choice(item, "Principal", _principals)
    resources = None
    if kind is PolicyKind.TRUST:
        _forbid(item, "Resource", "a role's trust policy")
    else:
        resources = _choice(item, "Resource", _checked(_ARN_OR_ANY, "Resource"))
    return Statement(
        allows=effect == "Allow",
        principals=principals,
        actions=_choice(item, "Action", _checked(_ACTION, "Action")),
        resources=resources,
        conditions=_conditions(item.get("Condition", {}), variables=variables),
        variables=variables,
    )


def _choice(item: Mapping[str, Any], name: str, read: Callable[[object], tuple[str, ...]]) -> Choice:
    given = [key for key in (name, f"Not{name}") if key in item]
    if len(given) != 1:
        raise PolicyError(f"a statement must have either {name} or Not{name}")
    return Choice(read(item[given[0]]), inverted=given[0] != name)


def _checked(pattern: re.Pattern[str], name: str) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        found = _texts(value, name)
        if not found or not all(pattern.fullmatch(text) for text in found):
            raise PolicyError(f"{name} holds something that is none")
        return found

    return read


def _principals(value: object) -> tuple[str, ...]:
    """Return the principals; those of services and others carry their kind, so that no ARN can mean them."""
    if value == ANYBODY:
        return (ANYBODY,)
    if not isinstance(value, dict) or not value:
        raise PolicyError('Principal must be "*" or an object')
    found: list[str] = []
    for kind, names in value.items():
        if kind not in PRINCIPAL_KINDS:
            raise PolicyError(f"there is no principal of the kind {kind}")
        listed = _texts(names, "Principal")
        found += listed if kind == PRINCIPAL_KINDS[0] else (f"{kind}:{name}" for name in listed)
    if not found:
        raise PolicyError("Principal is empty")
    return tuple(found)


def _conditions(value: object, *, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(value, dict) or not all(isinstance(keys, dict) for keys in value.values()):
        raise PolicyError("Condition must be an object of operators, each an object of keys")
    try:
        return tuple(
            parse_condition(operator, key, _texts(wanted, "Condition", scalars=True), variables=variables)
            for operator, keys in value.items()
            for key, wanted in keys.items()
        )
    except ConditionError as error:
        raise PolicyError(str(error)) from None


def _texts(value: object, name: str, *, scalars: bool = False) -> tuple[str, ...]:
    """Return one text or a list of them; `scalars` takes numbers and truth values as texts."""
    items = value if isinstance(value, list) else [value]
    if scalars:
        items = [_scalar(item) for item in items]
    if not all(isinstance(item, str) for item in items):
        raise PolicyError(f"{name} must hold texts")
    return tuple(items)


def _scalar(item: object) -> object:
    if isinstance(item, bool):
        return "true" if item else "false"
    return str(item) if isinstance(item, int | float) else item


def _forbid(item: Mapping[str, Any], name: str, where: str) -> None:
    if name in item or f"Not{name}" in item:
        raise PolicyError(f"{where} has no {name}")


def _check_keys(document: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = document.keys() - known
    if unknown:
        raise PolicyError(f"{where} has no element {min(unknown)}")


def _check_sids(items: list[dict[str, Any]]) -> None:
    sids = [item["Sid"] for item in items if "Sid" in item]
    if not all(isinstance(sid, str) for sid in sids):
        raise PolicyError("Sid must be a text")
    if len(set(sids)) != len(sids):
        raise PolicyError("two statements have the same Sid")


Item = TypeVar("Item")


def _unique(pairs: list[tuple[str, Item]]) -> dict[str, Item]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyError("an element is given twice")
    return found
