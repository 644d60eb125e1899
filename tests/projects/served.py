"""Control processes with the API, on one database, for one project that has a key and a cluster."""

import json
import subprocess
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keystore.agents.host_client import HostClient, HostStatus
from keystore.agents.identity import Role
from keystore.control.clock import MovableClock
from keystore.control.clusters import cluster_named
from keystore.control.database import Database, open_database
from keystore.control.due import OPEN, DueTable
from keystore.control.tables import due
from keystore.kms.local import create_key_file
from keystore.projects.events import list_events
from keystore.projects.machines import Machines
from keystore.projects.tables import checks
from keystore.projects.validation import VALIDATION_JOB
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.cli.running import PROGRAM, environment, keystore
from tests.projects.providers import Aws, Cloud, environment_of
from tests.rest.client import Api

LOOK_EVERY_S = 0.01
"""How often processes look at what is due: a tick takes as long as its work."""

POLL_S = 0.004
EVENTS_MAX = 10_000


class Served:
    """A project over the API, and the control processes that serve it.

    Attributes:
        smtp: HOST:PORT of the mail server of processes that are started from now on; None for none.
    """

    def __init__(
        self,
        folder: Path,
        kms: KmsEmulator,
        url: str,
        smtp: str | None,
        names: tuple[str, ...] = ("one",),
        cloud: type[Cloud] = Aws,
    ) -> None:
        self.folder, self.url, self.smtp = folder, url, smtp
        create_key_file(folder / "platform")
        self.env, self.cloud, self.starts = environment_of(kms), cloud(kms), 0
        self.key = keystore("control", "init", "acme", "--database", self.url, "--json").json
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.apis: dict[str, Api] = {}
        for name in names:
            self.start(name)
        self.database: Database = open_database(self.url)
        self.clock = MovableClock(self.database)
        self.first = names[0]
        self._recorded: list[int] = []
        self._last_check = 0
        made = self.api.post("/groups", {"name": "shop", "orgId": self.key["id"]})
        self.project = f"/groups/{made.body['id']}"
        person = {"username": "owner@example.org", "roles": ["GROUP_OWNER"]}
        assert self.api.post(f"{self.project}/users", person).status in (200, 201)

    @property
    def api(self) -> Api:
        return self.apis[self.first]

    def start(self, name: str) -> None:
        ready = self.folder / f"{name}.json"
        ready.unlink(missing_ok=True)
        command = [*PROGRAM, "control", "serve", "--database", self.url, "--name", name, "--ready-file", ready]
        command += ["--platform-key", f"local://{self.folder / 'platform'}", "--data-dir", self.folder / "data"]
        command += ["--listen", "127.0.0.1:0", "--movable-clock", "--dead-after", "2", "--look-every", LOOK_EVERY_S]
        if self.smtp is not None:
            command += ["--smtp", self.smtp, "--mail-from", "keystore@example.org"]
        self.starts += 1
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([*map(str, command)], stderr=log, env=environment(self.env))
        wait_until(lambda: ready.exists() or process.poll() is not None, "the ready file")
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        self.processes[name] = process
        url = json.loads(ready.read_text())["url"]
        self.apis[name] = Api(url, self.key["publicKey"], self.key["privateKey"])

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait(60)

    def configure_and_create(self) -> None:
        """Save the key, and order a cluster of one node under it."""
        saved = self.api.patch(f"{self.project}/encryptionAtRest", self.cloud.body())
        assert saved.status == 200, saved.body
        region = {"providerName": "GCP", "regionName": "US", "electableSpecs": {"instanceSize": "M10", "nodeCount": 1}}
        body = {
            "name": "orders",
            "encryptionAtRestProvider": self.cloud.provider,
            "replicationSpecs": [{"regionConfigs": [region]}],
        }
        assert self.api.post(f"{self.project}/clusters", body).status == 201

    def hosts(self) -> dict[str, HostStatus]:
        """Ask every host of the cluster who it is, and how its process is."""
        files = Machines(self.folder / "data", "").files(self.cluster()["id"])
        tls, found = files.tls(Role.CONTROL, "control"), {}
        for record in cluster_named(self.database, self.cluster()["id"]).processes:
            with HostClient(record.host_address, tls, record.name) as client:
                found[record.name] = client.status()
        return found

    def states(self) -> set[str]:
        """Return the states in which processes of the cluster are."""
        return {host.processes[name].state for name, host in self.hosts().items()}

    def events(self) -> list[str]:
        """Return the types of the project's events, the earliest first."""
        with self.database.read() as connection:
            found, _ = list_events(connection, project_id=self.project.rpartition("/")[2], limit=EVENTS_MAX)
        return [event.type for event in reversed(found)]

    def cluster(self) -> dict[str, Any]:
        answered = self.api.get(f"{self.project}/clusters/orders")
        assert answered.status == 200, answered.body
        found: dict[str, Any] = answered.body
        return found

    def wait_for(self, state: str) -> None:
        wait_until(lambda: self.cluster()["stateName"] == state, f"{state}, and not {self.cluster()}")

    def scheduled(self) -> list[int]:
        """Return the times for which checks were recorded so far, also those that are forgotten meanwhile."""
        new = sa.select(checks.c.id, checks.c.due_ns).where(
            checks.c.id > self._last_check, checks.c.cause == "scheduled"
        )
        with self.database.read() as connection:
            for row in connection.execute(new.order_by(checks.c.id)):
                self._recorded.append(row.due_ns)
                self._last_check = row.id
        return self._recorded

    def tick(self, killed: str = "", point: int = 0) -> None:
        """Let the next check come due, and wait until it is recorded; a process is killed at a point of it.

        The clock runs on meanwhile: it is moved to when the check is due, so that none is ever made up for.

        Args:
            point: before its turn, with its workflow there, with the provider asked, or with the check recorded.
        """
        before, at_ns = len(self.scheduled()), DueTable(self.database).open_jobs(VALIDATION_JOB)[0].at_ns
        if killed:
            asked = self.cloud.asked()
            points = (
                lambda: True,
                lambda: self._has_begun(at_ns),
                lambda: self.cloud.asked() > asked,
                lambda: len(self.scheduled()) > before,
            )
        self.clock.advance(max(0, at_ns - self.clock.now_ns()))
        if killed:
            wait_until(points[point % len(points)], f"point {point}", POLL_S)
            self.kill(killed)
            self.start(killed)
        wait_until(lambda: len(self.scheduled()) > before, "the check", POLL_S)

    def _has_begun(self, now_ns: int) -> bool:
        """Tell whether no check is due that nobody began."""
        with self.database.read() as connection:
            mine = (due.c.kind == VALIDATION_JOB) & (due.c.state == OPEN) & (due.c.at_ns <= now_ns)
            return connection.scalar(sa.select(sa.func.count()).select_from(due).where(mine)) == 0

    def close(self) -> None:
        """Delete the cluster, for its processes outlive those of the control plane, and end these."""
        if self.processes[self.first].poll() is not None:
            self.start(self.first)
        if self.api.delete(f"{self.project}/clusters/orders").status == 202:
            gone = f"{self.project}/clusters/orders"
            wait_until(lambda: self.api.get(gone).status == 404, "the cluster to go")
        for name in self.processes:
            self.kill(name)
        self.database.close()
