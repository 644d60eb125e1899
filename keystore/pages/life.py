"""Whether an open store may be used: not closed, not in a forked child, not damaged. And the lock on its state."""

from threading import RLock

from keystore.errors import StoreClosedError, StoreDamagedError, StoreForkedError


class Life:
    """Shared by the reading and the writing side of one open store."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.lock = RLock()
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
        self.lock = RLock()
