"""Serves an adapter through gRPC generic handlers, writes the call log, and turns errors into status and metadata."""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message

from kms_emulator.calls import CallRecord
from kms_emulator.core import Core
from kms_emulator.model.errors import ModelError
from kms_emulator.wire.call import Adapter, Call, CloudError, Operation

ERROR_CODE_KEY = "x-kms-error-code"
"""Trailing metadata: the cloud's own error code."""

INNER_CODE_KEY = "x-kms-inner-error-code"
"""Trailing metadata: the finer code, where the cloud sends one."""

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata: google.rpc.Status, as Google's clients read it."""

INTERNAL_CODE = "InternalError"
"""Outcome of a call that met a fault of the emulator itself."""

CANCELLED_CODE = "Cancelled"
"""Outcome of a call whose caller went away, or that the end of the server cut off."""

Context = grpc.aio.ServicerContext[Any, Any]
_log = logging.getLogger(__name__)


def generic_handler(adapter: Adapter, core: Core) -> grpc.GenericRpcHandler:
    """Return the handler of all of an adapter's operations."""
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            _runner(adapter, name, operation, core),
            request_deserializer=operation.request.FromString,
            response_serializer=_serialize,
        )
        for name, operation in adapter.operations.items()
    }
    return grpc.method_handlers_generic_handler(adapter.service, methods)


def _serialize(answer: Message) -> bytes:
    return answer.SerializeToString()


def _runner(
    adapter: Adapter, name: str, operation: Operation[Any], core: Core
) -> Callable[[Message, Context], Awaitable[Message]]:
    async def run(request: Message, context: Context) -> Message:
        call = Call(core.registry, core.now_ns)
        try:
            answer = await _perform(adapter, name, operation, call, request)
        except CloudError as error:
            core.calls.add(_record(adapter, name, call, error.code))
            await abort(context, error)
        # Before the answer is sent: who has it finds the call in the log.
        core.calls.add(_record(adapter, name, call, "OK"))
        return answer

    return run


async def _perform(adapter: Adapter, name: str, operation: Operation[Any], call: Call, request: Message) -> Message:
    """Run an operation; whatever goes wrong becomes a CloudError."""
    try:
        call.tick()
        answer = operation.run(call, request)
        return await answer if inspect.isawaitable(answer) else answer
    except CloudError:
        raise
    except ModelError as error:
        raise adapter.translate(error, call) from None
    except asyncio.CancelledError:
        # Passed on, it would make grpc print a traceback for every call that the end of the server cuts off.
        raise CloudError(CANCELLED_CODE, "the emulator is ending", grpc.StatusCode.UNAVAILABLE) from None
    except Exception as error:
        # Its text could hold part of a request: the client gets none of it, and the log only where it came from.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s %s failed inside the emulator: %s\n%s", adapter.provider, name, type(error).__name__, where)
        message = "the emulator failed; its log says where. Nothing was changed, unless by what came before."
        raise CloudError(INTERNAL_CODE, message, grpc.StatusCode.INTERNAL) from None


async def abort(context: Context, error: CloudError) -> NoReturn:
    """End the call with the error; raises what grpc makes of that."""
    trailing: list[tuple[str, str | bytes]] = [(ERROR_CODE_KEY, error.code)]
    if error.inner_code:
        trailing.append((INNER_CODE_KEY, error.inner_code))
    if error.details:
        trailing.append((DETAILS_KEY, error.details))
    await context.abort(error.status, error.message, tuple(trailing))


def _record(adapter: Adapter, name: str, call: Call, outcome: str) -> CallRecord:
    return CallRecord(
        time_ns=call.now_ns,
        provider=adapter.provider,
        operation=name,
        key=call.key,
        key_version=call.key_version,
        outcome=outcome,
        plaintext_bytes=call.plaintext_bytes,
        ciphertext_bytes=call.ciphertext_bytes,
    )
