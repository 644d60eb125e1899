"""Decides what a rolling operation on a cluster does next. Pure: no clock, no database, no member is asked here.

    plan(["n1", "n2", "n3"], primary="n1")   # touch n2, touch n3, step down n1, touch n1

Leaves to others: asking the members and the KMS, doing what was decided, and writing down that it was done
(`keystore.control.operations`).

Invariants, for every state that a crash, a failure or an election can leave:
1. At most one touch is open, and while one is open no other begins.
2. Nobody is touched while any member of the cluster does not serve.
3. The primary is not touched, unless it is the only member.
4. Secondaries come in the order of the cluster, and who was primary at the end comes last.
5. A touch that is done is not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What a step does."""

    TOUCH = "touch"
    """One member makes a new master key, under the same or another customer master key."""
    STEP_DOWN = "step_down"
    """Another member becomes the primary."""


class StepState(StrEnum):
    PENDING = "pending"
    OPEN = "open"
    """Begun; whether it had its effect is known to the member alone."""
    DONE = "done"


class OperationState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    HALTED = "halted"
    """Somebody must change something first, such as enable a key."""
    DONE = "done"
    ABANDONED = "abandoned"
    """Ended by order, before every member was touched."""


OPEN_STATES = (OperationState.PENDING, OperationState.RUNNING, OperationState.HALTED)
"""Of these a cluster has one operation at most."""


@dataclass(frozen=True)
class Step:
    """One line of a plan.

    Attributes:
        member: who is touched, or who was the primary when the plan was made and steps down.
    """

    position: int
    act: Act
    member: str
    state: StepState = StepState.PENDING


@dataclass(frozen=True)
class Progress:
    """How far an operation is.

    Attributes:
        members: all of the cluster, in its order.
        primary: who it is now; the database may have elected another one since the plan was made.
    """

    state: OperationState
    members: Sequence[str]
    primary: str
    steps: Sequence[Step]


@dataclass(frozen=True)
class Health:
    """Whether a member serves reads and writes, and if not, why."""

    serving: bool
    why: str = ""


@dataclass(frozen=True)
class Touch:
    position: int
    member: str


@dataclass(frozen=True)
class StepDown:
    """Make `to` the primary; where it is already, this only records it."""

    position: int
    to: str


@dataclass(frozen=True)
class Wait:
    """Try again soon, for it may get well by itself."""

    reason: str


@dataclass(frozen=True)
class Halt:
    """Try again when somebody has changed something."""

    reason: str


@dataclass(frozen=True)
class Done:
    pass


Action = Touch | StepDown | Wait | Halt | Done


def plan(members: Sequence[str], primary: str) -> list[Step]:
    """Return the steps of an operation: secondaries in order, a step-down, and who was the primary.

    Raises:
        ValueError: the primary is not a member, or a name is there twice.
    """
    if primary not in members or len(set(members)) != len(members):
        raise ValueError(f"no order for members {list(members)} with primary {primary!r}")
    acts = [(Act.TOUCH, member) for member in members if member != primary]
    if acts:
        acts.append((Act.STEP_DOWN, primary))
    acts.append((Act.TOUCH, primary))
    return [Step(position, act, member) for position, (act, member) in enumerate(acts)]


def next_action(progress: Progress, health: Mapping[str, Health]) -> Action:
    """Return what is to be done now; a member without an entry in `health` does not serve.

    An operation that was halted is asked for only when it is to be tried again: then it goes on like one that runs.
    """
    left = [step for step in progress.steps if step.act is Act.TOUCH and step.state is not StepState.DONE]
    if progress.state not in OPEN_STATES or not left:
        return Done()
    begun = [step for step in left if step.state is StepState.OPEN]
    if len(begun) > 1:
        return Halt(f"{' and '.join(step.member for step in begun)} are both recorded as being touched")
    away = [_absence(member, health.get(member)) for member in progress.members if not _serves(health.get(member))]
    if away:
        return Wait(", ".join(away))
    return _step(progress, begun or left)


def _step(progress: Progress, left: Sequence[Step]) -> Touch | StepDown:
    """Return the first step of `left` that may be done, or the step-down that must come before it."""
    down = next((step for step in progress.steps if step.act is Act.STEP_DOWN), None)
    first = next((step for step in left if step.member != progress.primary), None)
    if down is None:  # the only member
        return Touch(left[0].position, left[0].member)
    if first is None:
        return StepDown(down.position, next(name for name in progress.members if name != progress.primary))
    if down.state is not StepState.DONE and first.position > down.position:
        return StepDown(down.position, progress.primary)
    return Touch(first.position, first.member)


def _serves(health: Health | None) -> bool:
    return health is not None and health.serving


def _absence(member: str, health: Health | None) -> str:
    why = health.why if health else ""
    return f"{member} does not serve" + (f" ({why})" if why else "")
