"""Writes one object to a bucket: in one request where it is short, otherwise in parts, some of them at the same time.

obstore takes the parts from an iterator and sends them; ours is fed by `write`, so obstore runs in a thread. Its end is
told by `finish`: any other end makes the iterator raise, and obstore then gives the upload up at the store.

Memory: `PARTS_AT_ONCE` parts under way, one that waits and one that is being filled.

CRASH: leaves parts that no listing of objects shows. Azure drops them after a week; for S3 and Google a lifecycle rule
of the bucket does (`AbortIncompleteMultipartUpload`).
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType
from typing import Protocol, Self

from keystore.errors import ObjectDamagedError, PlaceError

PART_BYTES = 8 << 20
"""LIMIT: bytes of a part. S3 takes none below 5 MiB but the last; S3 and Google take 10,000 of an object, so 78 GiB."""
PARTS_AT_ONCE = 4


class Requests(Protocol):
    """What is asked of the store about one object; each raises what went wrong. `what` is its name, for messages."""

    what: str

    def put(self, data: bytes) -> None:
        """Write it in one request, where nothing has its name."""
        ...

    def send(self, parts: Iterator[bytes]) -> None:
        """Write it in parts, whatever has its name; return once it is there."""
        ...

    def require_free(self) -> None:
        """Require that nothing has its name."""
        ...

    def length(self) -> int | None:
        """Return how long it is; None where it is not there."""
        ...


class GivenUpError(Exception):
    """The writer did not finish; the upload is to be given up. Never leaves `keystore.objects`."""


class Upload:
    """The object being written; a context manager."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._buffer = bytearray()
        self._digest, self._bytes = hashlib.sha256(), 0
        self._parts: _Parts | None = None
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data).cast("B")
        self._digest.update(view)
        self._bytes += len(view)
        while len(view):
            room = PART_BYTES - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == PART_BYTES and len(view):
                self._give()

    def finish(self) -> tuple[int, bytes]:
        if self._parts is None:
            self._requests.put(bytes(self._buffer))
        else:
            self._give()
            self._requests.require_free()
            self._join(self._parts)
        return self._bytes, self._digest.digest()

    def _join(self, parts: "_Parts") -> None:
        try:
            parts.end()
        except PlaceError:
            # It may be the answer alone that was lost. The name was free: what has it and is as long as ours is ours.
            with suppress(PlaceError):
                if self._requests.length() == self._bytes:
                    return
            raise
        found = self._requests.length()
        if found != self._bytes:
            raise ObjectDamagedError(
                f"{self._requests.what} has {found} bytes after {self._bytes} were written: the store, or another "
                "writer, changed it. No other object was changed."
            )

    def _give(self) -> None:
        if self._parts is None:
            self._parts = _Parts(self._requests.send)
        part, self._buffer = bytes(self._buffer), bytearray()
        self._parts.give(part)

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        if self._parts is not None and os.getpid() == self._process:  # a forked child has no thread to stop
            self._parts.give_up()


class _Parts:
    """Hands parts over to the thread that sends them, one at a time."""

    def __init__(self, send: Callable[[Iterator[bytes]], None]) -> None:
        self._changed = Condition()
        self._waiting: bytes | None = None
        self._ended = self._given_up = self._sent = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(send,), name="keystore-upload", daemon=True)
        self._thread.start()

    def give(self, part: bytes) -> None:
        """Wait until the part before was taken, and hand this one over; raises what went wrong meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is None or self._sent)
            self._raise()
            self._waiting = part
            self._changed.notify_all()

    def end(self) -> None:
        """Say that there are no more parts, and wait until all are sent; raises what went wrong."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._raise()

    def give_up(self) -> None:
        """Give the upload up unless it was ended, and wait for that."""
        with self._changed:
            self._given_up = not self._ended
            self._changed.notify_all()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, send: Callable[[Iterator[bytes]], None]) -> None:
        error: BaseException | None = None
        try:
            send(self._taken())
        except GivenUpError:
            pass
        except BaseException as failed:
            error = failed
        with self._changed:
            self._error, self._sent, self._waiting = error, True, None
            self._changed.notify_all()

    def _taken(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._ended or self._given_up)
                if self._given_up:
                    raise GivenUpError
                part, self._waiting = self._waiting, None
                self._changed.notify_all()
            if part is None:
                return
            yield part
