"""The servers over one core: gRPC with the three shapes, admin, health and reflection; HTTP with AWS's own wire; HTTPS
with Azure's and AWS's; both with Google's REST form.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
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
from kms_emulator.wire.gcp.adapter import GCP, GCP_IAM
from kms_emulator.wire.handlers import generic_handler
from kms_emulator.wire.http.message import Handler, HttpRequest, HttpResponse, json_response
from kms_emulator.wire.reflection import reflection_pool

if TYPE_CHECKING:
    from kms_emulator.tls import Tls
    from kms_emulator.wire.http.app import Refuse
    from kms_emulator.wire.http.server import HttpServer

ADAPTERS = (AWS, AZURE, GCP, GCP_IAM)
MESSAGE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of one request; the largest legal one has two fields of 64 KiB."""

CONCURRENT_CALLS_MAX = 500
"""LIMIT: calls at once, each of which may make a key in a thread; more are answered RESOURCE_EXHAUSTED."""

STOP_GRACE_S = 0.3
"""How long running calls may take to end when the server stops."""

HTTP_BACKLOG = 1024
"""LIMIT: connections that wait to be accepted."""

VAULT_ADDRESSES = 8
"""LIMIT: addresses from 127.0.0.1 on that HTTPS is served on; each is a vault."""

BIND_TRIES_MAX = 20
"""LIMIT: ports that are tried until one is free on all these addresses."""

_OPTIONS = (
    # Without this a second server on a used port binds silently, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


class PortError(Exception):
    """The address cannot be bound."""


@dataclass
class Server:
    """A started server. `http_port` and `https_port` are None if HTTP and HTTPS are not served. `vault_ports` has the
    ports on which HTTPS means one vault, by its name."""

    grpc_server: Any
    host: str
    port: int
    http_server: "HttpServer | None" = None
    http_port: int | None = None
    https_server: "HttpServer | None" = None
    https_port: int | None = None
    grpc_tls_port: int | None = None
    tls: "Tls | None" = None
    tls_is_temporary: bool = False
    vault_ports: dict[str, int] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Return ``host:port``, the host in brackets if it is an IPv6 address."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def grpc_tls_endpoint(self) -> str | None:
        """Return ``host:port`` of gRPC over TLS, or None if that is not served."""
        return None if self.grpc_tls_port is None else f"{_bracketed(self.host)}:{self.grpc_tls_port}"

    @property
    def url(self) -> str | None:
        """Return the URL of AWS's endpoint, or None if HTTP is not served."""
        return None if self.http_port is None else f"http://{_bracketed(self.host)}:{self.http_port}"

    @property
    def https_url(self) -> str | None:
        """Return the URL of the first vault, or None if HTTPS is not served."""
        return None if self.https_port is None else f"https://{_bracketed(self.host)}:{self.https_port}"

    @property
    def ca(self) -> str | None:
        """Return the path of the certificate that clients of HTTPS trust, or None."""
        return None if self.tls is None else str(self.tls.ca_path)

    @property
    def endpoints(self) -> dict[str, str | None]:
        """Return where each surface is; what is not served is None."""
        here, secure = self.endpoint, self.grpc_tls_endpoint
        places = {"aws": self.url, "azure": self.https_url, "gcp": here, "gcp_tls": secure}
        vaults = {f"azure/{name}": f"https://{_bracketed(self.host)}:{port}" for name, port in self.vault_ports.items()}
        return {**places, "grpc": here, "admin": here, "ca": self.ca, **vaults}

    async def stop(self) -> None:
        """Stop listening at once, and let running calls end."""
        stopping = [self.grpc_server.stop(STOP_GRACE_S)]
        stopping += [server.stop() for server in (self.http_server, self.https_server) if server is not None]
        await asyncio.gather(*stopping)
        if self.tls is not None and self.tls_is_temporary:
            from kms_emulator.tls import remove_temporary

            remove_temporary(self.tls)


async def start(
    core: Core,
    host: str,
    port: int,
    data_dir: str = "",
    http_port: int | None = None,
    https_port: int | None = None,
    tls_dir: Path | None = None,
    grpc_tls_port: int | None = None,
    vault_ports: Mapping[str, int] = MappingProxyType({}),
) -> Server:
    """Bind and start; port 0 takes any free one. HTTP and HTTPS are served if their ports are given: by uvicorn.

    With HTTPS gRPC is served over TLS too, if its port is given. The certificate is made under the authority in
    `tls_dir`, or under one in a temporary directory. HTTPS is served once more, on the host alone, for each of
    `vault_ports`: ports by the name of the vault that is meant there.

    Raises:
        PortError: an address is in use or not ours.
        TlsError: the directory cannot be used.
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
        raise _port_error(host, port, "--port") from error
    found = Server(server, host, bound)
    with contextlib.ExitStack() as opened:
        if http_port is not None:
            plain = _bind(host, http_port, "--http-port")
            opened.callback(plain.close)
            found.http_port = plain.getsockname()[1]
            found.http_server = _http_server(core, controls, [plain])
        if https_port is not None:
            tls = _add_https(found, core, controls, https_port, tls_dir, opened, vault_ports)
            if grpc_tls_port is not None:
                found.grpc_tls_port = _add_secure_port(server, host, grpc_tls_port, tls)
        opened.pop_all()
    controls.endpoints = {name: place for name, place in found.endpoints.items() if place is not None}
    await asyncio.gather(
        server.start(), *(each.start() for each in (found.http_server, found.https_server) if each is not None)
    )
    return found


def _add_https(
    found: Server,
    core: Core,
    controls: Controls,
    port: int,
    tls_dir: Path | None,
    opened: contextlib.ExitStack,
    vault_ports: Mapping[str, int],
) -> "Tls":
    from kms_emulator.tls import make_tls

    sockets = _bind_vaults(found.host, port)
    for each in sockets:
        opened.callback(each.close)
    for name, own_port in vault_ports.items():
        own = _bind(found.host, own_port, "--vault")
        opened.callback(own.close)
        sockets.append(own)
        found.vault_ports[name] = own.getsockname()[1]
    core.vault_ports = {str(bound): name for name, bound in found.vault_ports.items()}
    hosts = tuple(dict.fromkeys((found.host, "127.0.0.1", "::1", *(str(each.getsockname()[0]) for each in sockets))))
    found.tls, found.tls_is_temporary = make_tls(tls_dir, hosts), tls_dir is None
    found.https_port = sockets[0].getsockname()[1]
    found.https_server = _https_server(core, controls, sockets, found.tls)
    return found.tls


def _add_secure_port(server: Any, host: str, port: int, tls: "Tls") -> int:
    """Let gRPC listen over TLS too; return the port."""
    credentials = grpc.ssl_server_credentials([(tls.key_pem, tls.certificate_pem)])
    try:
        bound: int = server.add_secure_port(f"{_bracketed(host)}:{port}", credentials)
    except RuntimeError as error:
        raise _port_error(host, port, "--grpc-tls-port") from error
    return bound


def _port_error(host: str, port: int, option: str) -> PortError:
    return PortError(
        f"cannot listen on {host} port {port}: in use, or not an address of this machine. "
        f"Name another with {option}; {option} 0 takes any that is free."
    )


def _bind_vaults(host: str, port: int) -> list[socket.socket]:
    """Return sockets of one port: on 127.0.0.1 also on the addresses after it, as far as the machine has them."""
    if host != "127.0.0.1":
        return [_bind(host, port, "--https-port")]
    for _ in range(BIND_TRIES_MAX):
        first = _bind(host, port, "--https-port")
        others = [_bind_also(f"127.0.0.{last}", first.getsockname()[1]) for last in range(2, VAULT_ADDRESSES + 1)]
        if _TAKEN not in others:
            return [first, *(each for each in others if isinstance(each, socket.socket))]
        for each in (first, *others):
            if isinstance(each, socket.socket):
                each.close()
        if port:
            break
    raise PortError(
        f"cannot listen on 127.0.0.1 to 127.0.0.{VAULT_ADDRESSES} port {port}: in use. "
        "Name another with --https-port; --https-port 0 takes any that is free."
    )


_TAKEN = "taken"


def _bind_also(host: str, port: int) -> socket.socket | str | None:
    """Return a socket bound to the address, or why not; None if the machine has no such address."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(HTTP_BACKLOG)
    except OSError as error:
        bound.close()
        return _TAKEN if error.errno == errno.EADDRINUSE else None
    return bound


def _bind(host: str, port: int, option: str) -> socket.socket:
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
        raise _port_error(host, port, option) from error
    return bound


def _http_server(core: Core, controls: Controls, bound: list[socket.socket]) -> "HttpServer":
    from kms_emulator.wire.aws.front import AwsFront
    from kms_emulator.wire.azure.managed_identity import PATHS, ManagedIdentityFront

    identity = ManagedIdentityFront(core).handle
    return _serving(core, AwsFront(core).handle, dict.fromkeys(PATHS, identity), controls, bound)


def _https_server(core: Core, controls: Controls, bound: list[socket.socket], tls: "Tls") -> "HttpServer":
    from kms_emulator.wire.aws.front import AwsFront
    from kms_emulator.wire.azure.front import AzureFront
    from kms_emulator.wire.azure.managed_identity import PATHS, ManagedIdentityFront

    identity = ManagedIdentityFront(core).handle
    front = AzureFront(core)
    # All of AWS is at one path, at which Azure has nothing.
    exact: dict[str, Handler] = {**dict.fromkeys(PATHS, identity), "/": AwsFront(core).handle}
    return _serving(core, front.handle, exact, controls, bound, tls, front.refuse)


def _serving(
    core: Core,
    default: Handler,
    exact: dict[str, Handler],
    controls: Controls,
    bound: list[socket.socket],
    tls: "Tls | None" = None,
    refuse: "Refuse | None" = None,
) -> "HttpServer":
    """Return a server of one cloud's wire, with Google's REST form, health and admin beside it."""
    from kms_emulator.admin import failpoints
    from kms_emulator.admin.front import PREFIX as ADMIN_PREFIX
    from kms_emulator.admin.front import AdminFront
    from kms_emulator.wire.gcp.front import PREFIX as GCP_PREFIX
    from kms_emulator.wire.gcp.front import GcpFront
    from kms_emulator.wire.gcp.token_endpoint import PATH as TOKEN_PATH
    from kms_emulator.wire.gcp.token_endpoint import TokenEndpoint
    from kms_emulator.wire.http.app import App
    from kms_emulator.wire.http.server import HttpServer

    async def answer_health(_: HttpRequest) -> HttpResponse:
        return json_response({"status": "ok", "version": __version__})

    failing = controls.failpoints.handle
    paths = {"/health": answer_health, TOKEN_PATH: TokenEndpoint(core).handle, failpoints.RESET_PATH: failing, **exact}
    prefixes = {
        ADMIN_PREFIX: AdminFront(controls).handle,
        GCP_PREFIX: GcpFront(core).handle,
        failpoints.PREFIX: failing,
    }
    app = App(default, paths, prefixes, refuse)
    return HttpServer(app, bound, tls.context if tls is not None else None)


async def _add_health(server: Any, services: tuple[str, ...]) -> None:
    servicer = health.aio.HealthServicer()
    for name in ("", *services):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
