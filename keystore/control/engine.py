"""Workflows that survive their process: what the rest of the control plane asks of an engine, whichever it is.

A workflow is a function of a run and its arguments. What it does to the world it does in steps; a step that returned is
not run again after a crash, its result is read back. The workflow itself is run again from its first line, so whatever
decides which step comes next must be a step's result or an argument.

What an engine promises:
1. A key starts one workflow, however often `start` is called, from however many processes.
2. A workflow goes on after its process died: here when it starts again, or in another process.
3. A step runs at least once and, as far as this program can tell, in one process at a time. A process that was taken
   for dead begins no further step. One that it is in the middle of can still reach the world, so a step's effect must
   be one however often it is asked for; `Run.guard` makes that certain for rows of the control database.
4. Arguments, results and errors are JSON. An error of `keystore.errors` comes back as its type, with its message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from keystore.control.executors import Executor
from keystore.errors import KeystoreError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Retry:
    """When a step is tried again: on which errors, how often in all, after how many seconds, doubled each time."""

    on: tuple[type[Exception], ...]
    attempts_max: int
    first_wait_s: float
    wait_max_s: float = 60.0

    def wait_s(self, attempt: int) -> float:
        """Return the pause after attempt number `attempt`, counted from 1."""
        return float(min(self.first_wait_s * 2 ** min(attempt - 1, 32), self.wait_max_s))


class Run(Protocol):
    """One workflow under way in this process."""

    @property
    def key(self) -> str:
        """What the workflow was started by."""
        ...

    @property
    def fence(self) -> int:
        """How often the workflow was begun; a greater one makes all smaller ones void."""
        ...

    def step(self, name: str, function: Callable[[], Value], retry: Retry | None = None) -> Value:
        """Run `function` unless it returned before; its value, which is JSON, is durable on return.

        Lost contact with the control database is waited for, whatever `retry` says.

        Raises:
            KeystoreError: what the function raised last; after a crash it is raised again without a second try.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Wait; no longer than until the engine is closed. A workflow that goes on after a crash waits again."""
        ...

    def guard(self, connection: sa.Connection) -> None:
        """Make the caller's transaction void unless this run is still the one that counts.

        Raises:
            FencedError: another process has taken the workflow over; let it out of the step.
        """
        ...


Workflow = Callable[[Run, Mapping[str, Any]], Any]


class State(Enum):
    """Where a workflow is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Status:
    """What is known of a workflow; `value` is there when it is done, `error` when it failed."""

    key: str
    state: State
    value: Any = None
    error: KeystoreError | None = None

    @property
    def ended(self) -> bool:
        return self.state in (State.DONE, State.FAILED, State.CANCELLED)


class Workflows(Protocol):
    """Starts and watches workflows; runs none."""

    def start(self, name: str, key: str, arguments: Mapping[str, Any]) -> None:
        """Have the workflow `name` run; if `key` is taken already, nothing changes. On return it is durable."""
        ...

    def status(self, key: str) -> Status | None:
        """Return where a workflow is, None if nobody started it."""
        ...

    def cancel(self, key: str) -> None:
        """Let a workflow begin no further step. What ended already stays as it is."""
        ...


class WorkflowEngine(Workflows, Protocol):
    """Runs workflows in this process."""

    def register(self, name: str, workflow: Workflow, *, apart: bool = False) -> None:
        """Say which function a name is; before `launch`, and alike in every process on one database.

        Args:
            apart: it waits for strangers, who may keep it waiting: however many of it are under way, they take no
                place of the others, nor of others that wait apart. Where it is not registered it is left to processes
                where it is.
        """
        ...

    def launch(self) -> None:
        """Begin: run what was started, and take over what dead processes left."""
        ...

    @property
    def executor(self) -> Executor:
        """What this process is registered as; after `launch`."""
        ...

    def forget(self, before: datetime) -> int:
        """Delete what is kept of workflows that ended before then, by the machine's clock; return how many."""
        ...

    def fenced(self) -> bool:
        """Return whether this process was taken for dead. It does no work any more; close it."""
        ...

    def close(self) -> bool:
        """Begin no step any more and let those under way end; return whether nothing runs here any more.

        Workflows under way go on elsewhere, or when the process is back.
        """
        ...
