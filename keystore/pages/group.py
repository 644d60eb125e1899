"""Group commit: the changes of several threads that share one record and one sync (docs/adr/0011-group-commit.md).

Leaves to others: who commits a group (`line`, `writer`), and how it becomes durable (`commit`).

Invariants:
1. Changes are joined in the order in which they were asked for: where two name a page or an end, the later one wins.
2. A change is in one record as a whole. One that is refused takes no other with it.
3. A group needs one sync, as a single small commit does; what would need another is committed alone.
"""

from threading import Lock

from keystore.pages.commit import SYNC_FIRST_BYTES, Change, check_change
from keystore.pages.life import Life
from keystore.pages.protocols import Buffer
from keystore.pages.state import StoreState


class Request:
    """A change that one thread asked for, and what came of it: a sequence or an error."""

    def __init__(
        self, pages: dict[int, Buffer | None], page_count: int | None = None, byte_length: int | None = None
    ) -> None:
        self.pages, self.page_count, self.byte_length = pages, page_count, byte_length
        self.done = False
        self.taken = False
        """Whether its pages may be being read, by a thread that commits for this one."""
        self._outcome: int | Exception = 0
        self._sleep = Lock()
        self._sleep.acquire()

    def finish(self, outcome: int | Exception) -> None:
        """Note what came of it; it is done."""
        self._outcome, self.done = outcome, True

    def result(self) -> int:
        """Return the sequence of a request that is done, or raise its error."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def wait(self) -> None:
        """Sleep until `wake`, which may have been before."""
        self._sleep.acquire()

    def wake(self) -> None:
        """Let the next `wait`, or the present one, return."""
        if self._sleep.locked():
            self._sleep.release()


class Group:
    """Requests joined into one change."""

    def __init__(self, state: StoreState, life: Life) -> None:
        self._state, self._life = state, life
        self._pages: dict[int, Buffer | None] = {}
        self._page_count, self._byte_length = state.page_count, state.byte_length
        self._complete = False
        self.requests: list[Request] = []

    def add(self, request: Request) -> bool:
        """Join a request, or let it be done at once: refused, or nothing to change. False: it is for the next group."""
        if self._complete:
            return False
        ends = self._page_count, self._byte_length
        try:
            self._life.check_writable()
            count, length = check_change(self._state, ends, request.pages, request.page_count, request.byte_length)
        except Exception as error:
            request.finish(error)
            return True
        if not self.requests and not request.pages and (count, length) == ends:
            request.finish(self._state.sequence)
            return True
        size = (len(self._pages) + len(request.pages)) * self._state.page_size
        if self.requests and size > SYNC_FIRST_BYTES:
            return False
        self._pages = {**self._pages, **request.pages} if self.requests else request.pages
        if count < self._page_count:
            # The record cuts once, at its end: a later change must not grow the store over what this one cut off.
            self._complete = True
            self._pages = {page_no: data for page_no, data in self._pages.items() if page_no < count}
        self._page_count, self._byte_length = count, length
        self.requests.append(request)
        return True

    def change(self) -> Change:
        """Return what all of them change."""
        return Change.of(self._pages, self._page_count, self._byte_length)
