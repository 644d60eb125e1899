"""Changes of several threads that share records, in an order that repeats itself: for what explores crashes of them.

The threads stand in line, one after the other, while the caller has the store's lock. From then on one of them works at
a time, so every operation on the disk has one place in the order, whatever the scheduler does.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from unittest.mock import patch

from keystore.pages.commit import Change
from keystore.pages.group import Group
from keystore.pages.store import PageStore
from tests.pages.threads import TIMEOUT_S, wait_until


@dataclass(frozen=True)
class Wish:
    """What one thread asks a store to commit."""

    pages: Mapping[int, bytes | None] = field(default_factory=dict)
    page_count: int | None = None
    byte_length: int | None = None

    def commit(self, store: PageStore) -> int:
        return store.commit(dict(self.pages), page_count=self.page_count, byte_length=self.byte_length)


def commit_in_line(
    store: PageStore, wishes: Sequence[Wish], begun: Callable[[list[Wish]], None]
) -> list[int | Exception]:
    """Commit each wish in a thread of its own; return the sequence, or the error, that each got.

    Args:
        begun: is told, before each record, which wishes are to share it.
    """
    line, change_of = store._writer._line, Group.change

    def watched(group: Group) -> Change:
        begun([wishes[at] for at, request in enumerate(requests) if request in group.requests])
        return change_of(group)

    with ThreadPoolExecutor(len(wishes)) as pool, patch.object(Group, "change", watched):
        futures: list[Future[int]] = []
        with store._life.lock:
            for wish in wishes:
                futures.append(pool.submit(wish.commit, store))
                wait_until(lambda: len(line) == len(futures))
            requests = list(line._requests)
        return [_outcome(future) for future in futures]


def _outcome(future: Future[int]) -> int | Exception:
    error = future.exception(TIMEOUT_S)
    assert error is None or isinstance(error, Exception)
    return future.result() if error is None else error
