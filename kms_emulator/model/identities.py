"""Who may call: users, roles, and the credentials that prove it. Whether a signature is right is the wire's to decide.

Names of principals are the cloud's own and opaque here. A credential is long-lived (a user's access key), with or
without an end (an application's secret), or temporary (a session, with a token and an end).

Invariants:
1. The store has a change before memory has it.
2. A credential that was ever issued stays known until everything is cleared: revoked or expired it is refused, and
   never taken for one that nobody knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

SESSIONS_MAX = 10_000
"""LIMIT: temporary credentials kept; the ones that ended first are then forgotten."""


class IdentityKind(Enum):
    """What an identity is. `ROOT` is a whole account's owner."""

    USER = "user"
    ROLE = "role"
    ROOT = "root"
    APPLICATION = "application"
    SERVICE_ACCOUNT = "service-account"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, a role, an account's root, or a tenant's application.

    Attributes:
        name: the full name that policies use.
        id: a second name that is never used again.
        policies: documents by policy name; what it may do.
        trust: of a role, the document that says who may become it.
        session_max_s: of a role, the longest session.
    """

    name: str
    kind: IdentityKind
    account: str
    id: str
    created_ns: int
    policies: Mapping[str, str] = field(default_factory=dict)
    trust: str = ""
    session_max_s: int = 3600


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key.

    Attributes:
        id: what the caller sends in the clear.
        secret: what it signs with.
        identity: name of the identity that it proves; of a session, its user's or role's.
        principal: of a session, the session's own full name; otherwise the identity's name.
        active: a revoked one is kept, and refused.
        token: of a session, what it sends with each request.
        expires_ns: of a session, its end on the virtual clock.
        policy: of a session, the document that limits it further, or nothing.
        bound: whether policies hold for it; a session of a caller that nobody knows is as free as that caller.
    """

    id: str
    secret: str = field(repr=False)
    identity: str
    principal: str
    account: str
    created_ns: int
    active: bool = True
    token: str = field(default="", repr=False)
    expires_ns: int | None = None
    policy: str = ""
    user_id: str = ""
    bound: bool = True

    def expired(self, now_ns: int) -> bool:
        """Tell whether the session is over."""
        return self.expires_ns is not None and self.expires_ns <= now_ns


class IdentityStore(Protocol):
    """What identities need of a store; see `store.Store`."""

    def put_identity(self, identity: Identity) -> None:
        """Write an identity."""

    def remove_identity(self, name: str) -> None:
        """Remove an identity."""

    def put_credential(self, credential: Credential) -> None:
        """Write a credential."""

    def remove_credential(self, credential_id: str) -> None:
        """Remove a credential."""


class Identities:
    """All identities and credentials, over the store."""

    def __init__(self, store: IdentityStore, identities: list[Identity], credentials: list[Credential]) -> None:
        self._store = store
        self._identities = {identity.name: identity for identity in identities}
        self._credentials = {credential.id: credential for credential in credentials}
        self._sessions = sum(credential.expires_ns is not None for credential in credentials)

    def get(self, name: str) -> Identity | None:
        """Return the identity of that name, or None."""
        return self._identities.get(name)

    def all(self) -> list[Identity]:
        """Return all identities, by name."""
        return sorted(self._identities.values(), key=lambda identity: identity.name)

    def credential(self, credential_id: str) -> Credential | None:
        """Return the credential of that id, or None if none was ever issued."""
        return self._credentials.get(credential_id)

    def credentials_of(self, name: str) -> list[Credential]:
        """Return the credentials that prove an identity, by id."""
        found = [credential for credential in self._credentials.values() if credential.identity == name]
        return sorted(found, key=lambda credential: credential.id)

    def put(self, identity: Identity) -> Identity:
        """Store an identity, new or changed; return it."""
        self._store.put_identity(identity)
        self._identities[identity.name] = identity
        return identity

    def remove(self, name: str) -> None:
        """Remove an identity that exists; its credentials and sessions are revoked."""
        for credential in self.credentials_of(name):
            self.revoke(credential)
        self._store.remove_identity(name)
        del self._identities[name]

    def issue(self, credential: Credential) -> Credential:
        """Store a credential, new or changed; return it."""
        known = credential.id in self._credentials
        self._store.put_credential(credential)
        self._credentials[credential.id] = credential
        if credential.expires_ns is not None and not known:
            self._sessions += 1
            self._bound_sessions()
        return credential

    def revoke(self, credential: Credential) -> None:
        """Refuse a credential from now on."""
        if credential.active:
            self.issue(replace(credential, active=False))

    def merge(self, identities: list[Identity], credentials: list[Credential]) -> None:
        """Add the identities whose names are free, and the credentials of theirs that are not known."""
        added = {identity.name for identity in identities if identity.name not in self._identities}
        for identity in identities:
            if identity.name in added:
                self.put(identity)
        for credential in credentials:
            if credential.identity in added and credential.id not in self._credentials:
                self.issue(credential)

    def clear(self) -> None:
        """Drop everything, after the store did."""
        self._identities.clear()
        self._credentials.clear()
        self._sessions = 0

    def _bound_sessions(self) -> None:
        if self._sessions <= SESSIONS_MAX:
            return
        sessions = [item for item in self._credentials.values() if item.expires_ns is not None]
        first = min(sessions, key=lambda item: item.expires_ns or 0)
        self._store.remove_credential(first.id)
        del self._credentials[first.id]
        self._sessions -= 1
