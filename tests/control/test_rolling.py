"""Every state that a rolling operation can be in: crashes, members that fall, elections, at every step."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from keystore.control.rolling import (
    Act,
    Done,
    Halt,
    Health,
    OperationState,
    Progress,
    Step,
    StepDown,
    StepState,
    Touch,
    Wait,
    next_action,
    plan,
)

NAMES = ("n1", "n2", "n3", "n4")


@dataclass(frozen=True)
class World:
    """A cluster in the middle of an operation; `touched` tells of each member how often its key changed."""

    members: tuple[str, ...]
    primary: str
    steps: tuple[Step, ...]
    touched: tuple[int, ...]
    down: frozenset[str] = frozenset()

    @property
    def progress(self) -> Progress:
        return Progress(OperationState.RUNNING, self.members, self.primary, self.steps)

    @property
    def health(self) -> Mapping[str, Health]:
        return {name: Health(name not in self.down, "it was killed") for name in self.members}

    def with_state(self, position: int, state: StepState) -> "World":
        steps = tuple(replace(step, state=state) if step.position == position else step for step in self.steps)
        return replace(self, steps=steps)

    def with_effect(self, name: str) -> "World":
        """The member acts once for a generation, however often it is asked."""
        done = tuple(1 if other == name else count for other, count in zip(self.members, self.touched, strict=True))
        return replace(self, touched=done)


def begin(count: int, primary: str) -> World:
    members = NAMES[:count]
    return World(members, primary, tuple(plan(members, primary)), (0,) * count)


def acted(world: World) -> Iterator[World]:
    """Yield every state in which doing the next action can end, be it whole or killed anywhere inside."""
    action = next_action(world.progress, world.health)
    check(world, action)
    if isinstance(action, Touch):
        opened = world.with_state(action.position, StepState.OPEN)
        yield opened
        yield opened.with_effect(action.member)
        yield opened.with_effect(action.member).with_state(action.position, StepState.DONE)
    elif isinstance(action, StepDown):
        yield replace(world, primary=action.to).with_state(action.position, StepState.DONE)


def disturbed(world: World) -> Iterator[World]:
    """Yield what can happen to the cluster by itself: any member falls or rises, any other is elected."""
    for name in world.members:
        yield replace(world, down=world.down ^ {name})
        yield replace(world, primary=name)


def check(world: World, action: object) -> None:
    """The invariants of `keystore.control.rolling`, by their numbers."""
    open_steps = [step for step in world.steps if step.state is StepState.OPEN]
    assert len(open_steps) <= 1
    if isinstance(action, Touch):
        step = world.steps[action.position]
        assert (step.act, step.member) == (Act.TOUCH, action.member)
        assert not open_steps or open_steps == [step]  # 1
        assert not world.down  # 2
        assert action.member != world.primary or len(world.members) == 1  # 3
        if not open_steps:
            earlier = [other for other in world.steps[: action.position] if other.act is Act.TOUCH]
            assert all(other.state is StepState.DONE or other.member == world.primary for other in earlier)  # 4
        assert step.state is not StepState.DONE  # 5
    if isinstance(action, StepDown):
        assert action.to in world.members
        assert world.steps[action.position].act is Act.STEP_DOWN
        assert not world.down
    if isinstance(action, Wait):
        assert all(name in action.reason for name in world.down)
        assert world.down
    if isinstance(action, Done):
        assert all(world.touched)
    assert not isinstance(action, Halt)


def reached(world: World, *, quiet: bool) -> set[World]:
    """Return every state that can follow; a quiet cluster has neither falls nor elections."""
    known, todo = {world}, deque([world])
    while todo:
        here = todo.popleft()
        for after in (*acted(here), *(() if quiet else disturbed(here))):
            if after not in known:
                known.add(after)
                todo.append(after)
    return known


def finish(world: World) -> tuple[World, list[str]]:
    """Go on undisturbed to the end; return what was touched, in order."""
    order: list[str] = []
    for _ in range(2 * len(world.steps) + 2):
        action = next_action(world.progress, world.health)
        if isinstance(action, Done):
            return world, order
        if isinstance(action, Touch):
            order.append(action.member)
        *_, world = acted(world)
    raise AssertionError(f"no end from {world}")


@pytest.mark.row("R27")
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_invariants_hold_and_the_end_is_reached_from_every_state(count: int) -> None:
    states = {world for primary in NAMES[:count] for world in reached(begin(count, primary), quiet=False)}
    assert len(states) > {1: 5, 2: 50, 3: 500, 4: 3000}[count]
    for world in states:
        ended, _ = finish(replace(world, down=frozenset()))
        assert ended.touched == (1,) * count


@pytest.mark.parametrize("primary", NAMES[:3])
def test_an_undisturbed_cluster_is_touched_in_order_with_the_primary_last(primary: str) -> None:
    world, order = finish(begin(3, primary))
    others = [name for name in NAMES[:3] if name != primary]
    assert order == [*others, primary]
    assert world.primary == others[0]


def test_a_kill_anywhere_goes_on_with_the_step_that_is_open() -> None:
    for world in reached(begin(3, "n1"), quiet=True):
        for step in world.steps:
            if step.state is StepState.OPEN:
                assert next_action(world.progress, world.health) == Touch(step.position, step.member)


def test_who_was_elected_before_its_turn_comes_last() -> None:
    _, order = finish(replace(begin(3, "n1"), primary="n3"))
    assert order == ["n2", "n1", "n3"]


def test_the_primary_of_a_single_member_is_touched() -> None:
    assert plan(["n1"], "n1") == [Step(0, Act.TOUCH, "n1")]
    assert next_action(begin(1, "n1").progress, {"n1": Health(True)}) == Touch(0, "n1")


def test_a_member_of_which_nobody_knows_does_not_serve() -> None:
    action = next_action(begin(3, "n1").progress, {"n1": Health(True), "n2": Health(True)})
    assert action == Wait("n3 does not serve")


@pytest.mark.parametrize("down", NAMES[:3])
def test_nothing_begins_and_nothing_goes_on_while_a_member_is_down(down: str) -> None:
    for world in reached(begin(3, "n1"), quiet=True):
        action = next_action(world.progress, replace(world, down=frozenset({down})).health)
        assert action in (Done(), Wait(f"{down} does not serve (it was killed)"))


def test_a_halted_operation_is_tried_again_and_an_ended_one_is_not() -> None:
    world = begin(3, "n1")
    halted = replace(world.progress, state=OperationState.HALTED)
    assert next_action(halted, world.health) == Touch(0, "n2")
    for state in (OperationState.DONE, OperationState.ABANDONED):
        assert next_action(replace(world.progress, state=state), world.health) == Done()


def test_two_open_steps_halt() -> None:
    world = begin(3, "n1").with_state(0, StepState.OPEN).with_state(1, StepState.OPEN)
    assert next_action(world.progress, world.health) == Halt("n2 and n3 are both recorded as being touched")


@pytest.mark.parametrize(("members", "primary"), [(["n1", "n2"], "n3"), (["n1", "n1"], "n1"), ([], "n1")])
def test_no_plan_without_its_primary_or_with_a_name_twice(members: list[str], primary: str) -> None:
    with pytest.raises(ValueError):
        plan(members, primary)
