"""The outbox: who gets a mail, and that a real mail server gets it once, whatever happens on the way."""

import email.header
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.control.clock import MovableClock
from keystore.control.database import Database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.due import DueTable
from keystore.control.service import ControlService
from keystore.errors import ControlSetupError
from keystore.projects.access import Role
from keystore.projects.mail import MAIL_JOB, list_mails, notify, queue_mail
from keystore.projects.smtp import GIVE_UP_NS, WAIT_NS_MIN, Mailer, MailJobs, mailer_of
from keystore.projects.tables import mails
from tests.control.worker import wait_until
from tests.mail_server import Mailbox, serve_mail
from tests.projects.founding import add_person, found_project

SENDER = "keystore@control.example"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with serve_mail() as mailbox:
        yield mailbox


@pytest.fixture
def mailer(mailbox: Mailbox) -> Mailer:
    return mailer_of(mailbox.address, SENDER)


class Control:
    """The jobs of mail as a control process runs them, looked at step by step."""

    def __init__(self, database: Database, mailer: Mailer) -> None:
        self.clock = MovableClock(database)
        self.jobs = MailJobs(database, self.clock, mailer)
        self.engine = DbosEngine(database, "mail", beat_s=0.05, dead_after_s=60, poll_s=0.05)
        self.jobs.register(self.engine)
        self.engine.launch()
        self._table = DueTable(database)
        self._service = ControlService(database, self.engine, self.clock, [MAIL_JOB])

    def look(self) -> int:
        """Start what is due and wait for its end; return how many jobs."""
        started = self._service.look()
        wait_until(lambda: not self._table.started_jobs([MAIL_JOB]), "the end of the jobs")
        return started


@pytest.fixture
def control(database: Database) -> Iterator[Callable[[Mailer], Control]]:
    made: list[Control] = []

    def make(mailer: Mailer) -> Control:
        made.append(Control(database, mailer))
        return made[-1]

    yield make
    for control in made:
        control.engine.close()


def test_everybody_with_the_role_gets_one(database: Database) -> None:
    founded, other = found_project(database), found_project(database, "other")
    add_person(database, founded.project_id, "b@example.org", Role.GROUP_OWNER, Role.GROUP_READ_ONLY)
    add_person(database, founded.project_id, "A@example.org", Role.GROUP_OWNER)
    add_person(database, founded.project_id, "c@example.org", Role.GROUP_READ_ONLY)
    add_person(database, other.project_id, "d@example.org", Role.GROUP_OWNER)
    with database.write() as connection:
        ids = queue_mail(connection, founded.project_id, Role.GROUP_OWNER, "two\r\nlines: x", "body", 5)
        found = list_mails(connection, founded.project_id)
    assert [mail.recipient for mail in found] == ["a@example.org", "b@example.org"]
    assert [mail.id for mail in found] == ids
    assert {mail.subject for mail in found} == {"two lines: x"}
    assert [job.subject for job in DueTable(database).open_jobs(MAIL_JOB)] == ids


def test_who_is_named_twice_by_an_alert_gets_one(database: Database) -> None:
    founded = found_project(database)
    add_person(database, founded.project_id, "a@example.org", Role.GROUP_OWNER)
    add_person(database, founded.project_id, "b@example.org", Role.GROUP_READ_ONLY)
    named: list[Mapping[str, Any]] = [
        {"typeName": "GROUP", "roles": ["GROUP_OWNER"]},
        {"typeName": "EMAIL", "emailAddress": "a@example.org"},
        {"typeName": "EMAIL", "emailAddress": "team@example.net"},
        {"typeName": "GROUP", "emailEnabled": False, "roles": []},
    ]
    with database.write() as connection:
        notify(connection, founded.project_id, named, "s", "b", 1)
        assert [mail.recipient for mail in list_mails(connection, founded.project_id)] == [
            "a@example.org",
            "team@example.net",
        ]
        notify(connection, founded.project_id, [{"typeName": "GROUP", "roles": []}], "all", "b", 2)
        found = [mail.recipient for mail in list_mails(connection, founded.project_id) if mail.subject == "all"]
    assert found == ["a@example.org", "b@example.org"]


def test_a_mail_reaches_the_server_once(
    database: Database, mailer: Mailer, mailbox: Mailbox, control: Callable[[Mailer], Control]
) -> None:
    founded = found_project(database)
    add_person(database, founded.project_id, "a@example.org", Role.GROUP_OWNER)
    served = control(mailer)
    with database.write() as connection:
        (mail_id,) = queue_mail(
            connection, founded.project_id, Role.GROUP_OWNER, "Grüße", "one\ntwo €", served.clock.now_ns()
        )
    assert served.look() == 1
    assert served.look() == 0
    (message,) = mailbox.taken
    assert message["Message-ID"] == f"<{mail_id}@control.example>"
    assert message["To"] == "a@example.org"
    assert str(email.header.make_header(email.header.decode_header(message["Subject"]))) == "Grüße"
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().splitlines() == ["one", "two €"]
    with database.read() as connection:
        (mail,) = list_mails(connection, founded.project_id)
    assert mail.tries == 1
    assert mail.sent_ns is not None


def test_a_mail_that_is_not_taken_is_tried_again_with_the_same_id(
    database: Database, mailer: Mailer, mailbox: Mailbox, control: Callable[[Mailer], Control]
) -> None:
    founded = found_project(database)
    add_person(database, founded.project_id, "a@example.org", Role.GROUP_OWNER)
    served = control(mailer)
    mailbox.refuses = True
    with database.write() as connection:
        (mail_id,) = queue_mail(connection, founded.project_id, Role.GROUP_OWNER, "s", "b", served.clock.now_ns())
    assert (served.look(), served.look()) == (1, 0)
    served.clock.advance(WAIT_NS_MIN)
    second_ns = served.clock.now_ns()
    assert served.look() == 1
    (job,) = DueTable(database).open_jobs(MAIL_JOB)
    assert job.at_ns >= second_ns + 2 * WAIT_NS_MIN
    mailbox.refuses = False
    served.clock.advance(2 * WAIT_NS_MIN)
    assert served.look() == 1
    assert mailbox.asked == 3
    assert [message["Message-ID"] for message in mailbox.taken] == [f"<{mail_id}@control.example>"]


def test_a_mail_is_given_up_after_three_days(
    database: Database, mailer: Mailer, mailbox: Mailbox, control: Callable[[Mailer], Control]
) -> None:
    founded = found_project(database)
    add_person(database, founded.project_id, "a@example.org", Role.GROUP_OWNER)
    served = control(mailer)
    mailbox.refuses = True
    with database.write() as connection:
        queue_mail(connection, founded.project_id, Role.GROUP_OWNER, "s", "b", served.clock.now_ns())
    served.clock.advance(GIVE_UP_NS + 1)
    assert served.look() == 1
    served.clock.advance(GIVE_UP_NS)
    assert served.look() == 0
    with database.read() as connection:
        assert connection.execute(sa.select(mails.c.sent_ns, mails.c.tries)).all() == [(None, 1)]


@pytest.mark.parametrize("smtp", ["", "host", "host:", ":25", "host:0", "host:65536", "host:x"])
def test_what_is_no_mail_server_is_refused(smtp: str) -> None:
    with pytest.raises(ControlSetupError, match="HOST:PORT"):
        mailer_of(smtp, SENDER)


@pytest.mark.parametrize("sender", ["", "me", "me@", "@host", "me@host\nBcc: x@y", "<me@host>"])
def test_what_is_no_sender_is_refused(sender: str) -> None:
    with pytest.raises(ControlSetupError, match="address"):
        mailer_of("127.0.0.1:25", sender)
