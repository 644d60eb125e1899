"""Configurations under validation for tests: a project with clusters, a clock that stands, the real emulator."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.due import Due, DueTable
from keystore.control.executors import register
from keystore.kms.connect import connect
from keystore.kms.local import create_key_file
from keystore.projects.access import Role
from keystore.projects.alerts import OPEN, list_alerts
from keystore.projects.backed_up import local_places
from keystore.projects.conditions import Condition, Life, State
from keystore.projects.configurations import save
from keystore.projects.deployment_rows import deployments_of
from keystore.projects.events import Event, list_events
from keystore.projects.fields import read_body
from keystore.projects.keyed_deployments import condition_after_look
from keystore.projects.mail import Mail, list_mails
from keystore.projects.plane import ProjectPlane
from keystore.projects.sealing import Sealer
from keystore.projects.settings_rows import Configuration, configuration_of
from keystore.projects.tables import checks
from keystore.projects.validation import VALIDATION_JOB, Validation
from tests.projects.founding import FOUNDED_NS, add_person, found_project
from tests.projects.made import become, make_deployment
from tests.projects.providers import Cloud

S = 10**9
OWNERS = ("owner@example.org", "second@example.org")


@dataclass
class StandingClock:
    """A clock that only tests move."""

    at_ns: int = FOUNDED_NS

    def now_ns(self) -> int:
        return self.at_ns


@dataclass
class Validating:
    """A project with two owners and a reader."""

    plane: ProjectPlane
    clock: StandingClock
    project_id: str
    executor: Any = field(default=None)

    @classmethod
    def on(cls, database: Database, directory: Path, **settings: Any) -> "Validating":
        if not (directory / "platform").exists():
            create_key_file(directory / "platform")
        clock, sealer = StandingClock(), Sealer(f"local://{directory / 'platform'}", connect)
        founded = found_project(database)
        for email in OWNERS:
            add_person(database, founded.project_id, email, Role.GROUP_OWNER)
        add_person(database, founded.project_id, "reader@example.org", Role.GROUP_READ_ONLY)
        plane = ProjectPlane(database, clock, sealer, local_places(directory / "backups"), **settings)
        return cls(plane, clock, founded.project_id)

    def restart(self, **settings: Any) -> None:
        """Be another control process: nothing but the database is left of the former."""
        self.plane = replace(self.plane, **settings)
        self.executor = None

    def save(self, cloud: Cloud, **changed: Any) -> None:
        save(self.plane, self.project_id, read_body(cloud.body(**changed)), "key")

    def send(self, body: Any) -> None:
        save(self.plane, self.project_id, read_body(body), "key")

    def cluster(self, name: str, provider: str) -> str:
        """Make a cluster that runs, and return its id."""
        with self.plane.database.write() as connection:
            return make_deployment(connection, self.project_id, name, provider, Condition(Life.ALIVE)).id

    def pass_time(self, seconds: float) -> int:
        """Move the clock and do what is due then; return how many checks."""
        self.clock.at_ns += int(seconds * S)
        return self.run_due()

    def claim(self, seconds: float) -> Due:
        """Move the clock and return the check that is due then."""
        self.clock.at_ns += int(seconds * S)
        job = self._claimed()
        assert job is not None
        return job

    def run_due(self) -> int:
        validation, done = Validation(self.plane), 0
        while (job := self._claimed()) is not None:
            seen = json.loads(json.dumps(validation.look(job)))
            assert validation.conclude(job, seen, lambda connection: None)
            done += 1
        return done

    def _claimed(self) -> Due | None:
        database = self.plane.database
        self.executor = self.executor or register(database, "control")
        return DueTable(database).claim([VALIDATION_JOB], self.clock.now_ns(), self.executor)

    def serve(self, name: str, members: int = 3) -> None:
        """Say that members of a cluster were seen to serve."""
        with self.plane.database.write() as connection:
            (found,) = (each for each in deployments_of(connection, self.project_id) if each.name == name)
            condition_after_look(connection, found.id, members, "", self.clock.now_ns())

    def pause(self, name: str) -> None:
        with self.plane.database.write() as connection:
            (found,) = (each for each in deployments_of(connection, self.project_id) if each.name == name)
            become(connection, found.id, Condition(Life.ALIVE, paused=True))

    @property
    def states(self) -> dict[str, State]:
        with self.plane.database.read() as connection:
            return {each.name: each.condition.state for each in deployments_of(connection, self.project_id)}

    @property
    def running(self) -> list[str]:
        """Names of the clusters whose processes are to be up."""
        with self.plane.database.read() as connection:
            return [each.name for each in deployments_of(connection, self.project_id) if each.condition.is_to_run]

    def configuration(self, provider: str) -> Configuration:
        with self.plane.database.read() as connection:
            found = configuration_of(connection, self.project_id, provider)
        assert found is not None
        return found

    @property
    def open_alerts(self) -> set[str]:
        with self.plane.database.read() as connection:
            return {each.type for each in list_alerts(connection, self.project_id, OPEN)}

    @property
    def events(self) -> list[Event]:
        """Return the events, the oldest first."""
        with self.plane.database.read() as connection:
            found, _ = list_events(connection, project_id=self.project_id, limit=10_000)
        return found[::-1]

    @property
    def event_types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def mails(self) -> list[Mail]:
        with self.plane.database.read() as connection:
            return list_mails(connection, self.project_id)

    @property
    def checks(self) -> list[Any]:
        with self.plane.database.read() as connection:
            return list(connection.execute(sa.select(checks).order_by(checks.c.id)))
