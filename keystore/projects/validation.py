"""Checks of configurations: every 15 minutes by the table of what is due, and on demand.

Invariants:
1. A configuration has exactly one row in the table until it is removed, every `INTERVAL_NS` on the grid of its first
   save. A control plane that was down makes up for one check, at once, and is on the grid again.
2. The provider is asked outside of every transaction; what it said counts for the revision that was asked about.
"""

from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from keystore.control.due import DONE, OPEN, Due, add_job, finish
from keystore.control.engine import Run, WorkflowEngine
from keystore.control.operations import Guard
from keystore.control.tables import due
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

VALIDATION_JOB: Final = "validation"
"""Kind of the job; its subject is PROJECT/PROVIDER."""

INTERVAL_NS: Final = 900 * 10**9
"""How often a configuration is checked; requirements, row R37."""


class Validation:
    """Checks configurations and records what follows."""

    def __init__(self, plane: ProjectPlane) -> None:
        self._plane = plane

    def settings(self, found: Configuration) -> Settings:
        """Return a configuration with its secrets, opened; errors as `Sealer.open`."""
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
        outcome = self.ask(self.settings(found))
        with self._plane.database.write() as connection:
            now = configuration_of(connection, found.project_id, found.provider)
            if now is None or now.revision != found.revision:
                return now
            now_ns, address = self._plane.clock.now_ns(), self._plane.source_address
            return record_outcome(connection, now, outcome, cause, actor, now_ns, address=address)

    # -- the scheduled check --------------------------------------------------------------------------------------

    def look(self, job: Due) -> dict[str, Any] | None:
        """Ask the provider for a job's configuration; return what it said, as JSON, or None if it is gone."""
        project_id, _, provider = job.subject.partition("/")
        with self._plane.database.read() as connection:
            found = configuration_of(connection, project_id, provider)
        if found is None:
            return None
        return {"revision": found.revision, "outcome": asdict(self.ask(self.settings(found)))}

    def conclude(self, job: Due, seen: dict[str, Any] | None, guard: Guard) -> None:
        """Record what was seen, and make the next row."""
        project_id, _, provider = job.subject.partition("/")
        now_ns = self._plane.clock.now_ns()
        with self._plane.database.write() as connection:
            guard(connection)
            found = configuration_of(connection, project_id, provider)
            if found is None or _has_other(connection, job):
                finish(connection, job, None)
                return
            if seen is not None and seen["revision"] == found.revision:
                outcome = Outcome(**{**seen["outcome"], "missing": tuple(seen["outcome"]["missing"])})
                address = self._plane.source_address
                record_outcome(
                    connection, found, outcome, "scheduled", SYSTEM, now_ns, due_ns=job.at_ns, address=address
                )
            finish(connection, job, next_on_grid(job.at_ns, now_ns))


def register_validation(engine: WorkflowEngine, plane: ProjectPlane) -> None:
    """Tell an engine what the job is."""
    validation = Validation(plane)

    def run_check(run: Run, job: Due) -> None:
        seen = run.step("check", lambda: validation.look(job))
        run.step("record", lambda: validation.conclude(job, seen, run.guard))

    engine.register(VALIDATION_JOB, lambda run, row: run_check(run, Due(**row)))


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


def _has_other(connection: sa.Connection, job: Due) -> bool:
    """Tell whether the configuration was removed and made again, and has checks of its own."""
    mine = (due.c.kind == job.kind) & (due.c.subject == job.subject) & (due.c.state != DONE)
    return connection.scalar(sa.select(sa.func.count()).select_from(due).where(mine, due.c.at_ns != job.at_ns)) != 0
