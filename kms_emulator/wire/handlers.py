"""Serves an adapter through gRPC generic handlers, and turns errors into status and metadata."""

import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message

from kms_emulator.core import Core
from kms_emulator.wire.call import LOOKING_KEY, Adapter, Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.perform import note, perform

ERROR_CODE_KEY = "x-kms-error-code"
"""Trailing metadata: the cloud's own error code."""

INNER_CODE_KEY = "x-kms-inner-error-code"
"""Trailing metadata: the finer code, where the cloud sends one."""

RETRY_AFTER_KEY = "retry-after"
"""Trailing metadata: seconds, where the cloud says when to come back."""

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata: google.rpc.Status, as Google's clients read it."""

Context = grpc.aio.ServicerContext[Any, Any]


def generic_handler(adapter: Adapter, core: Core) -> grpc.GenericRpcHandler:
    """Return the handler of all of an adapter's operations."""
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            _runner(adapter, name, core),
            request_deserializer=operation.request.FromString,
            response_serializer=_serialize,
        )
        for name, operation in adapter.operations.items()
    }
    return grpc.method_handlers_generic_handler(adapter.service, methods)


def _serialize(answer: Message) -> bytes:
    return answer.SerializeToString()


def _runner(adapter: Adapter, name: str, core: Core) -> Callable[[Message, Context], Awaitable[Message]]:
    async def run(request: Message, context: Context) -> Message:
        try:
            looking = any(key == LOOKING_KEY for key, _ in context.invocation_metadata() or ())
            return await perform(core, adapter, name, request, _caller(adapter, name, core, context), looking=looking)
        except CloudError as error:
            await abort(context, error)
        except NoAnswerError as error:
            if error.wait is not None:
                await error.wait()
            # gRPC cannot close one call's connection: this is what its clients make of a closed one.
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    return run


def _caller(adapter: Adapter, name: str, core: Core, context: Context) -> Caller:
    """Return who calls; whoever is refused is in the call log."""
    address = _address(context.peer())
    if adapter.authenticate is None:
        return Caller(address=address)
    headers = dict(context.invocation_metadata() or ())
    try:
        return adapter.authenticate(core, str(headers.get("authorization", "")), address)
    except CloudError as error:
        note(Call(core, adapter.provider, name, Caller(address=address)), error.code)
        raise


def _address(peer: str) -> str:
    """Return the address of ``ipv4:HOST:PORT`` or ``ipv6:%5BHOST%5D:PORT``; nothing for other transports."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return urllib.parse.unquote(rest).rpartition(":")[0].strip("[]")


async def abort(context: Context, error: CloudError) -> NoReturn:
    """End the call with the error; raises what grpc makes of that."""
    trailing: list[tuple[str, str | bytes]] = [(ERROR_CODE_KEY, error.code)]
    if error.inner_code:
        trailing.append((INNER_CODE_KEY, error.inner_code))
    if error.retry_after_s:
        trailing.append((RETRY_AFTER_KEY, str(error.retry_after_s)))
    if error.details:
        trailing.append((DETAILS_KEY, error.details))
    await context.abort(error.status, error.message, tuple(trailing))
