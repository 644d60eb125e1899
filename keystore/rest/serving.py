"""Serves the API on a socket: HTTPS anywhere, plain HTTP on this machine only, for keys come with every request."""

import asyncio
import logging
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from keystore.errors import ControlSetupError, InputError
from keystore.kms.endpoints import is_loopback
from keystore.rest.connections import HEAD_BYTES_MAX, Listener, Loop, Protocol

BACKLOG = 512
"""LIMIT: connections that wait to be accepted."""

IDLE_S = 30
"""LIMIT: seconds that a connection stays open without a request."""

DRAIN_S = 10
"""LIMIT: seconds that running requests get to end."""


class RestServer:
    """The API on one address, served in a thread of its own.

    Attributes:
        url: where it is reached.

    Args:
        listen: HOST:PORT; port 0 takes any free one.
        tls: certificate chain and private key, both PEM files; None for plain HTTP on this machine.

    Raises:
        InputError: it cannot be listened there; nothing was started.
        ControlSetupError: it would be plain HTTP on a network, or the certificate cannot be used.
    """

    def __init__(self, app: Starlette, listen: str, tls: tuple[Path, Path] | None = None) -> None:
        host, port = _split(listen)
        if tls is None and not is_loopback(host):
            raise ControlSetupError(
                f"{listen} is not on this machine, and plain HTTP would show API keys on a network. Nothing was "
                "started; give a certificate (--tls-certificate, --tls-key), or listen on 127.0.0.1."
            )
        if tls is not None:
            _check_certificate(*tls)
        self._socket = _bind(host, port, listen)
        bound = self._socket.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{bound}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=Protocol,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=DRAIN_S,
            ssl_certfile=str(tls[0]) if tls else None,
            ssl_keyfile=str(tls[1]) if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def start(self) -> None:
        """Take requests: those that came before wait in the socket."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, let those under way end, and return when they have, or their time is over."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * DRAIN_S)
        self._socket.close()

    def _run(self) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"{listen!r} is not HOST:PORT, such as 127.0.0.1:8080. Nothing was started.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bind(host: str, port: int, listen: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = Listener(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise InputError(
            f"{listen} cannot be listened on: {error.strerror or error}. Nothing was started; name another."
        ) from None
    return bound


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ControlSetupError(
            f"{certificate} and {key} are not a certificate and its key: {error.strerror or 'they do not match'}. "
            "Nothing was started."
        ) from None
