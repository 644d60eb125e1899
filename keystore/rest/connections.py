"""What a connection of the API may cost: how many there are, and how long each part of a request may take.

Leaves to others: what is answered (`keystore.rest.app`). Everything here is refused before anybody is known.

Invariants:
1. A connection is counted from its acceptance, before TLS, to its end.
2. At each moment a connection waits for something with a limit of its own: the handshake, the head of a request, its
   body, the next request, or that the peer takes what was sent. Only what the application does has none here.
"""

import asyncio
import socket
import weakref
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from keystore.projects.codes import Code
from keystore.rest import media
from keystore.rest.attempts import network_of

CONNECTIONS_MAX = 500
"""LIMIT: connections at once; one more is closed. Each is a file of this process, of which it usually has 1024."""

NETWORK_CONNECTIONS_MAX = 250
"""LIMIT: connections at once from one address, or one network of IPv6; one more is closed."""

HANDSHAKE_S = 10.0
"""LIMIT: seconds for the handshake of TLS, and for its end."""

HEAD_S, BODY_S = 10.0, 30.0
"""LIMIT: seconds for the head of a request, from the connection or its first byte, and for the body after it."""

SENT_S = 60.0
"""LIMIT: seconds in which an answer must be taken by who asked."""

HEAD_BYTES_MAX = 1 << 14
"""LIMIT: bytes of the head of a request; a few hundred are usual."""


class Listener(socket.socket):
    """A listening socket that closes connections beyond the limits."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: dict[str, int] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """As of `socket.socket`.

        Raises:
            ConnectionAbortedError: the connection was one too many, and is closed.
        """
        accepted, address = super().accept()
        network = network_of(str(address[0]))
        if sum(self._open.values()) >= CONNECTIONS_MAX or self._open.get(network, 0) >= NETWORK_CONNECTIONS_MAX:
            accepted.close()
            raise ConnectionAbortedError
        self._open[network] = self._open.get(network, 0) + 1
        counted = _Counted(accepted.family, accepted.type, accepted.proto, accepted.detach())
        counted.ended = weakref.finalize(counted, self._forget, network)
        return counted, address

    def _forget(self, network: str) -> None:
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]


class _Counted(socket.socket):
    """A connection; `ended` is called once, when it is closed or thrown away."""

    ended: "weakref.finalize[..., _Counted] | None" = None

    def close(self) -> None:
        super().close()
        if self.ended is not None:
            self.ended()


class Protocol(H11Protocol):
    """HTTP/1.1 of uvicorn, with an end for everything that the peer is waited for."""

    _waits_for = ""
    _timer: asyncio.TimerHandle | None = None
    _unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait("head")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait("")
        if self._unsent is not None:
            self._unsent.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()
        self._limit_sending()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit_sending()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the API's own form."""
        body = media.error_body(Code.INVALID_HTTP_REQUEST.error())
        headers = [("Content-Type", media.PLAIN), ("Content-Length", str(len(body))), ("Connection", "close")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._limit_sending()

    def _look(self) -> None:
        """Limit what is waited for now."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait("body")
        elif state is h11.IDLE and (self.conn.trailing_data[0] or self.cycle is None):
            self._wait("head")
        else:  # the application's turn, or the next request's, for which uvicorn has a limit
            self._wait("")

    def _wait(self, part: str) -> None:
        if part == self._waits_for:
            return
        self._waits_for = part
        if self._timer is not None:
            self._timer.cancel()
        seconds = {"head": HEAD_S, "body": BODY_S}.get(part)
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _limit_sending(self) -> None:
        if self._unsent is None and self.transport.get_write_buffer_size():
            self._unsent = self.loop.call_later(SENT_S, self._require_sent)

    def _require_sent(self) -> None:
        self._unsent = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, with limits for TLS that uvicorn has no setting for; it accepts by `Listener.accept`."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl"):
            options |= {"ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": HANDSHAKE_S}
        return await super().create_server(*arguments, **options)
