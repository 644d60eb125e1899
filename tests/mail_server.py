"""A real SMTP server on an ephemeral port, which keeps what it took; for tests."""

import asyncio
import email
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from email.message import Message

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What a server took. It refuses as long as it is told to.

    Attributes:
        address: HOST:PORT of the server.
        asked: how often a mail was given to it.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.taken: list[Message] = []
        self.refuses = False
        self.asked = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.asked += 1
        if self.refuses:
            return "451 not now"
        assert isinstance(envelope.content, bytes)
        self.taken.append(email.message_from_bytes(envelope.content))
        return "250 OK"


class _Bound(Controller):
    """Serves on a socket that is bound already, so that nobody else can take the port in between."""

    def __init__(self, mailbox: Mailbox, bound: socket.socket) -> None:
        super().__init__(mailbox, *bound.getsockname())
        self._bound = bound

    def _create_server(self) -> "Coroutine[None, None, asyncio.AbstractServer]":
        return self.loop.create_server(self._factory_invoker, sock=self._bound)


@contextmanager
def serve_mail() -> Iterator[Mailbox]:
    """Serve until the end of the block."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    mailbox = Mailbox(f"127.0.0.1:{bound.getsockname()[1]}")
    controller = _Bound(mailbox, bound)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
