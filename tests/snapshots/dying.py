"""A place that a killed process used: from some operation on, nothing it is asked reaches it any more."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from keystore.objects.place import Named, ObjectReader, ObjectWriter, Place


class KilledError(BaseException):
    """The process is gone; what runs after this in it does not count, and reaches nothing."""


class DyingPlace:
    """Passes everything on to a real place, up to a number of changes.

    Attributes:
        changes: how many there were: objects put, finished or removed.
    """

    def __init__(self, place: Place, changes_max: int | None = None) -> None:
        self._place, self._changes_max = place, changes_max
        self.changes, self.dead = 0, False

    def __str__(self) -> str:
        return str(self._place)

    def _alive(self) -> None:
        if self.dead:
            raise KilledError

    def _change(self) -> None:
        self._alive()
        if self.changes == self._changes_max:
            self.dead = True
            raise KilledError
        self.changes += 1

    def names(self, prefix: str = "") -> list[Named]:
        self._alive()
        return self._place.names(prefix)

    def put(self, name: str, data: bytes) -> bool:
        self._change()
        return self._place.put(name, data)

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        self._alive()
        return self._writing(name)

    @contextmanager
    def _writing(self, name: str) -> Iterator[ObjectWriter]:
        with self._place.create(name) as writer:
            yield _DyingWriter(self, writer)

    def get(self, name: str, bytes_max: int) -> bytes:
        self._alive()
        return self._place.get(name, bytes_max)

    def open(self, name: str) -> AbstractContextManager[ObjectReader]:
        self._alive()
        return self._place.open(name)

    def length(self, name: str) -> int | None:
        self._alive()
        return self._place.length(name)

    def remove(self, name: str) -> None:
        self._change()
        self._place.remove(name)


class _DyingWriter:
    def __init__(self, place: DyingPlace, writer: ObjectWriter) -> None:
        self._place, self._writer = place, writer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._place._alive()
        self._writer.write(data)

    def finish(self) -> tuple[int, bytes]:
        self._place._change()
        return self._writer.finish()
