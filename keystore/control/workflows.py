"""The jobs of a cluster as workflows: an engine makes them survive their process, `keystore.control.jobs` does them."""

from collections.abc import Callable, Mapping
from typing import Any

from keystore.control.due import Due
from keystore.control.engine import Run, WorkflowEngine
from keystore.control.jobs import ROTATION_JOB, Jobs
from keystore.control.requests import OPERATION_JOB
from keystore.control.rolling import Action, Done, Halt, StepDown, Touch, Wait
from keystore.errors import ControlError, FencedError, cause_of

ACTIONS_MAX = 1000
"""LIMIT: actions in a row; three for each of the most members, and many elections. Then it is due again."""

_GOES_ON = "goes on"
_PAUSES: Mapping[str, Callable[[str], Action]] = {"wait": Wait, "halt": Halt, "done": lambda _: Done()}


def register_jobs(engine: WorkflowEngine, jobs: Jobs) -> None:
    """Tell an engine what the kinds of jobs are; their arguments are those of the row that is due."""
    engine.register(ROTATION_JOB, lambda run, row: _begin_rotation(jobs, run, Due(**row)))
    engine.register(OPERATION_JOB, lambda run, row: _go_on(jobs, run, Due(**row)))


def _begin_rotation(jobs: Jobs, run: Run, job: Due) -> None:
    run.step("begin", lambda: jobs.begin_rotation(job, run.guard))


def _go_on(jobs: Jobs, run: Run, job: Due) -> None:
    """Advance the operation until it pauses or ends, and write that down."""
    action: Action = Wait("it took more steps than were expected")
    for number in range(ACTIONS_MAX):
        try:
            told = run.step(f"action {number}", lambda: _told(jobs.advance(job, run.guard)))
        except FencedError:
            raise
        except ControlError as error:
            told = ["halt", cause_of(error)]
        if told[0] != _GOES_ON:
            action = _PAUSES[told[0]](told[1])
            break
    run.step("conclude", lambda: jobs.conclude(job, action, run.guard))


def _told(action: Action) -> list[Any]:
    """Return what the workflow must know of an action, as JSON."""
    if isinstance(action, Touch | StepDown):
        return [_GOES_ON, ""]
    return [type(action).__name__.lower(), "" if isinstance(action, Done) else action.reason]
