"""Where each surface of the emulator is: as a ready file says, as the server itself says, or by default."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.cli.endpoint import (
    ENDPOINT_DEFAULT,
    default_grpc_tls_port,
    default_http_port,
    default_https_port,
)
from kms_emulator.cli.exits import UNREACHABLE, USAGE, CommandError

ASKING_S = 2.0
"""LIMIT: seconds for the server to say where it serves; nobody listens where one does not answer."""

POLL_S = 0.05
ANYWHERE = ("0.0.0.0", "[::]")  # noqa: S104 - what a server may say of itself


@dataclass(frozen=True, slots=True)
class Places:
    """Where each surface is; what is not served is None.

    Attributes:
        ca: path of the certificate that HTTPS is under.
        is_guess: no server answered; they are those of one that is started without options.
    """

    grpc: str
    aws: str | None = None
    azure: str | None = None
    ca: str | None = None
    gcp_tls: str | None = None
    is_guess: bool = False

    @classmethod
    def of(cls, endpoints: Mapping[str, str | None]) -> "Places":
        """Return the places of a ready file's object."""
        found = endpoints.get
        return cls(str(endpoints["grpc"]), found("aws"), found("azure"), found("ca"), found("gcp_tls"))


def read_ready_file(path: Path) -> Places:
    """Return what `serve --ready-file` wrote."""
    try:
        return Places.of(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CommandError(f"ready file {path} cannot be read: {error.strerror}. Is the emulator up?", USAGE) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"ready file {path} was not written by kms-emulator serve", USAGE) from None


def find_places(endpoint: str) -> Places:
    """Return what the server says that listens there; the default places if none does."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"endpoint {endpoint!r} is not HOST:PORT, such as {ENDPOINT_DEFAULT}", USAGE)
    served = _ask(endpoint, ASKING_S)
    if served is None:
        plain = default_http_port(int(port))
        secure = default_https_port(plain)
        over_tls = f"{host}:{default_grpc_tls_port(secure)}"
        return Places(endpoint, f"http://{host}:{plain}", f"https://{host}:{secure}", None, over_tls, is_guess=True)
    reached = {name: _reached(place, host) for name, place in served.items()}
    ca = served.get("ca", "")
    return Places.of({**reached, "grpc": endpoint, "ca": ca if Path(ca).is_file() else None})


def wait(find: Callable[[], str | None], seconds: float) -> None:
    """Return once a server answers at the endpoint that `find` names.

    Raises:
        CommandError: none did in that time.
    """
    end_s = time.monotonic() + seconds
    while True:
        endpoint = find()
        if endpoint is not None and _ask(endpoint, min(ASKING_S, max(end_s - time.monotonic(), POLL_S))) is not None:
            return
        if time.monotonic() >= end_s:
            where = f"at {endpoint}" if endpoint is not None else "yet: there is no ready file"
            raise CommandError(f"no emulator answers {where}, after {seconds:g} seconds", UNREACHABLE)
        time.sleep(POLL_S)


def _ask(endpoint: str, timeout_s: float) -> dict[str, str] | None:
    """Return where the server says that it serves; None if none answers."""
    with grpc.insecure_channel(endpoint, options=(("grpc.enable_http_proxy", 0),)) as channel:
        try:
            return dict(AdminStub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=timeout_s).endpoints)
        except grpc.RpcError:
            return None


def _reached(place: str, host: str) -> str:
    """Return a place of a server that listens on all addresses as one of the host at which it was reached."""
    for anywhere in ANYWHERE:
        place = place.replace(f"{anywhere}:", f"{host}:")
    return place
