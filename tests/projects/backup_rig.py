"""Deployments with backups in this process: real nodes behind real sockets, the real engine, a clock that tests set."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from keystore.agents.identity import Role
from keystore.agents.process import Stopping
from keystore.agents.service import NodeService
from keystore.agents.serving import AgentServer
from keystore.control.clusters import MemberRecord, NewCluster, cluster_named, set_addresses
from keystore.control.creation import ClusterFiles
from keystore.control.database import Database, open_database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.due import DONE
from keystore.control.founding import add_cluster
from keystore.control.service import ControlService
from keystore.control.tables import due
from keystore.kms.connect import connect, connector
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.projects.backed_up import Deployment, connect_to_node, deployment_named, deployment_of, local_places
from keystore.projects.backup_jobs import BACKUP_JOBS, register_backup_jobs
from keystore.projects.backups import Backups
from keystore.projects.connecting import ProjectKms
from keystore.projects.events import list_events
from keystore.projects.ids import new_id
from keystore.projects.plane import ProjectPlane
from keystore.projects.restore_rows import RestoreJob, find_job
from keystore.projects.restores import Restores
from keystore.projects.sealing import Sealer
from keystore.projects.snapshot_rows import SHOWN_STATES, SnapshotRow, SnapshotState, snapshots_of
from keystore.projects.stored_schedules import backups_changed
from keystore.projects.tables import configurations, credentials, deployments, organizations, projects
from tests.agents.running import wait_until
from tests.emulator_process import Emulator
from tests.key_files import new_key

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
START_NS = 1_900_000_000 * 10**9 // DAY_NS * DAY_NS + 15 * HOUR_NS
"""15:00 on a day; the default schedule's next time is 18:00."""


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.at_ns = START_NS

    def now_ns(self) -> int:
        return self.at_ns


@dataclass
class Served:
    """A node that this process serves."""

    node: Node
    server: AgentServer
    service: NodeService

    def end(self) -> None:
        self.service.begin_stop()
        self.server.stop()
        self.node.close()


class BackupRig:
    """A project with deployments; a context manager that ends all of it."""

    def __init__(self, folder: Path, database: Database, endpoint: str | None, platform_key: str) -> None:
        self.folder, self.database, self.clock = folder, database, SetClock()
        self.connect: KmsConnector = connector(endpoint)
        self.platform_key = platform_key
        self.nodes: dict[tuple[str, str], Served] = {}
        places = local_places(folder / "backups")
        sealer = Sealer(platform_key, connect)
        self.plane = ProjectPlane(database, self.clock, sealer, places, kms_endpoint=endpoint)
        self.place_of = places
        self.backups, self.restores = Backups(self.plane), Restores(self.plane)
        self.engine = DbosEngine(database, "me", beat_s=0.5, dead_after_s=60, poll_s=0.02)
        register_backup_jobs(self.engine, self.plane)
        self.organization = self._insert_organization()
        self.project = self._insert_project("shop")
        self._stack = ExitStack()

    def _insert_organization(self) -> str:
        organization = new_id()
        with self.database.write() as connection:
            row: dict[str, Any] = {"id": organization, "name": "acme", "created_ns": 0}
            connection.execute(organizations.insert().values(row))
        return organization

    def _insert_project(self, name: str) -> str:
        project = new_id()
        with self.database.write() as connection:
            row: dict[str, Any] = {"id": project, "organization_id": self.organization, "name": name, "created_ns": 0}
            connection.execute(projects.insert().values(row))
        return project

    @contextmanager
    def another_project(self, name: str) -> Iterator[str]:
        """Make another project, which is that of the rig in the block; return its id."""
        former, self.project = self.project, self._insert_project(name)
        try:
            yield self.project
        finally:
            self.project = former

    def __enter__(self) -> Self:
        self.engine.launch()
        self._stack.callback(self.engine.close)
        self.service = ControlService(self.database, self.engine, self.clock, BACKUP_JOBS)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for served in self.nodes.values():
            served.end()

    # -- deployments --------------------------------------------------------------------------------------------------

    def configure(self, key_uri: str) -> str:
        """Make a key the project's at its provider, with new credentials; return their id."""
        provider, credential = parse(key_uri).provider.upper(), new_id()
        which = (configurations.c.project_id == self.project) & (configurations.c.provider == provider)
        now_ns = self.clock.now_ns()
        with self.database.write() as connection:
            former = (credentials.c.project_id == self.project) & (credentials.c.provider == provider)
            connection.execute(credentials.update().values(retired_ns=now_ns).where(former))
            row: dict[str, Any] = {"id": credential, "project_id": self.project, "provider": provider, "sealed": b"x"}
            connection.execute(credentials.insert().values({**row, "created_ns": now_ns}))
            connection.execute(configurations.delete().where(which))
            row = {"project_id": self.project, "provider": provider, "fields": {}, "credential_id": credential}
            state = {"state": "valid", "reason": "", "since_ns": 0, "rotated_ns": 0, "revision": 1}
            connection.execute(configurations.insert().values({**row, **state, "key_uri": key_uri}))
        return credential

    def deploy(self, name: str, key_uri: str | None = None, members: Sequence[str] = ("n1",), **values: Any) -> str:
        """Make a deployment whose nodes are served, with backups on; return its id."""
        deployment = new_id()
        files = ClusterFiles.create(
            self.folder / deployment, deployment, members, self.platform_key, key_uri, self.connect
        )
        records = tuple(MemberRecord(member, self._serve(files, deployment, member), "") for member in members)
        new = NewCluster(deployment, str(files.directory), self.platform_key, key_uri, members[0], records)
        cluster = add_cluster(self.database, new, self.clock.now_ns())
        row: dict[str, Any] = {
            "id": deployment,
            "project_id": self.project,
            "name": name,
            "cluster_id": cluster.id,
            "cloud": "AWS",
            "region": "US_EAST_1",
            "tier": "M10",
            "disk_gb": 10,
            "version": "7.0.1",
            "size": len(members),
            "provider": parse(key_uri).provider.upper() if key_uri else "NONE",
            "backup_enabled": True,
            "backup_type": "CLOUD",
            "pit_enabled": False,
            "life": "alive",
            "disabled_by": "nothing",
            "state": "IDLE",
            "reason": "",
            "disabled_since_ns": None,
            "paused": False,
            "revision": 1,
            "wakes": 0,
            "tries": 0,
            "created_ns": self.clock.now_ns(),
            "terminated_ns": None,
        }
        with self.database.write() as connection:
            connection.execute(deployments.insert().values({**row, **values}))
            backups_changed(connection, deployment, self.clock.now_ns())
        return deployment

    def _serve(self, files: ClusterFiles, deployment: str, member: str) -> str:
        node = Node.open(files.node(member), self.connect)
        service = NodeService(node, self.connect, Stopping().begin)
        server = AgentServer("127.0.0.1:0", files.tls(Role.NODE, member), Role.NODE, service.service())
        server.start()
        self.nodes[deployment, member] = Served(node, server, service)
        return server.address

    def give(self, deployment: str, key_uri: str) -> None:
        """Have every member of a deployment use the project's present credentials."""
        message = ProjectKms(self.plane, self.project).message([key_uri])
        cluster = cluster_named(self.database, deployment)
        for member in cluster.member_names:
            with connect_to_node(cluster, member) as client:
                client.give_credentials(message)

    def serve_again(self, deployment: str, member: str) -> None:
        """Have a member that was ended serve again, elsewhere."""
        cluster = cluster_named(self.database, deployment)
        address = self._serve(ClusterFiles(Path(cluster.directory)), deployment, member)
        set_addresses(self.database, cluster.id, [MemberRecord(member, address, "")])

    def alter(self, deployment: str, **values: Any) -> None:
        """Change columns of a deployment."""
        with self.database.write() as connection:
            connection.execute(deployments.update().where(deployments.c.id == deployment).values(values))

    def set(self, deployment: str, **values: Any) -> None:
        """Change columns of a deployment, and have its backups looked at."""
        with self.database.write() as connection:
            connection.execute(deployments.update().where(deployments.c.id == deployment).values(values))
            backups_changed(connection, deployment, self.clock.now_ns())

    def id_of(self, name: str) -> str:
        """Return the id of a deployment by its name."""
        with self.database.read() as connection:
            found = deployment_named(connection, self.project, name)
        assert found is not None
        return found.id

    def deployment(self, deployment: str) -> Deployment:
        with self.database.read() as connection:
            found = deployment_of(connection, deployment)
        assert found is not None
        return found

    def node(self, deployment: str, member: str = "n1") -> Node:
        return self.nodes[deployment, member].node

    def write(self, deployment: str, content: bytes, name: str = "file") -> None:
        """Make a file of every member have a content."""
        for (owner, _), served in self.nodes.items():
            if owner == deployment:
                if "db" in served.node.databases and name in served.node.databases["db"].stores:
                    served.node.drop_file("db", name)
                source = self.folder / "content"
                source.write_bytes(content)
                served.node.import_file("db", name, source)

    def read(self, deployment: str, member: str = "n1", name: str = "file") -> bytes:
        target = self.folder / "exported"
        target.unlink(missing_ok=True)
        self.node(deployment, member).export_file("db", name, target)
        return target.read_bytes()

    # -- time ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do everything that is due now, and what that makes due, to its end."""
        while self.service.look():
            wait_until(lambda: not self.service._table.started_jobs(BACKUP_JOBS), "the jobs to end")

    def go_on(self, by_ns: int) -> list[int]:
        """Let time go on, from one thing that is due to the next; return when something was due."""
        end_ns, stops = self.clock.at_ns + by_ns, list[int]()
        self.run()
        while (next_ns := self._next_due_ns()) is not None and next_ns <= end_ns:
            self.clock.at_ns = max(next_ns, self.clock.at_ns)
            stops.append(self.clock.at_ns)
            self.run()
        self.clock.at_ns = end_ns
        return stops

    def _next_due_ns(self) -> int | None:
        which = due.c.kind.in_(BACKUP_JOBS) & (due.c.state != DONE)
        with self.database.read() as connection:
            found: int | None = connection.scalar(sa.select(sa.func.min(due.c.at_ns)).where(which))
            return found

    # -- what is known ------------------------------------------------------------------------------------------------

    def snapshots(self, deployment: str) -> list[SnapshotRow]:
        """Return the snapshots that are shown now, the oldest first."""
        with self.database.read() as connection:
            return snapshots_of(connection, SHOWN_STATES, deployment_id=deployment, living_ns=self.clock.now_ns())

    def take(self, deployment: str, days: int = 7) -> SnapshotRow:
        """Take a snapshot on demand and return it."""
        with self.database.write() as connection:
            row = self.backups.order(connection, self.deployment(deployment), days, "by hand", "tests")
        self.run()
        taken = next(each for each in self.snapshots(deployment) if each.id == row.id)
        assert (taken.state, taken.reason) == (SnapshotState.COMPLETED, "")
        return taken

    def restore(self, row: SnapshotRow, target: str, point_ns: int | None = None) -> RestoreJob:
        """Restore a snapshot into a deployment, to the end.

        What is due is done before: a restore waits a minute where a snapshot of the target is just being taken.
        """
        self.run()
        job = self.restores.order(row, self.deployment(target), point_ns, "tests")
        self.run()
        return self.job(job.id)

    def job(self, job_id: str) -> RestoreJob:
        with self.database.read() as connection:
            found = find_job(connection, job_id)
        assert found is not None
        return found

    def jobs(self) -> list[str]:
        """Return the subjects of every job of backups that there is or was."""
        with self.database.read() as connection:
            return list(connection.scalars(sa.select(due.c.subject).where(due.c.kind.in_(BACKUP_JOBS))))

    def events(self, *types: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the events of the project, the oldest first."""
        with self.database.read() as connection:
            found, _ = list_events(connection, project_id=self.project, types=types, limit=1000)
        return [(event.type, dict(event.detail)) for event in reversed(found)]


@pytest.fixture
def rig(tmp_path: Path, emulator: Emulator) -> Iterator[BackupRig]:
    database = open_database(f"sqlite:///{tmp_path / 'control.db'}")
    with BackupRig(tmp_path, database, emulator.endpoint, new_key(tmp_path / "platform")) as rig:
        yield rig
    database.close()


@pytest.fixture
def rig_on_both(tmp_path: Path, emulator: Emulator, database: Database) -> Iterator[BackupRig]:
    """A rig on SQLite, then on PostgreSQL."""
    with BackupRig(tmp_path, database, emulator.endpoint, new_key(tmp_path / "platform")) as rig:
        yield rig
