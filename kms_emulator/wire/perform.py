"""Runs one operation, for every wire: notes it in the call log, and turns what goes wrong into the cloud's error."""

import asyncio
import logging
import traceback

import grpc
from google.protobuf.message import Message

from kms_emulator.calls import CallRecord
from kms_emulator.core import Core
from kms_emulator.model.errors import ModelError
from kms_emulator.model.store import StoreError
from kms_emulator.wire.call import ANONYMOUS, Adapter, Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.faults import meet_faults

INTERNAL_CODE = "InternalError"
"""Outcome of a call that met a fault of the emulator itself."""

CANCELLED_CODE = "Cancelled"
"""Outcome of a call whose caller went away, or that the end of the server cut off."""

_log = logging.getLogger(__name__)


async def perform(
    core: Core,
    adapter: Adapter,
    name: str,
    request: Message,
    caller: Caller = ANONYMOUS,
    request_id: str = "",
    *,
    looking: bool = False,
) -> Message:
    """Run the operation `name` of an adapter. One that is only `looking` is not logged, and meets no fault.

    Raises:
        CloudError: the cloud's answer to whatever went wrong; it is in the call log.
        NoAnswerError: the connection is to end; that is in the call log too.
    """
    call = Call(core, adapter.provider, name, caller, request_id, request=request)
    if looking:
        return await _run(adapter, call, request, looking=True)
    try:
        answer = await _run(adapter, call, request)
    except CloudError as error:
        note(call, error.code)
        raise
    except NoAnswerError as error:
        note(call, error.outcome)
        raise
    # Before the answer is sent: who has it finds the call in the log.
    note(call, "OK")
    return answer


def note(call: Call, outcome: str) -> None:
    """Put a call in the log; a wire does so itself with what it refuses before there is an operation to run."""
    if not call.now_ns:
        call.tick()
    call.core.calls.add(
        CallRecord(
            time_ns=call.now_ns,
            provider=call.provider,
            operation=call.operation,
            key=call.key,
            key_version=call.key_version,
            outcome=outcome,
            plaintext_bytes=call.plaintext_bytes,
            ciphertext_bytes=call.ciphertext_bytes,
            caller=call.caller.arn,
            access_key_id=call.caller.access_key_id,
            address=call.caller.address,
            fault=call.fault,
        )
    )


async def _run(adapter: Adapter, call: Call, request: Message, *, looking: bool = False) -> Message:
    operation = adapter.operations[call.operation]
    try:
        call.tick()
        if not looking:
            await meet_faults(call, lambda: adapter.key_names(call.registry, request), adapter.fault_error)
        if operation.check is not None:
            operation.check(request)
        answer = operation.run(call, request)
        if not isinstance(answer, Message):
            answer = await answer
        if adapter.completed is not None:
            adapter.completed(call)
        return answer
    except (CloudError, NoAnswerError):
        raise
    except ModelError as error:
        raise adapter.translate(error, call) from None
    except asyncio.CancelledError:
        # Passed on, it would make grpc print a traceback for every call that the end of the server cuts off.
        raise CloudError(
            CANCELLED_CODE, "the emulator is ending", grpc.StatusCode.UNAVAILABLE, http_status=503
        ) from None
    except Exception as error:
        raise internal_error(f"{call.provider} {call.operation}", error) from None


def internal_error(what: str, error: Exception) -> CloudError:
    """Log where the emulator itself failed, and return what the client is told.

    The error's text could hold part of a request: the client gets none of it, and the log only where it came from. That
    of a store that fails, as a full disk does, holds none and is told to both.
    """
    if isinstance(error, StoreError):
        _log.error("%s failed: %s", what, error)
        return CloudError(INTERNAL_CODE, str(error), grpc.StatusCode.INTERNAL, http_status=500)
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s failed inside the emulator: %s\n%s", what, type(error).__name__, where)
    message = "the emulator failed; its log says where. Nothing was changed, unless by what came before."
    return CloudError(INTERNAL_CODE, message, grpc.StatusCode.INTERNAL, http_status=500)
