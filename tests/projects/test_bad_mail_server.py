"""A mail server that is away, slow, half-hearted or not who it says: what is queued stays, and goes once, in order."""

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from keystore.control.database import Database
from keystore.projects import smtp
from keystore.projects.access import Role
from keystore.projects.mail import HOLDING_TRIES_MAX, Mail, list_mails, queue_mail
from keystore.projects.smtp import WAIT_NS_MIN, Mailer, mailer_of
from kms_emulator.tls import make_tls
from tests.mail_server import serve_mail
from tests.projects.founding import add_person, found_project
from tests.projects.test_mail import SENDER, Control
from tests.projects.test_mail import control as control

WAIT_S = 30
HELLO = b"220 here\r\n"


class Scripted:
    """An SMTP server that says what it is told.

    Attributes:
        says: what to answer to a command, or to `data` after a mail; None ends the connection. What is not named is
            answered as a good server does.
        heard: the commands of all connections; `data` for a mail.
        mails: what came as mails.
    """

    def __init__(self, port: int) -> None:
        self.port, self.says, self.heard = port, dict[str, bytes | None](), list[str]()
        self.mails: list[bytes] = []
        self.ended = threading.Event()
        self.greet: Callable[[socket.socket], None] = lambda connection: connection.sendall(HELLO)

    def serve(self, connection: socket.socket) -> None:
        self.greet(connection)
        stream = connection.makefile("rb")
        good: dict[str, bytes] = {"EHLO": b"250 here\r\n", "DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}
        while line := stream.readline():
            word = line.split()[0].decode().upper()
            self.heard.append(word)
            if word == "DATA" and "DATA" not in self.says:
                connection.sendall(good["DATA"])
                self.mails.append(b"".join(iter(stream.readline, b".\r\n")))
                word = "data"
            said = self.says.get(word, good.get(word, b"250 OK\r\n"))
            if said is None:
                return
            connection.sendall(said)
            if word == "QUIT":
                return


@contextmanager
def scripted() -> Iterator[Scripted]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Scripted(listener.getsockname()[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as connection, suppress(OSError):
                    connection.settimeout(WAIT_S)
                    server.serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT_S)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path, opened: Callable[[str], Database]) -> Database:
    return opened(f"sqlite:///{tmp_path / 'control.db'}")


MAIL = Mail("0" * 24, "1" * 24, "a@example.org", "subject", "body", 1, None, 0)
Start = Callable[[Mailer], Control]


class Outbox:
    """A project with an owner, and what was queued for them."""

    def __init__(self, database: Database, served: Control) -> None:
        self.database, self.served = database, served
        self.project_id = found_project(database).project_id
        add_person(database, self.project_id, "a@example.org", Role.GROUP_OWNER)

    def queue(self, subject: str) -> None:
        now_ns = self.served.clock.now_ns()
        with self.database.write() as connection:
            queue_mail(connection, self.project_id, Role.GROUP_OWNER, subject, "body", now_ns)

    def tries(self) -> dict[str, tuple[bool, int]]:
        """Return of each mail whether it was taken, and how often it was tried."""
        with self.database.read() as connection:
            found = list_mails(connection, self.project_id)
        return {mail.subject: (mail.sent_ns is not None, mail.tries) for mail in found}


def test_a_mail_that_was_taken_is_not_sent_again_for_what_is_said_at_the_end(
    database: Database, control: Start, server: Scripted
) -> None:
    served = control(mailer_of(f"127.0.0.1:{server.port}", SENDER))
    outbox = Outbox(database, served)
    for number, end in enumerate((b"500 what?\r\n", b"garbage\r\n", None)):
        server.says = {"QUIT": end}
        outbox.queue(str(number))
        assert served.look() == 1
        assert outbox.tries()[str(number)] == (True, 1)
        served.clock.advance(10 * WAIT_NS_MIN)
        assert served.look() == 0
    assert len(server.mails) == 3


@pytest.mark.parametrize(
    "says",
    [
        {"EHLO": None},
        {"EHLO": b"421 busy\r\n", "HELO": b"421 busy\r\n"},
        {"MAIL": b"451 not now\r\n"},
        {"RCPT": b"550 no such user\r\n"},
        {"DATA": b"554 no\r\n"},
        {"data": b"452 full\r\n"},
        {"data": None},
        {"data": b"\xff\xfe\r\n"},
        {"MAIL": b"x" * 9000 + b"\r\n"},
    ],
)
def test_a_mail_that_nobody_said_to_have_taken_stays_and_goes_later(
    database: Database, control: Start, server: Scripted, says: dict[str, bytes | None]
) -> None:
    served = control(mailer_of(f"127.0.0.1:{server.port}", SENDER))
    outbox = Outbox(database, served)
    outbox.queue("a")
    server.says = says
    assert (served.look(), served.look()) == (1, 0)
    assert outbox.tries() == {"a": (False, 1)}
    server.says = {}
    served.clock.advance(WAIT_NS_MIN)
    assert (served.look(), served.look()) == (1, 0)
    assert outbox.tries() == {"a": (True, 2)}
    ids = {next(line for line in mail.splitlines() if line.startswith(b"Message-ID")) for mail in server.mails}
    assert len(ids) == 1  # also where one was taken and not said to be


def test_mails_of_an_outage_go_in_their_order_and_only_the_first_is_tried(database: Database, control: Start) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        served = control(mailer_of(f"127.0.0.1:{port}", SENDER))
        outbox = Outbox(database, served)
        for subject in ("first", "second", "third"):
            outbox.queue(subject)
            served.clock.advance(WAIT_NS_MIN)
            while served.look():
                pass
        assert outbox.tries() == {"first": (False, 2), "second": (False, 0), "third": (False, 0)}
    with serve_mail() as mailbox:
        served.jobs._mailer = mailer_of(mailbox.address, SENDER)
        for _ in range(20):
            served.clock.advance(WAIT_NS_MIN)
            while served.look():
                pass
        assert [mail["Subject"] for mail in mailbox.taken] == ["first", "second", "third"]


def test_one_that_is_never_taken_holds_up_the_others_for_about_an_hour(
    database: Database, control: Start, server: Scripted
) -> None:
    served = control(mailer_of(f"127.0.0.1:{server.port}", SENDER))
    outbox = Outbox(database, served)
    outbox.queue("poison")
    server.says = {"data": b"554 no\r\n"}
    served.look()
    served.clock.advance(1)
    outbox.queue("good")
    passed_ns = 0
    while not outbox.tries()["good"][1]:
        served.clock.advance(WAIT_NS_MIN)
        passed_ns += WAIT_NS_MIN
        assert passed_ns < 2 * 3600 * 10**9
        while served.look():
            pass
    assert outbox.tries()["poison"] == (False, HOLDING_TRIES_MAX)


# -- one mail -------------------------------------------------------------------------------------------------------


def test_a_server_that_says_a_byte_from_time_to_time_is_given_up(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MAIL_TIMEOUT_S", 0.4)
    sent = 0

    def drip(connection: socket.socket) -> None:
        nonlocal sent
        while not server.ended.wait(0.02):
            connection.sendall(b"220-more\r\n")
            sent += 1

    server.greet = drip
    with pytest.raises(OSError, match="closed"):
        mailer_of(f"127.0.0.1:{server.port}", SENDER).send(MAIL)
    assert sent < 1000
    assert server.mails == []


def test_time_that_is_over_while_tls_begins_is_over_afterwards(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 leads here, and is not known to."""
    monkeypatch.setattr(smtp, "MAIL_TIMEOUT_S", 0.4)
    monkeypatch.setattr(smtp, "CUT_AGAIN_S", 0.05)
    tls = make_tls(tmp_path / "tls", ("0.0.0.0",))  # noqa: S104
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca_path))
    sent = 0

    def greet(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(HELLO)
        stream = connection.makefile("rb", buffering=0)
        stream.readline()
        connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
        stream.readline()
        connection.sendall(b"220 go on\r\n")
        server.ended.wait(0.6)
        with tls.context.wrap_socket(connection.dup(), server_side=True) as inside:
            while sent < 500:
                inside.sendall(b"250-more\r\n")
                sent += 1
                server.ended.wait(0.02)

    server.greet = greet
    with pytest.raises(OSError):
        mailer_of(f"0.0.0.0:{server.port}", SENDER).send(MAIL)
    assert sent < 250


def test_elsewhere_a_mail_goes_to_nobody_who_cannot_prove_who_they_are(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 leads here, and is not known to."""
    mailer = mailer_of(f"0.0.0.0:{server.port}", SENDER)
    with pytest.raises(smtplib.SMTPNotSupportedError):
        mailer.send(MAIL)
    good, other = (make_tls(tmp_path / name, ("0.0.0.0",)) for name in ("good", "other"))  # noqa: S104
    monkeypatch.setenv("SSL_CERT_FILE", str(good.ca_path))

    def secured(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
        def greet(connection: socket.socket) -> None:
            connection.sendall(HELLO)
            stream = connection.makefile("rb", buffering=0)
            assert stream.readline().startswith(b"ehlo")
            connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
            assert stream.readline() == b"STARTTLS\r\n"
            connection.sendall(b"220 go on\r\n")
            with context.wrap_socket(connection.dup(), server_side=True) as inside:
                server.greet = lambda connection: None
                server.serve(inside)

        return greet

    server.greet = secured(other.context)
    with pytest.raises(ssl.SSLCertVerificationError):
        mailer.send(MAIL)
    assert "MAIL" not in server.heard
    server.greet = secured(good.context)
    mailer.send(MAIL)
    assert len(server.mails) == 1
