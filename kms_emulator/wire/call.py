"""One call on its way through an adapter, and the error that an adapter answers with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from kms_emulator.model.errors import ModelError
from kms_emulator.model.registry import Registry

Request = TypeVar("Request", bound=Message)


class CloudError(Exception):
    """What the cloud would answer: its own code and message, and the gRPC status that comes closest.

    Attributes:
        inner_code: a finer code, where the cloud sends one.
        details: an encoded google.rpc.Status for clients that read it, or nothing.
    """

    def __init__(
        self, code: str, message: str, status: grpc.StatusCode, inner_code: str = "", details: bytes = b""
    ) -> None:
        self.code, self.message, self.status = code, message, status
        self.inner_code, self.details = inner_code, details
        super().__init__(f"{code}: {message}")


@dataclass
class Call:
    """What an operation works with, and what it notes for the call log: names and lengths, never contents."""

    registry: Registry
    now: Callable[[], int]
    now_ns: int = 0
    key: str = ""
    key_version: str = ""
    plaintext_bytes: int = 0
    ciphertext_bytes: int = 0

    def tick(self) -> None:
        """Look at the clock, at the start and again after waiting for something; what was due then is done."""
        self.now_ns = self.now()


@dataclass(frozen=True)
class Operation(Generic[Request]):
    """One method of a service."""

    request: type[Request]
    run: Callable[[Call, Request], Message | Awaitable[Message]]


@dataclass(frozen=True)
class Adapter:
    """One cloud's shape: the service it is served as, its operations, and how it words what the model refuses."""

    provider: str
    service: str
    operations: Mapping[str, Operation[Any]]
    translate: Callable[[ModelError, Call], CloudError]
