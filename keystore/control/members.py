"""What the control plane asks of the members of a cluster: their state, and a new master key.

The promise of every member: a change has its effect once for an `expected_generation`, however often it is asked for
and whoever is killed in between. If the master key is of that generation the change is made; if it is of the next one,
under the key that was asked for, that is the answer; anything else is a `GenerationError`, and nothing is changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from keystore.control.clusters import Cluster
from keystore.progress import Progress


@dataclass(frozen=True)
class MemberStatus:
    """A member that serves.

    Attributes:
        generation: of its master key.
        key_uri: of the key that wraps it, exactly as configured.
        key_version: what the KMS says it used.
    """

    generation: int
    key_uri: str
    key_version: str


class Member(Protocol):
    """The way to one member. All errors are of `keystore.errors`; `NodeUnreachableError` means that it is down."""

    def status(self) -> MemberStatus: ...

    def give_credentials(self, credentials: bytes) -> None:
        """Let these stand in for the credentials with which the member asks the KMS."""
        ...

    def rotate_master(self, expected_generation: int) -> int:
        """Make a new master key under the same key; return its generation."""
        ...

    def change_cmk(self, key_uri: str, expected_generation: int) -> int:
        """Make a new master key under another key; return its generation."""
        ...

    def convert(self, key_uri: str, volume_key: str | None, expected_generation: int, progress: Progress) -> int:
        """Rewrite the stores under a new master key, with or without a volume layer; return its generation."""
        ...

    def close(self) -> None: ...


MemberConnector = Callable[[Cluster, str], Member]
"""Gives the way to a member of a cluster by its name; the caller closes it."""
