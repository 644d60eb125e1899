"""Sends mails of the outbox by SMTP (RFC 5321): in clear on this machine only, elsewhere over STARTTLS.

A mail that is not taken is tried again, less and less often, for `GIVE_UP_NS`.
"""

import logging
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from keystore.control.clock import Clock
from keystore.control.database import Database
from keystore.control.due import Due, finish
from keystore.control.engine import Run, WorkflowEngine
from keystore.errors import ControlSetupError
from keystore.kms.endpoints import is_loopback
from keystore.projects.mail import MAIL_JOB, Mail, mail_of, record_failed, record_sent

LOG = logging.getLogger("keystore.projects")

TIMEOUT_S = 20
"""LIMIT: seconds that a server may take for one answer."""

S = 10**9
WAIT_NS_MIN, WAIT_NS_MAX = 30 * S, 3600 * S
"""After how long a mail that was not taken is tried again: the first time, and at most. It doubles."""

GIVE_UP_NS = 3 * 86400 * S
"""LIMIT: for how long a mail is tried."""


@dataclass(frozen=True)
class Mailer:
    """A mail server, and in whose name mails go there."""

    host: str
    port: int
    sender: str

    def send(self, mail: Mail) -> None:
        """Send a mail.

        Raises:
            OSError, smtplib.SMTPException: it was not taken, as far as is known.
        """
        with smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S) as server:
            if not is_loopback(self.host):
                server.starttls(context=ssl.create_default_context())
            server.send_message(self._message(mail), self.sender, [mail.recipient])

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = mail.recipient
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.fromtimestamp(mail.created_ns // S, UTC))
        message["Message-ID"] = f"<{mail.id}@{self.sender.partition('@')[2]}>"
        message.set_content(mail.body)
        return message


def mailer_of(smtp: str, sender: str) -> Mailer:
    """Return the mailer for HOST:PORT and an address.

    Raises:
        ControlSetupError: one of them is not that.
    """
    host, colon, port = smtp.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ControlSetupError(f"{smtp!r} is not HOST:PORT of a mail server. Nothing was started.")
    name, _, domain = sender.partition("@")
    if not name or not domain or not sender.isascii() or any(character in sender for character in " <>,\r\n"):
        raise ControlSetupError(f"{sender!r} is not an address to send mail from. Nothing was started.")
    return Mailer(host.removeprefix("[").removesuffix("]"), int(port), sender)


class MailJobs:
    """Sends what is due. Without a mailer mails wait for a process that has one."""

    def __init__(self, database: Database, clock: Clock, mailer: Mailer | None) -> None:
        self._database, self._clock, self._mailer = database, clock, mailer

    @property
    def kinds(self) -> list[str]:
        """The kinds of jobs that this process does."""
        return [] if self._mailer is None else [MAIL_JOB]

    def register(self, engine: WorkflowEngine) -> None:
        """Tell an engine what the job is."""
        engine.register(MAIL_JOB, self._run)

    def _run(self, run: Run, row: Mapping[str, Any]) -> None:
        job = Due(**row)
        run.step("send", lambda: self.send(job, run))

    def send(self, job: Due, run: Run) -> None:
        """Send the mail of a job unless it was sent; close the row, and make the next one where it was not taken."""
        with self._database.read() as connection:
            mail = mail_of(connection, job.subject)
        taken = mail.sent_ns is not None or self._taken(mail)
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            run.guard(connection)
            if taken:
                if mail.sent_ns is None:
                    record_sent(connection, mail.id, now_ns)
                finish(connection, job, None)
            else:
                record_failed(connection, mail.id)
                finish(connection, job, self._next_ns(mail, now_ns))

    def _taken(self, mail: Mail) -> bool:
        if self._mailer is None:
            return False
        try:
            self._mailer.send(mail)
        except (OSError, smtplib.SMTPException) as error:
            # A refusal's text may be anybody's; its type says enough for the log.
            LOG.warning("mail %s was not taken: %s; it is tried again", mail.id, type(error).__name__)
            return False
        return True

    def _next_ns(self, mail: Mail, now_ns: int) -> int | None:
        if now_ns - mail.created_ns > GIVE_UP_NS:
            LOG.error("mail %s is given up: nobody took it for three days", mail.id)
            return None
        return now_ns + min(WAIT_NS_MIN << min(mail.tries, 16), WAIT_NS_MAX)
