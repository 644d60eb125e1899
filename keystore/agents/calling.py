"""The way to a process: one channel, made when needed and again after a failure, with a deadline on every call.

A new channel reads the certificates anew, and asks the address at once: gRPC's own would go on with the old ones, and
wait up to two minutes before it asks again. Threads may share a client.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keystore.agents import certificates, wire_errors
from keystore.agents.identity import Role
from keystore.agents.serving import MESSAGE_BYTES_MAX
from keystore.errors import CertificateError, KeystoreError, NodeUnreachableError

CALL_S = 30.0
"""LIMIT: seconds for a call that reads, writes or looks."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A machine that is gone says nothing: asked after 10 s without a word, given up after 10 more.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

Reply = TypeVar("Reply")


class AgentClient:
    """A client of one process; a context manager that closes it. Nothing is sent before the first call.

    Args:
        address: HOST:PORT.
        tls: directory with our certificates.
        role: what the other side must be.
        name: who of that role it must be; None: any.
    """

    def __init__(self, address: str, tls: str | os.PathLike[str], role: Role, name: str | None = None) -> None:
        self.address, self._tls, self._role, self._name = address, Path(tls), role, name
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def is_serving(self, timeout_s: float = CALL_S) -> bool:
        """Tell whether it takes calls; not while it stops.

        Raises:
            NodeUnreachableError, CertificateError: it does not answer, or we may not ask.
        """
        request = health_pb2.HealthCheckRequest()
        answer = self._call(lambda channel: health_pb2_grpc.HealthStub(channel).Check, request, timeout_s)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Give the connection back. May be called twice."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _call(self, method: Callable[[grpc.Channel], Callable[..., Reply]], request: Any, timeout_s: float) -> Reply:
        """Make a call with one answer; `request` may be an iterator of requests."""
        channel = self._open()
        try:
            return method(channel)(request, timeout=timeout_s)
        except (grpc.RpcError, ValueError) as error:
            raise self._failed(channel, error) from None

    def _stream(
        self, method: Callable[[grpc.Channel], Callable[..., Iterable[Reply]]], request: Any, timeout_s: float
    ) -> Iterator[Reply]:
        """Make a call with a stream of answers; it is cancelled where the iterator is closed before its end."""
        channel = self._open()
        try:
            answers: Any = method(channel)(request, timeout=timeout_s)
            try:
                yield from answers
            finally:
                answers.cancel()
        except (grpc.RpcError, ValueError) as error:
            raise self._failed(channel, error) from None

    def _open(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                own = certificates.load(self._tls)
                self._channel = certificates.open_channel(self.address, own, self._role, self._name, _OPTIONS)
            return self._channel

    def _failed(self, channel: grpc.Channel, error: Exception) -> KeystoreError:
        if not isinstance(error, grpc.RpcError):
            if "closed channel" not in str(error):
                raise error
            return NodeUnreachableError(
                f"{self} was closed meanwhile. What was asked for may have been done; try again."
            )
        found = wire_errors.received(error, str(self))
        if isinstance(found, NodeUnreachableError | CertificateError):
            with self._lock:
                if self._channel is channel:
                    self._channel = None
            channel.close()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"the {self._role}{f' {self._name}' if self._name else ''} at {self.address}"
