"""Grants: each lets one principal do some operations with one key, under constraints on the encryption context.

A grant allows and never denies. Grants end with their key, or when they are retired or revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

GRANTS_PER_KEY_MAX = 50_000
"""LIMIT: grants of one key (AWS KMS developer guide, "Resource quotas")."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant.

    Attributes:
        id: 64 hexadecimal digits, random.
        key_uid: the key's.
        name: chosen by who made it, or empty; the same request under the same name makes no second grant.
        grantee: who may use it.
        retiring: who may end it besides the key's administrators, or nobody.
        operations: what is allowed, in the order given.
        context_equals: the request's encryption context must be this one.
        context_subset: the request's encryption context must contain this.
    """

    id: str
    key_uid: bytes
    created_ns: int
    grantee: str
    operations: tuple[str, ...]
    name: str = ""
    retiring: str = ""
    context_equals: Mapping[str, str] | None = None
    context_subset: Mapping[str, str] | None = None

    def allows(self, operation: str, context: Mapping[str, str] | None) -> bool:
        """Tell whether it allows the operation; `context` is None where the operation has no encryption context."""
        if operation not in self.operations:
            return False
        if context is None:
            return True
        if self.context_equals is not None and dict(context) != dict(self.context_equals):
            return False
        return self.context_subset is None or self.context_subset.items() <= context.items()

    def covers(self, other: "Grant") -> bool:
        """Tell whether `other` allows nothing that this one does not."""
        if not set(other.operations) <= set(self.operations):
            return False
        theirs = other.context_equals if other.context_equals is not None else other.context_subset
        if self.context_equals is not None:
            return other.context_equals is not None and dict(other.context_equals) == dict(self.context_equals)
        return self.context_subset is None or (theirs is not None and self.context_subset.items() <= theirs.items())

    def same_request(self, other: "Grant") -> bool:
        """Tell whether both were asked for in the same words."""
        return replace(self, id=other.id, created_ns=other.created_ns) == other


class GrantStore(Protocol):
    """What grants need of a store; see `store.Store`."""

    def put_grant(self, grant: Grant) -> None:
        """Write a grant."""

    def remove_grant(self, grant_id: str) -> None:
        """Remove a grant."""


class Grants:
    """All grants, over the store; whoever removes a key calls `forget_key`."""

    def __init__(self, store: GrantStore, grants: list[Grant]) -> None:
        self._store = store
        self._grants: dict[bytes, dict[str, Grant]] = {}
        for grant in grants:
            self._keep(grant)

    def of_key(self, uid: bytes) -> list[Grant]:
        """Return a key's grants, by id."""
        return sorted(self._grants.get(uid, {}).values(), key=lambda grant: grant.id)

    def usable(self, uid: bytes) -> list[Grant]:
        """Return a key's grants in no order."""
        return list(self._grants.get(uid, {}).values())

    def get(self, uid: bytes, grant_id: str) -> Grant | None:
        """Return the grant of that id, or None."""
        return self._grants.get(uid, {}).get(grant_id)

    def retirable_by(self, principal: str) -> list[Grant]:
        """Return the grants that name `principal` as who may end them, by id."""
        found = [grant for held in self._grants.values() for grant in held.values() if grant.retiring == principal]
        return sorted(found, key=lambda grant: grant.id)

    def put(self, grant: Grant) -> Grant:
        """Store a new grant; return it."""
        self._store.put_grant(grant)
        self._keep(grant)
        return grant

    def remove(self, grant: Grant) -> None:
        """End a grant."""
        self._store.remove_grant(grant.id)
        self._grants[grant.key_uid].pop(grant.id, None)

    def forget_key(self, uid: bytes) -> None:
        """Drop the grants of a key that the store has removed with them."""
        self._grants.pop(uid, None)

    def clear(self) -> None:
        """Drop all grants, after the store did."""
        self._grants.clear()

    def _keep(self, grant: Grant) -> None:
        self._grants.setdefault(grant.key_uid, {})[grant.id] = grant
