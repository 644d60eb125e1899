"""Checks of configurations: every 15 minutes by the table of what is due, and on demand.

Invariants:
1. A configuration has exactly one row in the table until it is removed, every `INTERVAL_NS` on the grid of its first
   save. A control plane that was down makes up for one check, at once, and is on the grid again.
2. The provider is asked outside of every transaction; what it said counts for the revision that was asked about.
3. What it said long ago, or before another check found the opposite, decides nothing: a process that was killed between
   question and record stops no cluster hours later. It is asked again.
4. What keeps us from asking, such as a platform key that is away, leaves the grid and the state as they are.
"""

import logging
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from keystore.control.due import DONE, OPEN, Due, add_job, finish
from keystore.control.engine import Run, WorkflowEngine
from keystore.control.operations import Guard
from keystore.control.tables import due
from keystore.errors import ControlConflictError, ControlError, ControlUnreachableError, KmsError
from keystore.projects.checks import Outcome, check
from keystore.projects.codes import Code
from keystore.projects.events import SYSTEM
from keystore.projects.fields import Provider, Settings, provider_named
from keystore.projects.outcomes import Cause, record_outcome
from keystore.projects.plane import ProjectPlane
from keystore.projects.settings_rows import (
    Configuration,
    configuration_of,
    configurations_of,
    credential_blob,
    open_credentials,
)

LOG = logging.getLogger("keystore.projects")

VALIDATION_JOB: Final = "validation"
"""Kind of the job; its subject is PROJECT/PROVIDER."""

INTERVAL_NS: Final = 900 * 10**9
"""How often a configuration is checked; requirements, row R37."""

ANSWER_LASTS_NS: Final = 300 * 10**9
"""LIMIT: how old an answer may be that is recorded; a check that hangs at every call ends before."""

QUESTIONS_MAX: Final = 3
"""LIMIT: how often one scheduled check asks."""


class Validation:
    """Checks configurations and records what follows."""

    def __init__(self, plane: ProjectPlane) -> None:
        self._plane = plane

    def settings(self, found: Configuration) -> Settings:
        """Return a configuration with its secrets, opened; errors as `Sealer.open`.

        Raises:
            ControlConflictError: it has others meanwhile.
        """
        with self._plane.database.read() as connection:
            blob = credential_blob(connection, found.credential_id)
        _, secrets = open_credentials(self._plane.sealer, found.project_id, found.provider, blob)
        return Settings(found.provider, found.public, secrets)

    def ask(self, settings: Settings) -> Outcome:
        """Ask the provider about settings."""
        return check(settings, self._plane.kms_endpoint, self._plane.source_address)

    def check_all(self, project_id: str, actor: str) -> dict[Provider, Configuration]:
        """Check every configuration of a project now, and return them as they are then; this stops nothing."""
        with self._plane.database.read() as connection:
            found = configurations_of(connection, project_id)
        checked = {name: self._check(each, "demand", actor) for name, each in found.items()}
        return {name: each for name, each in checked.items() if each is not None}

    def try_again(self, project_id: str, provider: str, actor: str) -> Configuration:
        """Check a configuration now, and start what was stopped if it is valid; the schedule is not disturbed.

        Raises:
            ApiError: there is no such provider, or it is not configured.
        """
        name = provider_named(provider)
        with self._plane.database.read() as connection:
            found = configuration_of(connection, project_id, name)
        after = None if found is None else self._check(found, "try_again", actor)
        if after is None:
            raise Code.ENCRYPTION_AT_REST_NOT_ENABLED.error(provider)
        return after

    def _check(self, found: Configuration, cause: Cause, actor: str) -> Configuration | None:
        try:
            outcome = self.ask(self.settings(found))
        except ControlConflictError:
            with self._plane.database.read() as connection:
                return configuration_of(connection, found.project_id, found.provider)
        with self._plane.database.write() as connection:
            now = configuration_of(connection, found.project_id, found.provider)
            if now is None or now.revision != found.revision or _contradicts(now, outcome.state, found.checked_ns):
                return now
            now_ns, address = self._plane.clock.now_ns(), self._plane.source_address
            return record_outcome(connection, now, outcome, cause, actor, now_ns, address=address)

    # -- the scheduled check --------------------------------------------------------------------------------------

    def look(self, job: Due) -> dict[str, Any] | None:
        """Ask the provider for a job's configuration; return what it said, as JSON.

        Returns:
            None where it is gone, or could not be asked about for a reason that is ours.
        """
        project_id, _, provider = job.subject.partition("/")
        with self._plane.database.read() as connection:
            found = configuration_of(connection, project_id, provider)
        if found is None:
            return None
        asked_ns = self._plane.clock.now_ns()
        try:
            outcome = self.ask(self.settings(found))
        except ControlUnreachableError:
            raise
        except ControlConflictError:
            return None  # who saved other credentials just now has asked
        except (ControlError, KmsError) as error:
            LOG.error("check %s: the credentials cannot be opened: %s", job.key, error)
            return None
        seen = {"revision": found.revision, "asked_ns": asked_ns, "checked_ns": found.checked_ns}
        return {**seen, "outcome": asdict(outcome)}

    def conclude(self, job: Due, seen: dict[str, Any] | None, guard: Guard, *, is_last: bool = False) -> bool:
        """Record what was seen, and make the next row; return False, and do neither, if it is to be asked again.

        Args:
            is_last: it is not asked again; what is too old is not recorded.
        """
        project_id, _, provider = job.subject.partition("/")
        now_ns = self._plane.clock.now_ns()
        with self._plane.database.write() as connection:
            guard(connection)
            found = configuration_of(connection, project_id, provider)
            if found is None or _has_other(connection, job):
                finish(connection, job, None)
                return True
            if seen is not None and seen["revision"] == found.revision:
                is_old = now_ns - seen["asked_ns"] > ANSWER_LASTS_NS
                if (is_old or _contradicts(found, seen["outcome"]["state"], seen["checked_ns"])) and not is_last:
                    return False
                if not is_old:
                    self._record(connection, job, found, seen["outcome"], now_ns)
            finish(connection, job, next_on_grid(job.at_ns, now_ns))
            return True

    def _record(
        self, connection: sa.Connection, job: Due, found: Configuration, said: dict[str, Any], now_ns: int
    ) -> None:
        outcome = Outcome(**{**said, "missing": tuple(said["missing"])})
        address = self._plane.source_address
        record_outcome(connection, found, outcome, "scheduled", SYSTEM, now_ns, due_ns=job.at_ns, address=address)


def register_validation(engine: WorkflowEngine, plane: ProjectPlane) -> None:
    """Tell an engine what the job is."""
    validation = Validation(plane)

    def question(run: Run, job: Due, number: int) -> bool:
        seen = run.step(f"check {number}", lambda: validation.look(job))
        is_last = number == QUESTIONS_MAX
        return run.step(f"record {number}", lambda: validation.conclude(job, seen, run.guard, is_last=is_last))

    def run_check(run: Run, job: Due) -> None:
        for number in range(1, QUESTIONS_MAX + 1):
            if question(run, job, number):
                return

    engine.register(VALIDATION_JOB, lambda run, row: run_check(run, Due(**row)), apart=True)


def next_on_grid(at_ns: int, now_ns: int) -> int:
    """Return the first time after now on the grid of a check that was due at `at_ns`."""
    return at_ns + INTERVAL_NS * (max(0, now_ns - at_ns) // INTERVAL_NS + 1)


def schedule(connection: sa.Connection, found: Configuration, now_ns: int) -> None:
    """Begin the checks of a new configuration, which was checked just now."""
    add_job(connection, Due(VALIDATION_JOB, found.subject, now_ns + INTERVAL_NS))


def unschedule(connection: sa.Connection, found: Configuration) -> None:
    """End the checks of a configuration; one that is under way finds it gone."""
    mine = (due.c.kind == VALIDATION_JOB) & (due.c.subject == found.subject)
    connection.execute(due.delete().where(mine, due.c.state == OPEN))


def _contradicts(found: Configuration, state: str, checked_ns: int | None) -> bool:
    """Tell whether another check, recorded since the configuration was checked at `checked_ns`, found another state."""
    return found.checked_ns != checked_ns and found.state != state


def _has_other(connection: sa.Connection, job: Due) -> bool:
    """Tell whether the configuration was removed and made again, and has checks of its own."""
    mine = (due.c.kind == job.kind) & (due.c.subject == job.subject) & (due.c.state != DONE)
    return connection.scalar(sa.select(sa.func.count()).select_from(due).where(mine, due.c.at_ns != job.at_ns)) != 0
