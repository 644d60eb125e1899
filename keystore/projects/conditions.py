"""The state of a deployment, and which of its processes are to run. Pure: from a few facts, all of them stored.

    CREATING -> IDLE <-> UPDATING -> DELETING -> TERMINATED
                 |  ^
                 v  |
          PAUSED, DISABLED

PAUSED is what somebody ordered. DISABLED is what happened: by a check that found the key invalid, which orders every
process down; or because no member serves, while all of them are to.

Invariants:
1. No process of a deployment runs while a check forbids it, somebody paused it, or it is being deleted.
2. One that is gone is never anything else again.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product


class State(StrEnum):
    CREATING = "CREATING"
    IDLE = "IDLE"
    UPDATING = "UPDATING"
    DISABLED = "DISABLED"
    PAUSED = "PAUSED"
    DELETING = "DELETING"
    TERMINATED = "TERMINATED"


class Life(StrEnum):
    """How far a deployment is from its making to its end."""

    CREATING = "creating"
    ALIVE = "alive"
    DELETING = "deleting"
    GONE = "gone"


class DisabledBy(StrEnum):
    NOTHING = "nothing"
    VALIDATION = "validation"
    """A scheduled check found the key invalid: no process may run until a check finds it valid."""
    OUTAGE = "outage"
    """No member serves, although all are to: the key was not to be had when they started."""


@dataclass(frozen=True)
class Condition:
    """What is known of a deployment.

    Attributes:
        busy: whether a change waits or is being applied.
    """

    life: Life
    disabled_by: DisabledBy = DisabledBy.NOTHING
    paused: bool = False
    busy: bool = False

    @property
    def state(self) -> State:
        """What the API shows."""
        if self.life is Life.GONE:
            return State.TERMINATED
        if self.life is Life.DELETING:
            return State.DELETING
        if self.paused:
            return State.PAUSED
        if self.disabled_by is not DisabledBy.NOTHING:
            return State.DISABLED
        if self.life is Life.CREATING:
            return State.CREATING
        return State.UPDATING if self.busy else State.IDLE

    @property
    def is_to_run(self) -> bool:
        """Whether its processes are to be up."""
        living = self.life in (Life.CREATING, Life.ALIVE)
        return living and not self.paused and self.disabled_by is not DisabledBy.VALIDATION

    @property
    def may_change(self) -> bool:
        """Whether changes that need its members may be applied now."""
        return self.life is Life.ALIVE and not self.paused and self.disabled_by is DisabledBy.NOTHING

    def forbidden(self) -> "Condition":
        """Return it after a scheduled check that found its key invalid."""
        return self._disabled(DisabledBy.VALIDATION)

    def allowed(self) -> "Condition":
        """Return it after a check that found its key valid: disabled until a member serves."""
        return self._disabled(DisabledBy.OUTAGE) if self.disabled_by is DisabledBy.VALIDATION else self

    def seen(self, serving: int) -> "Condition":
        """Return it after a look that found so many members serving."""
        if not self.is_to_run or (self.life is Life.CREATING and self.disabled_by is DisabledBy.NOTHING):
            return self
        return self._disabled(DisabledBy.NOTHING if serving else DisabledBy.OUTAGE)

    def _disabled(self, by: DisabledBy) -> "Condition":
        return self if self.life in (Life.DELETING, Life.GONE) else replace(self, disabled_by=by)


ALL = [Condition(*facts) for facts in product(Life, DisabledBy, (False, True), (False, True))]
"""Every condition that there is."""
