"""One call on its way through an adapter: who makes it, what is noted of it, and the errors that end it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from kms_emulator.core import Core
from kms_emulator.model.errors import ModelError
from kms_emulator.model.faults import Fault
from kms_emulator.model.registry import Registry

Request = TypeVar("Request", bound=Message)

LOOKING_KEY = "x-kms-emulator-looking"
"""Metadata of a call over gRPC that only looks, for a person at a terminal: it is not logged, and meets no fault."""


class CloudError(Exception):
    """What the cloud would answer: its own code and message, and the gRPC status that comes closest.

    Attributes:
        inner_code: a finer code, where the cloud sends one.
        details: an encoded google.rpc.Status for clients that read it, or nothing.
        http_status: for the HTTP wire; 0 where the code alone says which.
        retry_after_s: when to come back, where the cloud says so; 0 where it does not.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: grpc.StatusCode,
        inner_code: str = "",
        details: bytes = b"",
        http_status: int = 0,
        retry_after_s: int = 0,
    ) -> None:
        self.code, self.message, self.status = code, message, status
        self.inner_code, self.details = inner_code, details
        self.http_status, self.retry_after_s = http_status, retry_after_s
        super().__init__(f"{code}: {message}")


class NoAnswerError(Exception):
    """The connection is to end without an answer: an outage that was asked for.

    Attributes:
        outcome: what the call log says of it.
        wait: to be awaited before the connection ends, unless the caller goes away.
    """

    def __init__(self, outcome: str, wait: Callable[[], Awaitable[None]] | None = None) -> None:
        self.outcome, self.wait = outcome, wait
        super().__init__(outcome)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, as far as the wire knows.

    Attributes:
        account: the account's number; empty if nobody said who calls.
        arn: who it is, in the cloud's own form; empty for a caller that is not known.
        access_key_id: as sent, also of a caller that is not known.
        address: the source address, without a port; empty if there is none.
    """

    account: str = ""
    arn: str = ""
    access_key_id: str = ""
    address: str = ""

    @property
    def known(self) -> bool:
        """Tell whether it is one of the emulator's own users or roles: only those are held to policies."""
        return bool(self.arn)


ANONYMOUS = Caller()


@dataclass(slots=True)
class Call:
    """What an operation works with, and what it notes for the call log: names and lengths, never contents.

    `uids` are those of the keys that were found for it.
    """

    core: Core
    provider: str
    operation: str
    caller: Caller = ANONYMOUS
    request_id: str = ""
    now_ns: int = 0
    key: str = ""
    key_version: str = ""
    plaintext_bytes: int = 0
    ciphertext_bytes: int = 0
    uids: list[bytes] = field(default_factory=list)
    fault: int = 0
    request: Message | None = None

    @property
    def registry(self) -> Registry:
        return self.core.registry

    def tick(self) -> None:
        """Look at the clock, at the start and again after waiting for something; what was due then is done."""
        self.now_ns = self.core.now_ns()


@dataclass(frozen=True)
class Operation(Generic[Request]):
    """One method of a service. `check` refuses what breaks the cloud's constraints, before anything is looked at."""

    request: type[Request]
    run: Callable[[Call, Request], Message | Awaitable[Message]]
    check: Callable[[Request], None] | None = None


@dataclass(frozen=True)
class Adapter:
    """One cloud's shape: the service it is served as, its operations, and how it words what is refused.

    Attributes:
        translate: what the model refuses.
        fault_error: a fault that has an answer.
        key_names: every name of every key that a request means; finds nothing wrong with any request.
        authenticate: who sent an ``authorization`` header (over gRPC), from an address; None where it says nothing.
        completed: told of every call that succeeded, before it is answered.
    """

    provider: str
    service: str
    operations: Mapping[str, Operation[Any]]
    translate: Callable[[ModelError, Call], CloudError]
    fault_error: Callable[[Fault, Call], CloudError]
    key_names: Callable[[Registry, Message], Iterable[str]]
    completed: Callable[[Call], None] | None = None
    authenticate: Callable[[Core, str, str], Caller] | None = None
