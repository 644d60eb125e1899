"""Mails between real control processes of which some have a mail server and some have none: those without leave them to
the others, and each is sent once.

That a process leaves a mail alone is seen by what it does meanwhile: checks that came due later than the mail.
"""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keystore.control.due import DueTable
from keystore.projects.access import Role
from keystore.projects.mail import MAIL_JOB, Mail, list_mails, queue_mail
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.control.postgres import Postgres
from tests.mail_server import Mailbox, serve_mail
from tests.projects.served import Served

WAIT_S = 60.0
MAILS = 24
AGED_NS = 91 * 86400 * 10**9
"""After how long an owner is told that a key should be changed."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with serve_mail() as found:
        yield found


@pytest.fixture
def kms() -> Iterator[KmsEmulator]:
    with KmsEmulator(strict_auth=True) as found:
        yield found


def let_key_age(served: Served) -> None:
    """Save a key, and let a scheduled check find it so old that a mail tells of it."""
    assert served.api.patch(f"{served.project}/encryptionAtRest", served.cloud.body()).status == 200
    before = len(outbox(served))
    served.clock.advance(AGED_NS)
    wait_until(lambda: len(outbox(served)) > before, "the mail of the check")


def outbox(served: Served) -> list[Mail]:
    with served.database.read() as connection:
        return list_mails(connection, served.project.rpartition("/")[2])


def queue(served: Served, number: int) -> None:
    with served.database.write() as connection:
        project_id, now_ns = served.project.rpartition("/")[2], served.clock.now_ns()
        queue_mail(connection, project_id, Role.GROUP_OWNER, f"mail {number}", "body", now_ns)


def require_waiting(served: Served) -> None:
    """Make sure that mails are in the outbox, and that the processes, which go on, leave them there."""
    waiting = [mail.id for mail in outbox(served)]
    assert waiting
    for _ in range(2):
        served.tick()
    found = {mail.id: mail for mail in outbox(served)}
    assert {(found[each].sent_ns, found[each].tries) for each in waiting} == {(None, 0)}
    assert DueTable(served.database).started_jobs([MAIL_JOB]) == []
    assert set(waiting) <= {job.subject for job in DueTable(served.database).open_jobs(MAIL_JOB)}


def require_sent_once(served: Served, mailbox: Mailbox) -> None:
    """Wait until the outbox is empty, let time pass, and make sure that each mail was taken once, at one attempt."""
    wait_until(lambda: all(mail.sent_ns for mail in outbox(served)), "the mails")
    wait_until(lambda: DueTable(served.database).open_jobs(MAIL_JOB) == [], "the end of their jobs")
    for _ in range(2):
        served.tick()
    queued = outbox(served)
    assert {mail.tries for mail in queued} == {1}
    assert Counter(mail["Message-ID"] for mail in mailbox.taken) == Counter(
        f"<{each.id}@example.org>" for each in queued
    )
    assert mailbox.asked == len(queued)


def test_a_mail_queued_beside_a_process_without_a_mail_server_waits_and_is_sent_once_by_the_next_process(
    tmp_path: Path, database_url: str, kms: KmsEmulator, mailbox: Mailbox
) -> None:
    with closing(Served(tmp_path, kms, database_url, None, ("without",))) as served:
        let_key_age(served)
        require_waiting(served)
        served.kill("without")
        served.smtp, served.first = mailbox.address, "with"
        served.start("with")
        require_sent_once(served, mailbox)
        assert len(mailbox.taken) == 1


def test_of_two_processes_on_one_database_the_one_with_a_mail_server_sends_every_mail_once(
    tmp_path: Path, postgres: Postgres, kms: KmsEmulator, mailbox: Mailbox
) -> None:
    with closing(Served(tmp_path, kms, postgres.create_database(), None, ("without",))) as served:
        let_key_age(served)
        require_waiting(served)
        served.smtp = mailbox.address
        served.start("with")
        for number in range(MAILS):  # while it takes what waited
            queue(served, number)
        require_sent_once(served, mailbox)
        assert len(mailbox.taken) == 1 + MAILS


def test_a_mail_of_a_killed_process_is_taken_over_by_one_without_a_mail_server_and_waits_for_the_next_with_one(
    tmp_path: Path, postgres: Postgres, kms: KmsEmulator, mailbox: Mailbox
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(Served(tmp_path, kms, postgres.create_database(), None, ("without",))) as served,
    ):
        silent.settimeout(WAIT_S)
        served.smtp = f"127.0.0.1:{silent.getsockname()[1]}"
        served.start("with")
        queue(served, 0)
        connected, _ = silent.accept()
        with connected:
            served.kill("with")
        log = tmp_path / "without.log"
        (mail,) = outbox(served)
        wait_until(lambda: f"took over workflow {MAIL_JOB}/{mail.id}" in log.read_text(), "the end of the killed one")
        let_key_age(served)
        assert {(each.sent_ns, each.tries) for each in outbox(served)} == {(None, 0)}
        served.smtp = mailbox.address
        served.start("with")
        require_sent_once(served, mailbox)
