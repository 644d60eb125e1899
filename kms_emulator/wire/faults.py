"""Lets a call meet its faults: waits, breaks off, or answers in the cloud's words. The plan decides which."""

import asyncio
from collections.abc import Callable, Iterable

from kms_emulator.model.faults import Facts, Fault, FaultKind, FaultPlan
from kms_emulator.wire.call import Call, CloudError, NoAnswerError
from kms_emulator.wire.times import SECOND_NS

HANG_S_MAX = 3600
"""LIMIT: seconds that a hanging call is kept; every client gives up long before."""

CLOSED_OUTCOME, HUNG_OUTCOME = "ConnectionClosed", "Hung"


async def meet_faults(
    call: Call, key_names: Callable[[], Iterable[str]], fault_error: Callable[[Fault, Call], CloudError]
) -> None:
    """Return, perhaps late, if the call may go on.

    `key_names` yields every name of every key that it means; `fault_error` is the cloud's answer to a fault.

    Raises:
        CloudError: the cloud's answer to the fault it met.
        NoAnswerError: an outage without an answer.
    """
    plan, caller = call.core.faults, call.caller
    if not plan:
        return
    facts = Facts(
        call.provider,
        call.operation,
        call.now_ns,
        keys=key_names,
        callers=tuple(filter(None, (caller.arn, caller.access_key_id))),
        address=caller.address,
    )
    verdict = plan.decide(facts)
    if verdict.delay_ns:
        await asyncio.sleep(verdict.delay_ns / SECOND_NS)
        call.tick()
    fault = verdict.fault
    if fault is None:
        return
    call.fault = fault.number
    if fault.kind is FaultKind.CLOSE:
        raise NoAnswerError(CLOSED_OUTCOME)
    if fault.kind is FaultKind.HANG:
        raise NoAnswerError(HUNG_OUTCOME, lambda: _hang(plan, fault.number))
    raise fault_error(fault, call)


async def _hang(plan: FaultPlan, number: int) -> None:
    """Wait until the fault is removed."""
    released: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release() -> None:
        if not released.done():
            released.set_result(None)

    plan.when_removed(number, release)
    await asyncio.wait({released}, timeout=HANG_S_MAX)
