"""The line of threads that want to commit: the first one leads, and commits for those behind it.

Leaves to others: what a leader does, and under which lock.

Invariants:
1. There is one leader while anybody is in line; it leads until it leaves, and then the first in line does.
2. A request stays in line until it is done or its thread gives up, so that a leader which is cut off loses none.
3. `leave` may be cut off by a signal and called again.
"""

from threading import Lock

from keystore.pages.group import Group, Request
from keystore.pages.life import Life
from keystore.pages.state import StoreState


class Line:
    """The threads that want to commit to one store."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: list[Request] = []
        self._leader: Request | None = None

    def __len__(self) -> int:
        """Return how many requests are in line, with those that a leader commits."""
        return len(self._requests)

    def enter(self, request: Request) -> bool:
        """Wait until the request is done, or the calling thread leads: then return True."""
        with self._lock:
            self._requests.append(request)
            if self._leader is None:
                self._leader = request
        while not request.done and self._leader is not request:
            request.wait()
        return not request.done

    def gather(self, state: StoreState, life: Life) -> Group:
        """Return as many of the first requests as one record takes."""
        with self._lock:
            group = Group(state, life)
            for request in self._requests:
                request.taken = True
                if not group.add(request):
                    request.taken = False
                    break
            return group

    def leave(self, request: Request) -> None:
        """Give up what is not begun, wait for what is; wake those that are done, and the next leader."""
        while request.taken and not request.done and request in self._requests and self._leader is not request:
            request.wait()
        with self._lock:
            waiting = []
            for other in self._requests:
                if other.done:  # asked once: a leader may finish it meanwhile, and then wakes it when it leaves
                    other.wake()
                elif other is not request:
                    waiting.append(other)
            self._requests = waiting
            if self._leader is request:
                self._leader = self._requests[0] if self._requests else None
            if self._leader is not None:
                self._leader.wake()
