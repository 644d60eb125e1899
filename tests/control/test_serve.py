"""`keystore control serve` as a process: its beginning and its end, and what it says when it cannot begin."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOSClient

from keystore.control.database import Database
from keystore.control.dbos_status import APPLICATION, EXTENDED_QUEUE, SERIALIZER, url_of
from keystore.control.due import OPEN, Due, add_job
from keystore.control.jobs import ROTATION_JOB
from keystore.control.requests import OPERATION_JOB
from keystore.control.tables import due, executors
from keystore.kms.local import create_key_file
from keystore.projects.organizations import create_organization
from tests.cli.running import PROGRAM, environment, keystore
from tests.control.postgres import Postgres
from tests.control.worker import WAIT_S, wait_until


class Served:
    """Control processes of a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, url: str, name: str = "me", *arguments: str | Path) -> subprocess.Popen[str]:
        self.ready(name).unlink(missing_ok=True)
        command = [*PROGRAM, "control", "serve", "--database", url, "--name", name, "--ready-file", self.ready(name)]
        command += arguments
        self.processes.append(
            subprocess.Popen(
                [*map(str, command)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment({}),
            )
        )
        return self.processes[-1]

    def start(self, url: str, name: str = "me", *arguments: str | Path) -> subprocess.Popen[str]:
        process = self.begin(url, name, *arguments)
        wait_until(lambda: self.ready(name).exists() or process.poll() is not None, "the ready file")
        assert process.poll() is None, process.communicate(timeout=WAIT_S)[1]
        return process

    def ready(self, name: str = "me") -> Path:
        return self.directory / f"{name}.ready"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    for process in found.processes:
        process.kill()
        process.communicate(timeout=WAIT_S)


@contextmanager
def _client(database: Database) -> Iterator[DBOSClient]:
    """Give what sees DBOS's own words."""
    client = DBOSClient(system_database_url=url_of(database), serializer=SERIALIZER, application_name=APPLICATION)
    yield client
    client.destroy()


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=WAIT_S)
    return process.returncode, told


def test_it_says_that_it_is_ready_and_ends_when_it_is_told_to(database_url: str, served: Served) -> None:
    process = served.start(database_url)
    found = json.loads(served.ready().read_text())
    assert found == {"name": "me", "pid": process.pid, "database": found["database"]}
    process.send_signal(signal.SIGTERM)
    told, problems = process.communicate(timeout=WAIT_S)
    assert (process.returncode, problems) == (0, "")
    assert told == (
        f"keystore control me serves: state in {found['database']}; Ctrl-C or SIGTERM to {process.pid} ends it, and no "
        "cluster\n"
    )
    assert not served.ready().exists()


def test_the_second_of_a_name_goes_on_and_the_first_ends(tmp_path: Path, served: Served) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    first = served.start(url)
    second = served.start(url)
    code, told = _end(first)
    assert code == 8
    assert "started again elsewhere" in told
    assert second.poll() is None
    assert json.loads(served.ready().read_text())["pid"] == second.pid


def test_without_the_platform_key_it_ends_when_its_database_gets_projects_and_takes_none_of_their_jobs(
    database_url: str, opened: Callable[[str], Database], served: Served
) -> None:
    process, database = served.start(database_url), opened(database_url)
    others = Due(ROTATION_JOB, "1", 0), Due(OPERATION_JOB, "1", 0)
    with database.write() as connection:  # what is due when it finds out was never there without the organisation
        create_organization(connection, "acme", 0)
        for job in others:
            add_job(connection, job)
    code, told = _end(process)
    assert code == 2
    assert "has projects, whose jobs need the platform key" in told
    assert "Traceback" not in told
    assert not served.ready().exists()
    with database.read() as connection:
        assert connection.execute(sa.select(due.c.state, due.c.epoch)).all() == [(OPEN, None)] * len(others)
        assert connection.execute(sa.select(executors)).all() == []
    code, told = _end(served.begin(database_url))
    assert (code, "None of them was started" in told) == (2, True)


def test_what_a_process_with_the_platform_key_started_waits_where_no_other_looks(
    database_url: str, opened: Callable[[str], Database], served: Served
) -> None:
    database, job = opened(database_url), Due(ROTATION_JOB, "1", 0)
    with database.write() as connection:
        create_organization(connection, "acme", 0)
        add_job(connection, job)
    create_key_file(served.directory / "platform")
    platform = ("--platform-key", f"local://{served.directory / 'platform'}", "--data-dir", served.directory)
    served.start(database_url, "keeper", *platform)
    with _client(database) as client:
        wait_until(lambda: client.list_workflows(workflow_ids=[job.key]) != [], "the job")
        (found,) = client.list_workflows(workflow_ids=[job.key])
    assert found.queue_name == EXTENDED_QUEUE


def test_it_ends_when_it_is_told_to_also_while_its_database_is_away(postgres: Postgres, served: Served) -> None:
    process = served.start(postgres.create_database())
    postgres.stop()
    try:
        process.send_signal(signal.SIGTERM)
        code, told = _end(process)
    finally:
        postgres.start()
    assert code == 0
    assert "others notice it by its silence" in told


def test_what_it_cannot_begin_with_is_told_by_the_exit_code(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    newer = f"sqlite:///{tmp_path / 'newer.db'}"
    with opened(newer).write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    cases = {
        newer: (1, "Use the newer program"),
        "postgresql://keeper:hunter2@127.0.0.1:1/control": (4, "does not answer"),
        "oracle://host/name": (2, "is not a control database"),
        f"sqlite:///{tmp_path / 'no' / 'control.db'}": (6, "directory is missing"),
    }
    for url, (code, told) in cases.items():
        ended = keystore("control", "serve", "--database", url, "--name", "me")
        assert ended.code == code
        assert told in ended.err
        assert "hunter2" not in ended.err
