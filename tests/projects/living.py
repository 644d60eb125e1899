"""Deployments with real processes on this machine, and a control plane of which a test does every job itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient, HostStatus
from keystore.agents.identity import Role as TlsRole
from keystore.control.clock import MovableClock
from keystore.control.cluster_keys import ClusterKeys, SameForAll
from keystore.control.clusters import Cluster, cluster_of
from keystore.control.database import Database, open_database
from keystore.control.due import Due, DueTable
from keystore.control.jobs import ROTATION_JOB
from keystore.control.plane import Plane
from keystore.control.requests import OPERATION_JOB
from keystore.control.rolling import StepDown, Touch
from keystore.kms.connect import connect, connector
from keystore.kms.local import create_key_file
from keystore.projects.access import PROJECT, Caller, Role
from keystore.projects.api_keys import create_key
from keystore.projects.applying import GOES_ON
from keystore.projects.backed_up import local_places
from keystore.projects.configurations import save
from keystore.projects.deployment_rows import SUPERVISE_JOB, Deployment, read_deployment
from keystore.projects.events import list_events
from keystore.projects.fields import read_body
from keystore.projects.looks import Looks, create_looks
from keystore.projects.machines import Machines, unplaced
from keystore.projects.plane import ProjectPlane
from keystore.projects.sealing import Sealer
from keystore.projects.tables import projects
from keystore.projects.validation import VALIDATION_JOB, Validation
from keystore.rest.app import create_app
from keystore.rest.serving import RestServer
from tests.emulator_process import Emulator
from tests.projects.made import make_project
from tests.rest.client import Api

JOBS_MAX = 200


def guard(connection: sa.Connection) -> None:
    """Let the test act: it is the only process."""


@dataclass
class Living:
    """One project on one database, and the processes of its deployments."""

    plane: ProjectPlane
    control: Plane
    looks: Looks
    machines: Machines
    project_id: str
    owner: Caller
    clock: MovableClock
    jobs_done: list[Due] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.plane.database

    @property
    def validation(self) -> Validation:
        return Validation(self.plane)

    def save_aws(self, key_uri: str) -> None:
        """Have a key at AWS be the project's, as its owner does; this emulator asks nobody who they are."""
        who = {"accessKeyID": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "s" * 40}
        which = {"customerMasterKeyID": key_uri.rpartition("/")[2], "region": "US_EAST_1"}
        save(self.plane, self.project_id, read_body({"awsKms": {"enabled": True, **who, **which}}), "owner")

    def caller(self, *roles: Role) -> Caller:
        """Return a caller with these roles in the project."""
        granted = frozenset((self.project_id, role) for role in roles)
        return Caller("0" * 24, "-".join(roles) or "nobody", self.owner.organization_id, granted)

    def now_ns(self) -> int:
        return self.clock.now_ns()

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 10**9))

    def settle(self) -> None:
        """Do what is due until nothing is."""
        kinds = [VALIDATION_JOB, SUPERVISE_JOB, OPERATION_JOB, ROTATION_JOB]
        for _ in range(JOBS_MAX):
            now_ns = self.now_ns()
            found = [job for kind in kinds for job in DueTable(self.database).open_jobs(kind) if job.at_ns <= now_ns]
            if not found:
                return
            self._do(found[0])
        raise AssertionError(f"still due after {JOBS_MAX} jobs: {found}")

    def finish_operations(self) -> None:
        """Do what is due, moving the clock where something only waits for a look, until no change is open."""
        for _ in range(20):
            self.settle()
            self.advance(20)
        self.settle()

    def _do(self, job: Due) -> None:
        self.jobs_done.append(job)
        if job.kind == ROTATION_JOB:
            self.control.jobs.begin_rotation(job, guard)
        elif job.kind == OPERATION_JOB:
            action = self.control.jobs.advance(job, guard)
            while isinstance(action, Touch | StepDown):
                action = self.control.jobs.advance(job, guard)
            self.control.jobs.conclude(job, action, guard)
        elif job.kind == VALIDATION_JOB:
            self.validation.conclude(job, self.validation.look(job), guard)
        else:
            self.look(job)

    def look(self, job: Due) -> None:
        wakes = self.looks.begin(job)
        reason = self.looks.keep(job, guard)
        told, why = GOES_ON, ""
        while told == GOES_ON:
            told, why = self.looks.advance(job, guard)
            reason = why or reason
        self.looks.conclude(job, wakes, reason, guard)

    # -- what is known

    def get(self, deployment_id: str) -> Deployment:
        with self.database.read() as connection:
            return read_deployment(connection, deployment_id)

    def cluster(self, deployment_id: str) -> Cluster:
        with self.database.read() as connection:
            return cluster_of(connection, self.get(deployment_id).cluster_id or 0)

    def events(self, deployment_id: str) -> list[str]:
        """Return the types of its events, the earliest first."""
        with self.database.read() as connection:
            found, _ = list_events(connection, deployment_id=deployment_id)
        return [event.type for event in reversed(found)]

    def hosts(self, deployment_id: str) -> dict[str, HostStatus]:
        """Ask every host who it is, and how its process is."""
        tls = self.machines.files(deployment_id).tls(TlsRole.CONTROL, "control")
        found = {}
        for record in self.cluster(deployment_id).processes:
            with HostClient(record.host_address, tls, record.name) as client:
                found[record.name] = client.status()
        return found

    def states(self, deployment_id: str) -> dict[str, str]:
        """Return the state of every process."""
        return {name: host.processes[name].state for name, host in self.hosts(deployment_id).items()}

    def clients(self, deployment_id: str) -> dict[str, NodeClient]:
        """Return the ways of a client to the router and to every member."""
        tls = self.machines.files(deployment_id).tls(TlsRole.CLIENT, "client")
        cluster = self.cluster(deployment_id)
        assert cluster.router is not None
        found = {"router": NodeClient(cluster.router.address, tls, role=TlsRole.ROUTER)}
        return found | {record.name: NodeClient(record.address, tls, record.name) for record in cluster.members}

    @contextmanager
    def api(self) -> Iterator[Api]:
        """Serve the API, and give the project's owner."""
        scope = (PROJECT, self.project_id, [Role.GROUP_OWNER])
        with self.database.write() as connection:
            key = create_key(connection, self.owner.organization_id, "the owner's", *scope, "test", self.now_ns())
        server = RestServer(create_app(self.plane), "127.0.0.1:0")
        server.start()
        try:
            yield Api(server.url, key.public_key, str(key.private_key))
        finally:
            server.stop()


@contextmanager
def living(url: str, directory: Path, emulator: Emulator, keys: ClusterKeys | None = None) -> Iterator[Living]:
    """Give a project, and end every process of its deployments."""
    database = open_database(url)
    create_key_file(directory / "platform")
    platform_key = f"local://{directory / 'platform'}"
    clock = MovableClock(database)
    sealer, places = Sealer(platform_key, connect), local_places(directory / "backups")
    plane = ProjectPlane(database, clock, sealer, places, kms_endpoint=emulator.url)
    machines = Machines(directory, platform_key, options=("--kms-endpoint", emulator.endpoint))
    kms = connector(emulator.endpoint)
    with database.write() as connection:
        project_id = make_project(connection)
        mine = projects.c.id == project_id
        organization_id = str(connection.scalar(sa.select(projects.c.organization_id).where(mine)))
    owner = Caller("0" * 24, "owner", organization_id, frozenset({(project_id, Role.GROUP_OWNER)}))
    keys = keys or SameForAll(kms)
    control = Plane(database, kms, clock=clock, keys=keys)
    made = Living(plane, control, create_looks(plane, machines, keys), machines, project_id, owner, clock)
    try:
        yield made
    finally:
        for place in (directory / "deployments").glob("*"):
            end_hosts(made, place.name)
        database.close()


def end_hosts(made: Living, deployment_id: str) -> None:
    """End the hosts of a deployment, also of one that was not finished."""
    names = [path.stem for path in made.machines.files(deployment_id).directory.glob("hosts/*.ready")]
    made.machines.hosts(deployment_id, {}).stop([unplaced(name) for name in names])
