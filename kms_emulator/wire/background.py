"""Runs slow work beside the event loop, in a thread that does not hold up the end of the process.

asyncio's own pool is waited for when the program ends, and a large RSA key takes seconds.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

AT_ONCE_MAX = os.cpu_count() or 1
"""LIMIT: pieces of work that run at once; more would only take the event loop's processor away."""

Result = TypeVar("Result")
_turns = threading.BoundedSemaphore(AT_ONCE_MAX)


async def run_beside(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread of its own and return what it returns, or raise what it raises."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():  # the caller went away
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # None only where Result has it

    def run() -> None:
        outcome: tuple[Result | None, BaseException | None]
        try:
            with _turns:
                outcome = work(), None
        except Exception as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, daemon=True, name="key generation").start()
    return await future
