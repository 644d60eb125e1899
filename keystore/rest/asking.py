"""Turns of requests that wait for strangers: a provider, or a node that asks one, may keep them waiting.

Invariants:
1. Requests that wait for none are answered meanwhile: the API answers 40 at once.
2. Whose provider hangs leaves turns to other projects, and other organisations.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from keystore.projects.codes import Code
from keystore.rest.routing import Call

ASKING_MAX, ORGANIZATION_ASKING_MAX, PROJECT_ASKING_MAX = 24, 12, 6
"""LIMIT: requests that wait for providers at once, in all, of an organisation and of a project. One more is answered
with what is known, or, where it is to change something, refused."""

_asking: Counter[str] = Counter()
_lock = threading.Lock()


@contextmanager
def asking(call: Call) -> Iterator[bool]:
    """Tell whether a provider may be asked in the block: not where too many requests wait for one already."""
    who = {"": ASKING_MAX, call.caller.organization_id: ORGANIZATION_ASKING_MAX, call.project_id: PROJECT_ASKING_MAX}
    with _lock:
        may = all(_asking[each] < most for each, most in who.items())
        if may:
            _asking.update(who.keys())
    try:
        yield may
    finally:
        if may:
            with _lock:
                _asking.subtract(who.keys())
                for each in who:
                    if not _asking[each]:
                        del _asking[each]


@contextmanager
def asking_now(call: Call) -> Iterator[None]:
    """As `asking`, for what cannot be done otherwise.

    Raises:
        ApiError: 503; nothing was asked.
    """
    with asking(call) as may:
        if not may:
            raise Code.SERVICE_UNAVAILABLE.error("Too many requests wait for key management services; try again.")
        yield
