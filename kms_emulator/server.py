"""The servers over one core: gRPC with the three shapes, admin, health and reflection; HTTP with AWS's own wire."""

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kms_emulator import __version__
from kms_emulator.admin.controls import Controls
from kms_emulator.admin.service import SERVICE as ADMIN_SERVICE
from kms_emulator.admin.service import admin_handler
from kms_emulator.core import Core
from kms_emulator.wire.aws.adapter import AWS
from kms_emulator.wire.azure.adapter import AZURE
from kms_emulator.wire.gcp.adapter import GCP
from kms_emulator.wire.handlers import generic_handler
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.reflection import reflection_pool

if TYPE_CHECKING:
    from kms_emulator.wire.http.server import HttpServer

ADAPTERS = (AWS, AZURE, GCP)
MESSAGE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of one request; the largest legal one has two fields of 64 KiB."""

CONCURRENT_CALLS_MAX = 500
"""LIMIT: calls at once, each of which may make a key in a thread; more are answered RESOURCE_EXHAUSTED."""

STOP_GRACE_S = 0.3
"""How long running calls may take to end when the server stops."""

HTTP_BACKLOG = 1024
"""LIMIT: connections that wait to be accepted."""

_OPTIONS = (
    # Without this a second server on a used port binds silently, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


class PortError(Exception):
    """The address cannot be bound."""


@dataclass
class Server:
    """A started server. `http_port` is None if HTTP is not served."""

    grpc_server: Any
    host: str
    port: int
    http_server: "HttpServer | None" = None
    http_port: int | None = None

    @property
    def endpoint(self) -> str:
        """Return ``host:port``, the host in brackets if it is an IPv6 address."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str | None:
        """Return the URL of AWS's endpoint, or None if HTTP is not served."""
        return None if self.http_port is None else f"http://{_bracketed(self.host)}:{self.http_port}"

    async def stop(self) -> None:
        """Stop listening at once, and let running calls end."""
        stopping = [self.grpc_server.stop(STOP_GRACE_S)]
        if self.http_server is not None:
            stopping.append(self.http_server.stop())
        await asyncio.gather(*stopping)


async def start(core: Core, host: str, port: int, data_dir: str = "", http_port: int | None = None) -> Server:
    """Bind and start; port 0 takes any free one. HTTP is served if `http_port` is given; it needs uvicorn.

    Raises:
        PortError: the address is in use or not ours.
    """
    controls = Controls(core, data_dir)
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX)
    server.add_generic_rpc_handlers(
        (*(generic_handler(adapter, core) for adapter in ADAPTERS), admin_handler(controls))
    )
    services = (*(adapter.service for adapter in ADAPTERS), ADMIN_SERVICE)
    await _add_health(server, services)
    named = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(named, server, pool=reflection_pool())
    try:
        bound = server.add_insecure_port(f"{_bracketed(host)}:{port}")
    except RuntimeError as error:
        raise PortError(
            f"cannot listen on {host} port {port}: in use, or not an address of this machine. "
            "Name another with --port; --port 0 takes any that is free."
        ) from error
    if http_port is None:
        await server.start()
        return Server(server, host, bound)
    bound_socket = _bind(host, http_port)
    http_server = _http_server(core, controls, bound_socket)
    await asyncio.gather(server.start(), http_server.start())
    return Server(server, host, bound, http_server, bound_socket.getsockname()[1])


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; other sockets cannot be, as long as it lives."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(HTTP_BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise PortError(
            f"cannot listen on {host} port {port}: in use, or not an address of this machine. "
            "Name another with --http-port; --http-port 0 takes any that is free."
        ) from error
    return bound


def _http_server(core: Core, controls: Controls, bound: socket.socket) -> "HttpServer":
    from kms_emulator.admin.front import PREFIX as ADMIN_PREFIX
    from kms_emulator.admin.front import AdminFront
    from kms_emulator.wire.aws.front import AwsFront
    from kms_emulator.wire.http.app import App
    from kms_emulator.wire.http.server import HttpServer

    async def answer_health(_: HttpRequest) -> HttpResponse:
        return json_response({"status": "ok", "version": __version__})

    return HttpServer(
        App(AwsFront(core).handle, {"/health": answer_health}, {ADMIN_PREFIX: AdminFront(controls).handle}), bound
    )


async def _add_health(server: Any, services: tuple[str, ...]) -> None:
    servicer = health.aio.HealthServicer()
    for name in ("", *services):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
