"""Runs the ASGI application through uvicorn, in the event loop that is already running; signals are left to others.

Imported only when HTTP is served: uvicorn is in the extra `emulator`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Sequence
from ssl import SSLContext
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kms_emulator.wire.http.app import ABORT_KEY, BODY_KEY, JOIN_KEY, App

KEEP_ALIVE_S = 75
"""How long an idle connection is kept."""

HEAD_READ_S_MAX = 60
"""LIMIT: seconds for a request's head to come; a connection that stalls in it is answered 408 and closed."""

HEAD_BYTES_MAX = 64 << 10
"""LIMIT: bytes of a request's head; the longest legal one has a signature, a session token and little more."""

FRAMING_BYTES_MAX = 8 << 20
"""LIMIT: bytes of a request that are not its body: the framing of a chunked one, and trailers, which are ignored."""

STOP_GRACE_S = 1
"""How long running requests may take to end when the server stops."""


class HttpServer:
    """A server on sockets that are already bound; with `tls`, HTTPS."""

    def __init__(self, app: App, bound: Sequence[socket.socket], tls: SSLContext | None = None) -> None:
        self._sockets = list(bound)
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="none",
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_GRACE_S,
        )
        if tls is not None:
            config.load()
            config.ssl = tls
        self._server = _Server(config, app)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections from when this returns."""
        self._serving = asyncio.create_task(self._server.serve(sockets=self._sockets))
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({accepting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        accepting.cancel()
        if self._serving.done():
            self._serving.result()
            raise RuntimeError("the HTTP server ended while it was starting")

    async def stop(self) -> None:
        """Stop listening at once, and let running requests end."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    """uvicorn's server, without its own signal handlers, telling when it accepts, and quiet when it stops."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and leave uvicorn nothing to wait for, which it would log, nor a request to answer 500."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        self._app.stop()
        running = set(self.server_state.tasks)
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()
        for connection in list(self.server_state.connections):
            if not connection.transport.get_write_buffer_size():
                connection.transport.abort()  # a client over TLS that keeps its end open would be waited for
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with what the application wants of a connection in the scope of each request.

    It can drop it, which an outage on command needs, and send a response as a whole. And it bounds what comes before a
    request is one: uvicorn reads a head, and trailers, for as long and as far as they come.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joining = _Joining(transport)
        self._in_head, self._framing_bytes = False, 0
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(cast(asyncio.Transport, self._joining))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._in_head or self.cycle is None or self.cycle.response_complete:
            self._await_head()
        if self._framing_bytes > (HEAD_BYTES_MAX if self._in_head else FRAMING_BYTES_MAX):
            self._refuse_head(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()
        scope = cast(dict[str, Any], self.scope)
        scope[ABORT_KEY] = self.transport.abort
        scope[JOIN_KEY] = self._joining

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._end_wait()
        super().on_headers_complete()
        self.headers = []  # trailers go here, and not among the headers of the request

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing_bytes = 0
        super().on_message_complete()
        scope = cast(dict[str, Any], self.cycle.scope)
        scope[BODY_KEY] = bytes(self.cycle.body)  # the application looks for it once, at its start

    def _await_head(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_READ_S_MAX, self._refuse_head, b"408 Request Timeout")

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_head(self, status: bytes) -> None:
        """End the connection; with an answer, if a request has begun and none before it waits for its own."""
        if self._in_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
        else:
            self.transport.abort()


class _Joining:
    """A transport on which several writes can be one.

    uvicorn writes the head of a response and then its body: two system calls and two packets, a tenth of a call.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._held = transport, list[bytes]()
        self.write: Callable[[bytes], None] = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __enter__(self) -> None:
        """Hold back what is written until the block ends, or the connection is closed."""
        self.write = self._held.append

    def __exit__(self, *_: object) -> None:
        self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        self.write = self._transport.write
        if self._held:
            # uvicorn writes names in lower case; libmongocrypt finds this one only as RFC 9110 writes it.
            self._held[0] = self._held[0].replace(b"\r\ncontent-length: ", b"\r\nContent-Length: ", 1)
            self.write(b"".join(self._held))
            self._held.clear()
