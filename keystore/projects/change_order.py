"""Which change of a deployment is applied next. Pure.

Changes are applied in the order in which they were submitted, one at a time. What needs the members waits until they
serve; a patch of the software does not, so it goes ahead of changes that have to wait.

Invariants:
1. One change at most is being applied.
2. Of two changes that wait for the same, the earlier one is applied first.
3. A deletion is applied whatever the state; after it nothing is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from keystore.projects.conditions import Condition, Life


class Kind(StrEnum):
    """What a change is for."""

    CREATE = "create"
    UPDATE = "update"
    KEY = "key"
    """The project's key at the provider has changed; every member gets a new master key under it."""
    REPLACE = "replace"
    """A member moves to another machine, with another address."""
    PATCH = "patch"
    """A maintenance version of the software."""
    DELETE = "delete"


class ChangeState(StrEnum):
    QUEUED = "queued"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"


OPEN = (ChangeState.QUEUED, ChangeState.APPLYING)


@dataclass(frozen=True)
class Queued:
    """A change that was not applied yet; `seq` grows in the order of submission."""

    seq: int
    kind: Kind
    state: ChangeState


def next_change(waiting: Sequence[Queued], condition: Condition) -> Queued | None:
    """Return the change that is to be applied now, or gone on with; None where all have to wait."""
    if condition.life is Life.GONE:
        return None
    in_order = sorted(waiting, key=lambda change: change.seq)
    deletion = next((change for change in in_order if change.kind is Kind.DELETE), None)
    if deletion is not None:
        return deletion
    begun = next((change for change in in_order if change.state is ChangeState.APPLYING), None)
    if begun is not None and _may_go_on(begun, condition):
        return begun
    for change in in_order:
        if _may_go_on(change, condition) and (begun is None or change.kind is Kind.PATCH):
            return change
    return None


def _may_go_on(change: Queued, condition: Condition) -> bool:
    if change.kind is Kind.CREATE:
        return condition.is_to_run
    if change.kind is Kind.PATCH:
        return condition.life is Life.ALIVE
    return condition.may_change
