"""How many files this process may have open at once: raised as far as the system allows, before a work needs them."""

import resource
from contextlib import suppress
from pathlib import Path

from keystore.errors import NodeIOError

SPARE = 64
"""LIMIT: descriptors left for all else: the files of the work itself, libraries, other threads."""


def require_descriptors(count: int, what: str) -> None:
    """Make sure that `count` more files can be open at once; raises the soft limit of the process where it is too low.

    Raises:
        NodeIOError: the hard limit is too low. Nothing was opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _open_now() + count + SPARE
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard == resource.RLIM_INFINITY or needed <= hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            return
    raise NodeIOError(
        f"{what} has {count} files open at once, and this process may have {hard} in all. Nothing was changed; raise "
        f"the limit to {needed} (`ulimit -n {needed}`), and try again."
    )


def _open_now() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return SPARE  # no /proc, or not one descriptor left to look with
