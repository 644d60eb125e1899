"""The admin service: virtual clock, call log, starting over."""

import os
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator import __version__
from kms_emulator.calls import CallFilter, CallRecord
from kms_emulator.clock import ClockSetting
from kms_emulator.core import Core
from kms_emulator.wire.times import duration, duration_ns, timestamp, timestamp_ns

SERVICE = "keystore_api.admin.v1.Admin"
CALLS_DEFAULT, CALLS_MAX = 1000, 10_000
TIME_MAX_NS = 253_402_300_799 * 1_000_000_000
"""LIMIT: the end of the year 9999, the last time a protobuf timestamp can hold."""

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)


class RefusedError(Exception):
    """A request that cannot be done; nothing was changed."""


class AdminService:
    """Acts on one core."""

    def __init__(self, core: Core, data_dir: str) -> None:
        self._core, self._data_dir = core, data_dir
        self._started_ns = core.clock.host_ns()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of all operations."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetServerInfo": _method(pb.GetServerInfoRequest, self.server_info),
            "GetClock": _method(pb.GetClockRequest, lambda _: self.clock()),
            "AdvanceClock": _method(pb.AdvanceClockRequest, self.advance_clock),
            "SetClock": _method(pb.SetClockRequest, self.set_clock),
            "ListCalls": _method(pb.ListCallsRequest, self.list_calls),
            "Reset": _method(pb.ResetRequest, self.reset),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def server_info(self, _: pb.GetServerInfoRequest) -> pb.ServerInfo:
        """Say which server this is."""
        return pb.ServerInfo(
            version=__version__,
            pid=os.getpid(),
            data_dir=self._data_dir,
            started_at=timestamp(self._started_ns),
            key_count=len(self._core.registry),
        )

    def clock(self) -> pb.Clock:
        """Return the virtual time."""
        now_ns, setting = self._core.now_ns(), self._core.clock.setting
        offset_ns = now_ns - self._core.clock.host_ns() if setting.frozen_ns is not None else setting.offset_ns
        return pb.Clock(now=timestamp(now_ns), frozen=setting.frozen_ns is not None, offset=duration(offset_ns))

    def advance_clock(self, request: pb.AdvanceClockRequest) -> pb.Clock:
        """Move time forward, and do what was due on the way."""
        by_ns = duration_ns(request.by)
        if by_ns < 0:
            raise RefusedError("time is advanced by zero or more; use SetClock to set it back")
        if self._core.clock.now_ns() + by_ns > TIME_MAX_NS:
            raise RefusedError("time ends with the year 9999")
        self._core.set_clock(self._core.clock.advance(by_ns))
        return self.clock()

    def set_clock(self, request: pb.SetClockRequest) -> pb.Clock:
        """Set the time, or go back to the host's."""
        clock = self._core.clock
        if request.HasField("now"):
            if not 0 <= timestamp_ns(request.now) <= TIME_MAX_NS:
                raise RefusedError("time must lie between 1970 and the year 9999")
            setting = clock.at(timestamp_ns(request.now), frozen=request.frozen)
        else:
            setting = clock.at(clock.host_ns(), frozen=True) if request.frozen else ClockSetting()
        self._core.set_clock(setting)
        return self.clock()

    def list_calls(self, request: pb.ListCallsRequest) -> pb.ListCallsResponse:
        """Return the calls that pass the filter, oldest first."""
        if not 0 <= request.limit <= CALLS_MAX:
            raise RefusedError(f"limit must be between 1 and {CALLS_MAX}")
        wanted = CallFilter(request.provider, request.operation, request.key, request.outcome, request.after_number)
        found = islice(self._core.calls.select(wanted), request.limit or CALLS_DEFAULT)
        log = self._core.calls
        return pb.ListCallsResponse(calls=[_call(call) for call in found], total=log.total, dropped=log.dropped)

    def reset(self, _: pb.ResetRequest) -> pb.ResetResponse:
        """Forget everything."""
        self._core.reset()
        return pb.ResetResponse()


def _method(
    request_type: type[Request], run: Callable[[Request], Message]
) -> "grpc.RpcMethodHandler[Request, Message]":
    async def answer(request: Request, context: Context) -> Message:
        try:
            return run(request)
        except RefusedError as error:
            return await _refuse(context, str(error))

    handler: Callable[[Request, Context], Awaitable[Message]] = answer
    return grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request_type.FromString, response_serializer=_serialize
    )


async def _refuse(context: Context, message: str) -> Message:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)


def _serialize(answer: Message) -> bytes:
    return answer.SerializeToString()


def _call(call: CallRecord) -> pb.Call:
    return pb.Call(
        number=call.number,
        time=timestamp(call.time_ns),
        provider=call.provider,
        operation=call.operation,
        key=call.key,
        key_version=call.key_version,
        outcome=call.outcome,
        plaintext_bytes=call.plaintext_bytes,
        ciphertext_bytes=call.ciphertext_bytes,
    )
