"""A process that SIGKILL ends at a chosen call that changes a disk."""

import os
import signal
from collections.abc import Callable

CALLS = ("pwrite", "fsync", "fdatasync", "posix_fallocate", "ftruncate", "rename", "replace", "unlink")


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Run `work` in a process that is killed before the call `number`; return whether it came to that."""
    child = os.fork()
    if child == 0:
        status, left = 1, [number]

        def killing(call: Callable[..., object]) -> Callable[..., object]:
            def counted(*args: object, **options: object) -> object:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return call(*args, **options)

            return counted

        try:
            for name in CALLS:
                setattr(os, name, killing(getattr(os, name)))
            work()
            status = 0
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0
