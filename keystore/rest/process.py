"""What `keystore control serve` does for projects: their jobs, and the API.

A process without `--listen` does the jobs only; on PostgreSQL several may serve the API.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from keystore.control.clock import Clock
from keystore.control.database import Database, open_database
from keystore.control.engine import WorkflowEngine
from keystore.errors import ControlSetupError
from keystore.kms.protocol import KmsConnector
from keystore.projects.addresses import add_control_address
from keystore.projects.api_keys import ApiKey
from keystore.projects.backed_up import local_places
from keystore.projects.backup_jobs import BACKUP_JOBS, register_backup_jobs
from keystore.projects.connecting import DeploymentKms
from keystore.projects.deployment_rows import SUPERVISE_JOB
from keystore.projects.looks import create_looks, register_looks
from keystore.projects.machines import Machines
from keystore.projects.mail import MAIL_JOB
from keystore.projects.organizations import Organization, create_organization, has_organizations
from keystore.projects.plane import ProjectPlane
from keystore.projects.sealing import Sealer
from keystore.projects.smtp import Mailer, MailJobs
from keystore.projects.validation import VALIDATION_JOB, register_validation
from keystore.rest.app import create_app
from keystore.rest.serving import RestServer


@dataclass(frozen=True)
class Options:
    """How projects are served.

    Attributes:
        platform_key: URI of the key under which the database's secrets are, and nodes without customer keys.
        connect: gives the client of a key.
        data_dir: where deployments and their snapshots are on this machine.
        root: options of `keystore` before the command, for every host.
        kms_endpoint: where every provider is; None for what the environment says of each, then the clouds.
        source_address: where providers are asked from; None leaves it to the system.
        listen: HOST:PORT of the API; None for none.
        tls: certificate chain and private key of the API, both PEM.
        mailer: by which mail goes; None leaves it to another process.
    """

    platform_key: str
    connect: KmsConnector
    data_dir: Path
    root: Sequence[str] = ()
    kms_endpoint: str | None = None
    source_address: str | None = None
    listen: str | None = None
    tls: tuple[Path, Path] | None = None
    mailer: Mailer | None = None


class Projects:
    """Serves projects in a control process; an `Extension` of `keystore.control.serving`."""

    def __init__(self, database: Database, clock: Clock, options: Options) -> None:
        sealer = Sealer(options.platform_key, options.connect)
        places, asked = local_places(options.data_dir / "backups"), (options.kms_endpoint, options.source_address)
        self.plane = ProjectPlane(database, clock, sealer, places, *asked)
        self.keys = DeploymentKms(self.plane, options.connect)
        host_options = ("--kms-endpoint", options.kms_endpoint) if options.kms_endpoint else ()
        machines = Machines(options.data_dir, options.platform_key, options.root, host_options)
        self._looks = create_looks(self.plane, machines, self.keys)
        self._mail = None if options.mailer is None else MailJobs(database, clock, options.mailer)
        self._server, self._data_dir = None, options.data_dir
        if options.listen is not None:
            self._server = RestServer(create_app(self.plane), options.listen, options.tls)

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of jobs that this process does."""
        return [*([] if self._mail is None else [MAIL_JOB]), *BACKUP_JOBS, SUPERVISE_JOB, VALIDATION_JOB]

    def register(self, engine: WorkflowEngine) -> None:
        """Tell an engine what the jobs of projects are."""
        if self._mail is not None:
            self._mail.register(engine)
        register_backup_jobs(engine, self.plane)
        register_looks(engine, self._looks)
        register_validation(engine, self.plane)

    def start(self) -> Mapping[str, object]:
        """Serve the API; return where, where clusters are, and whether mail is sent. From now on customers are told
        from which address their keys are asked for.
        """
        if self.plane.source_address is not None:
            with self.plane.database.write() as connection:
                add_control_address(connection, self.plane.source_address, self.plane.clock.now_ns())
        told: dict[str, object] = {"data_dir": str(self._data_dir), "sends_mail": self._mail is not None}
        if self._server is None:
            return told
        self._server.start()
        return {"url": self._server.url, **told}

    def stop(self) -> None:
        """Let running requests end, and wipe what was opened."""
        if self._server is not None:
            self._server.stop()
        self.plane.sealer.close()


def found_organization(url: str, name: str, now_ns: int) -> tuple[Organization, ApiKey]:
    """Make an organisation in a control database, and the key of its owner.

    Raises:
        InputError: there is one of that name, or it is none.
        ControlError: as `open_database`.
    """
    with closing(open_database(url)) as database, database.write() as connection:
        return create_organization(connection, name, now_ns)


def require_no_organization(connection: sa.Connection) -> None:
    """Make sure that a process without the platform key may serve a control database.

    It would take the jobs of projects, and could do none of them.

    Raises:
        ControlSetupError: there is an organisation in it.
    """
    if has_organizations(connection):
        raise ControlSetupError(
            "the control database has projects, whose jobs need the platform key. None of them was started; give "
            "--platform-key."
        )
