"""How long works tell how far they are."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

Progress = Callable[[int, int], None]
"""``(done, in all)``, in bytes unless said otherwise; 0 in all where nobody knows. Called often: it must be quick."""


def untold(done: int, total: int) -> None:
    """Be the progress of a work that nobody looks at."""


def parts(progress: Progress, sizes: Sequence[int]) -> Iterator[Progress]:
    """Yield the progress of each part of a work, which may count in what it likes; `progress` is told of all of them.

    Args:
        sizes: bytes of each part.
    """
    before, total = 0, sum(sizes)
    for size in sizes:
        yield partial(_tell_part, progress, before, size, total)
        before += size
    progress(total, total)


def _tell_part(progress: Progress, before: int, size: int, total: int, done: int, of: int) -> None:
    progress(before + size * done // max(of, 1), total)
