"""One gRPC server on one port: the three shapes, admin, health and reflection, over one core."""

from dataclasses import dataclass
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.service import SERVICE as ADMIN_SERVICE
from kms_emulator.admin.service import admin_handler
from kms_emulator.core import Core
from kms_emulator.wire.aws.adapter import AWS
from kms_emulator.wire.azure.adapter import AZURE
from kms_emulator.wire.gcp.adapter import GCP
from kms_emulator.wire.handlers import generic_handler
from kms_emulator.wire.reflection import reflection_pool

ADAPTERS = (AWS, AZURE, GCP)
MESSAGE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of one request; the largest legal one has two fields of 64 KiB."""

CONCURRENT_CALLS_MAX = 500
"""LIMIT: calls at once, each of which may make a key in a thread; more are answered RESOURCE_EXHAUSTED."""

STOP_GRACE_S = 0.3
"""How long running calls may take to end when the server stops."""

_OPTIONS = (
    # Without this a second server on a used port binds silently, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


class PortError(Exception):
    """The address cannot be bound."""


@dataclass
class Server:
    """A started server."""

    grpc_server: Any
    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """Return ``host:port``, the host in brackets if it is an IPv6 address."""
        return f"{_bracketed(self.host)}:{self.port}"

    async def stop(self) -> None:
        """Stop listening at once, and let running calls end."""
        await self.grpc_server.stop(STOP_GRACE_S)


async def start(core: Core, host: str, port: int, data_dir: str = "") -> Server:
    """Bind and start; port 0 takes any free one.

    Raises:
        PortError: the address is in use or not ours.
    """
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX)
    server.add_generic_rpc_handlers(
        (*(generic_handler(adapter, core) for adapter in ADAPTERS), admin_handler(Controls(core, data_dir)))
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
    await server.start()
    return Server(server, host, bound)


async def _add_health(server: Any, services: tuple[str, ...]) -> None:
    servicer = health.aio.HealthServicer()
    for name in ("", *services):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
