"""A gRPC server of a process: mutual TLS, who may call what, errors on the wire, health, and an orderly end.

A service is an object with a method for each call of its .proto, in Python's spelling (`GetStatus` is `get_status`);
the table beside it says which roles may make each call. Nothing that a table does not allow is served.

Leaves to others: what a call does (`keystore.agents.service` and its neighbours).
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from keystore.agents import certificates, wire_errors
from keystore.agents.identity import Identity, Role
from keystore.errors import InputError, KeystoreError, RoleError

THREADS_MAX = 32
"""LIMIT: calls that work at the same time; each may wait for a disk or a KMS."""
CALLS_MAX = 256
"""LIMIT: calls at once, with those that wait for a thread; more are answered RESOURCE_EXHAUSTED."""
MESSAGE_BYTES_MAX = 17 << 20
"""LIMIT: bytes of one message: 16 MiB of pages, and what stands around them."""
WAIT_MAX_S = 86400.0
"""LIMIT: seconds that an answer is waited for on behalf of a caller."""
DRAIN_S = 10.0
"""LIMIT: seconds that running calls get to end when the process stops."""
CUT_OFF_S = 5.0
"""LIMIT: seconds after that in which gRPC has to have cut off the others and stopped; nobody waits longer for it."""

Allowed = Mapping[str, frozenset[Role]]

_OPTIONS = (
    # Without this a second server on a used port binds silently, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
)


@dataclass(frozen=True)
class Service:
    """What a server serves.

    Attributes:
        calls: its methods are the calls.
        allowed: the roles that may make each call, by its name.
        is_raw: messages come and go as bytes.
    """

    descriptor: ServiceDescriptor
    calls: object
    allowed: Allowed
    is_raw: bool = False


class AgentServer:
    """One listening server. `start` it, `stop` it."""

    def __init__(self, listen: str, tls: Path, role: Role, *services: Service) -> None:
        """Bind, and take no call yet.

        Raises:
            CertificateError: the process has no certificates for that role.
            InputError: the address cannot be bound.
        """
        own = certificates.load(tls)
        if own.identity.role is not role:
            raise RoleError(f"the certificate in {tls} is for {own.identity}, not for a {role}. Nothing was started.")
        self.identity, self._names = own.identity, ["", *(service.descriptor.full_name for service in services)]
        self._server = grpc.server(ThreadPoolExecutor(THREADS_MAX), options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers([_handler(service, own.identity) for service in services])
        self.address = self._bind(listen, certificates.server_credentials(tls, own))

    def start(self) -> None:
        self._server.start()
        self._set_health(health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_s: float = DRAIN_S) -> None:
        """Take no more calls, let those that run end, and return when all have; one that takes longer is cut off."""
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        if not self._server.stop(grace_s).wait(grace_s + CUT_OFF_S):
            log(f"{self.identity} stops, though gRPC has not said that its calls have ended")

    def _set_health(self, status: int) -> None:
        for name in self._names:
            self._health.set(name, status)

    def _bind(self, listen: str, credentials: grpc.ServerCredentials) -> str:
        host, colon, port = listen.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise InputError(f"{listen!r} is not HOST:PORT, such as 127.0.0.1:0. Nothing was started.")
        try:
            bound = self._server.add_secure_port(listen, credentials)
        except RuntimeError:
            raise InputError(
                f"{listen} cannot be listened on: it is in use, or not an address of this machine. Nothing was "
                "started; name another."
            ) from None
        return f"{host}:{bound}"


def log(text: str) -> None:
    """Write a line for whoever runs the process. Nothing secret may be in it."""
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
    sys.stderr.flush()


def _handler(service: Service, own: Identity) -> grpc.GenericRpcHandler:
    handlers = {
        method.name: _method_handler(method, service, roles, own)
        for method in service.descriptor.methods
        if (roles := service.allowed.get(method.name))
    }
    return grpc.method_handlers_generic_handler(service.descriptor.full_name, handlers)


def python_name(name: str) -> str:
    """Return the name of the method for a call."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _method_handler(
    method: MethodDescriptor, service: Service, roles: frozenset[Role], own: Identity
) -> grpc.RpcMethodHandler[Any, Any]:
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    guard = _Guard(method.full_name, getattr(service.calls, python_name(method.name)), roles, own)
    make: Any = kinds[method.client_streaming, method.server_streaming]
    handler: grpc.RpcMethodHandler[Any, Any] = make(
        guard.stream if method.server_streaming else guard.unary,
        request_deserializer=None if service.is_raw else GetMessageClass(method.input_type).FromString,
        response_serializer=None if service.is_raw else GetMessageClass(method.output_type).SerializeToString,
    )
    return handler


class Call:
    """A call that is being served, for what serves it."""

    def __init__(self, context: grpc.ServicerContext, caller: Identity) -> None:
        self.caller, self._context = caller, context
        self._ended = threading.Event()
        if not context.add_callback(self._ended.set):
            self._ended.set()

    @property
    def is_ended(self) -> bool:
        """Whether nobody waits for an answer any more: cancelled, timed out, cut off."""
        return self._ended.is_set()

    @property
    def time_left_s(self) -> float:
        """How long the caller still waits for an answer, with a bound of ours where it named none."""
        return min(self._context.time_remaining() or WAIT_MAX_S, WAIT_MAX_S)


class _Guard:
    """One call of a service: checks who calls, and turns errors into statuses."""

    def __init__(self, name: str, function: Callable[..., Any], roles: frozenset[Role], own: Identity) -> None:
        self._name, self._function, self._roles, self._own = name, function, roles, own

    def unary(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return self._function(request, self._call(context))
        except KeystoreError as error:
            wire_errors.abort(context, error)
        except Exception as error:
            self._failed(context, error)

    def stream(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from self._function(request, self._call(context))
        except KeystoreError as error:
            wire_errors.abort(context, error)
        except Exception as error:
            self._failed(context, error)

    def _call(self, context: grpc.ServicerContext) -> Call:
        caller = certificates.peer(context)
        if caller.cluster != self._own.cluster or caller.role not in self._roles:
            raise RoleError(
                f"{caller} may not call {self._name} of {self._own}: that is for {' and '.join(sorted(self._roles))}. "
                "Nothing was changed."
            )
        return Call(context, caller)

    def _failed(self, context: grpc.ServicerContext, error: Exception) -> None:
        """End a call on an error that is ours; its place is logged, no value."""
        if not context.is_active():
            return  # the caller went away, and whatever was read from it or told to it failed for that
        trace = "".join(traceback.format_tb(error.__traceback__))
        log(f"{self._name} failed: {type(error).__name__}\n{trace}")
        context.abort(grpc.StatusCode.INTERNAL, f"an error of its own, {type(error).__name__}")
