"""Sends mails of the outbox by SMTP (RFC 5321): in clear on this machine only, elsewhere over STARTTLS.

A mail that is not taken is tried again, less and less often, for `GIVE_UP_NS`.
"""

import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
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
from keystore.projects.mail import MAIL_JOB, Mail, first_due_ns, mail_of, record_failed, record_sent

LOG = logging.getLogger("keystore.projects")

TIMEOUT_S, MAIL_TIMEOUT_S = 20.0, 60.0
"""LIMIT: seconds that a server may take for one answer, or a part of one, and for a mail as a whole."""

CUT_AGAIN_S = 1.0
"""Pause between two tries to end a connection whose time is over."""

S = 10**9
WAIT_NS_MIN, WAIT_NS_MAX = 30 * S, 3600 * S
"""After how long a mail that was not taken is tried again: the first time, and at most. It doubles."""

GIVE_UP_NS = 3 * 86400 * S
"""LIMIT: for how long a mail is tried."""


class _Session(smtplib.SMTP):
    """A connection to a mail server that ends after `MAIL_TIMEOUT_S`, whoever reads from it."""

    _closed: threading.Event | None = None

    def connect(self, *arguments: Any, **options: Any) -> tuple[int, bytes]:
        self._closed = threading.Event()
        threading.Thread(target=self._limit, args=(self._closed,), name="mail-limit", daemon=True).start()
        try:
            return super().connect(*arguments, **options)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._closed is not None:
            self._closed.set()
        super().close()

    def _limit(self, closed: threading.Event) -> None:
        """End the connection once its time is over: repeatedly, for while it or its TLS begins there is none to end."""
        wait_s = MAIL_TIMEOUT_S
        while not closed.wait(wait_s):
            wait_s, connection = CUT_AGAIN_S, self.sock
            if connection is not None:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, which somebody else is reading


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
        server = _Session(self.host, self.port, timeout=TIMEOUT_S)
        try:
            if not is_loopback(self.host):
                server.starttls(context=ssl.create_default_context())
            server.send_message(self._message(mail), self.sender, [mail.recipient])
            with suppress(OSError, smtplib.SMTPException):  # it is taken, whatever is answered now
                server.quit()
        finally:
            server.close()

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
    """Sends what is due. A process without a mailer has none of this, and leaves mails to those that have one."""

    def __init__(self, database: Database, clock: Clock, mailer: Mailer) -> None:
        self._database, self._clock, self._mailer = database, clock, mailer

    def register(self, engine: WorkflowEngine) -> None:
        """Tell an engine what the job is."""
        engine.register(MAIL_JOB, self._run, apart=True)

    def _run(self, run: Run, row: Mapping[str, Any]) -> None:
        job = Due(**row)
        run.step("send", lambda: self.send(job, run))

    def send(self, job: Due, run: Run) -> None:
        """Send a mail unless it was sent or waits behind another; close its row, and make the next one if it has to."""
        with self._database.read() as connection:
            mail = mail_of(connection, job.subject)
            first_ns = None if mail.sent_ns is not None else first_due_ns(connection, mail)
        if first_ns is not None:
            with self._database.write() as connection:
                run.guard(connection)
                finish(connection, job, max(first_ns + 1, self._clock.now_ns() + S))
            return
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
        try:
            self._mailer.send(mail)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            # A refusal's text may be anybody's; its type says enough for the log.
            LOG.warning("mail %s was not taken: %s; it is tried again", mail.id, type(error).__name__)
            return False
        return True

    def _next_ns(self, mail: Mail, now_ns: int) -> int | None:
        if now_ns - mail.created_ns > GIVE_UP_NS:
            LOG.error("mail %s is given up: nobody took it for three days", mail.id)
            return None
        return now_ns + min(WAIT_NS_MIN << min(mail.tries, 16), WAIT_NS_MAX)
