"""A mail server on this machine that keeps what it is given, for a story in which somebody is told.

It speaks as much SMTP as a sender needs that neither signs in nor uses TLS, and sends nothing on.
"""

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage
from typing import Self, cast

LINE_BYTES_MAX = 1 << 16
MAIL_BYTES_MAX = 1 << 20
"""LIMIT: bytes of a mail; those of the control plane name clusters, and have some kilobytes."""


class Mailbox:
    """Serves while it is open; a context manager.

    Attributes:
        address: HOST:PORT.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Session)
        host, port = self._server.server_address[:2]
        self.address = f"{host!s}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def taken(self) -> list[EmailMessage]:
        """What came so far, the oldest first."""
        return list(self._server.taken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type] # an address and a handler
        self.taken: list[EmailMessage] = []


class _Session(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        self._say("220 keystore demo")
        while verb := self.rfile.readline(LINE_BYTES_MAX)[:4].strip().upper():
            if verb == b"DATA":
                self._say("354 end with a dot")
                if not self._take():
                    return
            self._say("221 bye" if verb == b"QUIT" else "250 OK")

    def _take(self) -> bool:
        """Keep a mail; return whether it came whole. The sender of another tries again."""
        content = b""
        while (line := self.rfile.readline(LINE_BYTES_MAX)) != b".\r\n":
            content += line.removeprefix(b".")
            if not line or len(content) > MAIL_BYTES_MAX:
                return False
        message = email.message_from_bytes(content, policy=email.policy.default)
        cast(_Server, self.server).taken.append(message)
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
