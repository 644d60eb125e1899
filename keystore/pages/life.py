"""Whether an open store may be used: not closed, not in a forked child, not damaged. And the lock of its writers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

from keystore.errors import StoreClosedError, StoreDamagedError, StoreForkedError, StoreIOError


class Life:
    """Shared by the reading and the writing side of one open store."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._new_lock()
        self.closed = False
        self.forked = False
        self.damage: StoreDamagedError | None = None

    def check(self) -> None:
        """Raise unless the store may be read."""
        if self.forked:
            raise StoreForkedError(
                f"store {self._name} was opened before this process forked; it is still open in the parent. Open "
                "stores after the fork"
            )
        if self.closed:
            raise StoreClosedError(f"store {self._name} is closed; open it again")

    def check_writable(self) -> None:
        """Raise unless the store may be written."""
        self.check()
        if self.damage is not None:
            raise self.damage

    def latch(self, damage: StoreDamagedError) -> StoreDamagedError:
        """Note damage (F-20): other parts stay readable, and nothing is written any more."""
        self.damage = self.damage or damage
        return damage

    def after_fork_in_child(self) -> None:
        """Another thread may have held the lock at the fork; its copy here would stay locked for ever."""
        self.forked = True
        self._new_lock()

    @contextmanager
    def unless_closed(self) -> Iterator[None]:
        """Let what fails inside the block, because the store is closed meanwhile, say that."""
        try:
            yield
        except (ValueError, StoreIOError, StoreDamagedError):  # a key that was wiped, a file that was closed
            self.check()
            raise

    def has_lock(self) -> bool:
        """Tell whether the calling thread has the lock."""
        return self._is_owned()

    def let_go(self) -> None:
        """Release the lock if the calling thread has it."""
        if self._is_owned():
            self.lock.release()

    def _new_lock(self) -> None:
        self.lock = RLock()
        """Held by who changes the store, or needs it unchanged, also while the disk is waited for. Readers do not take
        it: what they look at changes under `StoreState.map_lock`."""
        self._is_owned: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]  # `Condition` asks it, too
