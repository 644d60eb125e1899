"""What a page store needs from outside: a file, data keys, and an anchor. Small, so that tests can replace each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from keystore.crypto.secret import SecretKey

Buffer: TypeAlias = bytes | bytearray | memoryview
T = TypeVar("T")


class BlockFile(Protocol):
    """The only way to the disk. Errors of the operating system come out as `OSError`."""

    def size(self) -> int:
        """Return the length in bytes."""

    def read(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`.

        Raises:
            EOFError: the file ends before the buffer is full.
        """

    def write(self, offset: int, data: Buffer) -> None:
        """Write all of `data`, inside the present length; not durable before `sync`."""

    def extend(self, size: int, *, written: bool = False) -> None:
        """Make the file `size` bytes long, with the space allocated; the new bytes read as zeros.

        Where they are `written`, now, a later write of them changes no table of the file system, and its sync needs no
        other write.
        """

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync(self) -> None:
        """Return once everything written is durable (fdatasync)."""

    def evict(self, offset: int, length: int) -> None:
        """Drop what the page cache holds of these bytes, if it is clean: the next read comes from the disk."""

    def close(self) -> None:
        """Close the file and give up its lock."""


@runtime_checkable
class DescribedFile(Protocol):
    """A `BlockFile` that shows the system's own: bytes at an offset of it are those that `read` returns."""

    def descriptor(self) -> int | None:
        """Return the descriptor, open until `close`; None where it shows none just now."""


@runtime_checkable
class ChangingFile(Protocol):
    """A `BlockFile` whose descriptor may become another one."""

    def when_moved(self, act: Callable[[], None]) -> None:
        """Call `act` whenever that has happened; the former descriptor is open until it returns."""


@runtime_checkable
class DirectFile(Protocol):
    """A `BlockFile` that can be written by the system's own descriptor, as `write` does."""

    def by_descriptor(self, act: Callable[[int], T]) -> T | None:
        """Return what `act` returns, which may write by the descriptor; None, and it was not called, where that would
        not be all of it just now."""


@runtime_checkable
class EarlyFile(Protocol):
    """A `BlockFile` that can have the system begin to write before a sync asks for it."""

    def begin_writing(self, offset: int, length: int) -> None:
        """Begin to write these bytes out, and do not wait; nothing is durable by it, and nothing fails.

        A `length` of 0 means all to the end of the file.
        """


class DataKeys(Protocol):
    """The data keys of one database."""

    def current(self) -> tuple[int, SecretKey]:
        """Return generation and key for new sessions."""

    def by_generation(self, generation: int) -> SecretKey:
        """Return the key of a generation.

        Raises:
            KeyError: the generation is not known here.
        """

    def note_seals(self, generation: int, seals: int) -> None:
        """Take note of `seals` more seals under a generation, at the end of a session; raises nothing."""


@dataclass(frozen=True)
class AnchorState:
    """A state that a store has acknowledged: the number of a commit and the tag of its record."""

    epoch: int
    sequence: int
    tag: bytes


class Anchor(Protocol):
    """Remembers, outside the store, how far it had come (F-18)."""

    def load(self) -> AnchorState | None:
        """Return the state last stored, or None if none ever was."""

    def store(self, state: AnchorState, *, sync: bool) -> None:
        """Put `state` in place of the former; durable on return if `sync`."""


@dataclass(frozen=True)
class OutsideState:
    """A state of which an anchor in another place, called `place`, knows."""

    state: AnchorState
    place: str


@runtime_checkable
class OutsideWitness(Protocol):
    """An anchor that knows, besides, what was stated outside the reach of who can write to the disk."""

    def outside(self) -> OutsideState | None:
        """Return what was stated last, or None if nothing was."""
