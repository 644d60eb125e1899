"""Faults as messages."""

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.known import check_operation
from kms_emulator.model.faults import Fault, FaultKind, Planned, Scope
from kms_emulator.wire.times import duration, duration_ns, timestamp, timestamp_ns


def fault_of(message: pb.Fault) -> Fault:
    """Return the fault that a message describes; ValueError if there is no such kind or operation."""
    try:
        kind = FaultKind(message.kind)
    except ValueError:
        raise ValueError(f"kind must be one of {', '.join(kind.value for kind in FaultKind)}") from None
    if message.number or message.seen or message.met:
        raise ValueError("number, seen and met are set by the server")
    check_operation(message.provider, message.operation)
    scope = Scope(
        message.provider,
        message.operation,
        message.key,
        message.caller,
        timestamp_ns(message.from_time) if message.HasField("from_time") else None,
        timestamp_ns(message.until_time) if message.HasField("until_time") else None,
    )
    return Fault(
        kind,
        scope,
        first=message.first or 1,
        every=message.every or 1,
        count=message.count,
        delay_ns=duration_ns(message.delay),
        code=message.code,
        message=message.message,
        retry_after_s=message.retry_after_s if message.HasField("retry_after_s") else 1,
        networks=tuple(message.networks),
    )


def fault_message(planned: Planned) -> pb.Fault:
    """Return the message of a fault, with its counts."""
    fault, scope = planned.fault, planned.fault.scope
    message = pb.Fault(
        number=fault.number,
        kind=fault.kind.value,
        provider=scope.provider,
        operation=scope.operation,
        key=scope.key,
        caller=scope.caller,
        first=fault.first,
        every=fault.every,
        count=fault.count,
        code=fault.code,
        message=fault.message,
        networks=fault.networks,
        seen=planned.seen,
        met=planned.met,
    )
    if scope.from_ns is not None:
        message.from_time.CopyFrom(timestamp(scope.from_ns))
    if scope.until_ns is not None:
        message.until_time.CopyFrom(timestamp(scope.until_ns))
    if fault.kind is FaultKind.LATENCY:
        message.delay.CopyFrom(duration(fault.delay_ns))
    if fault.kind is FaultKind.THROTTLE:
        message.retry_after_s = fault.retry_after_s
    return message
