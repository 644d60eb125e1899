"""A serving process, from its first answer to its end: ready file, signals, and the order in which it stops."""

import json
import os
import signal
import threading
from _thread import start_new_thread
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from keystore.agents.serving import AgentServer, log
from keystore.errors import InputError


class Stopping:
    """Whether the process is to end; set by a signal, or by a call. A second signal ends it at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._asked = False
        """Whether a signal came."""

    def begin(self) -> None:
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end is to come, or the time is over; return whether it is to come."""
        return self._event.wait(timeout_s)

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT begin the end; for the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._asked or self._event.is_set():
            os._exit(128 + number)
        self._asked = True
        # The main thread, which this runs in, may be inside `wait` and have the event's lock: it must not wait for it.
        start_new_thread(self._event.set, ())


def serve(
    server: AgentServer,
    stopping: Stopping,
    *,
    ready_file: Path | None = None,
    ready: Mapping[str, object] | None = None,
    before_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until the end is to come, then let running calls end, and return.

    Args:
        ready_file: appears when calls are taken, with the address and `ready` as JSON, and is removed at the end.
        before_stop: tells long works that the end has come.

    Raises:
        InputError: the ready file cannot be written; nothing was served.
    """
    values = {"address": server.address, "pid": os.getpid(), **(ready or {})}
    server.start()
    try:
        if ready_file is not None:
            write_ready(ready_file, values)
        log(f"{server.identity} serves at {server.address}")
        stopping.wait()
    finally:
        if ready_file is not None:
            remove_ready(ready_file, values)
        before_stop()
        server.stop()
        log(f"{server.identity} has stopped")


def write_ready(path: Path, values: Mapping[str, object]) -> None:
    """Write a ready file under another name and rename it: who sees it sees all of it.

    Raises:
        InputError: it cannot be written; nothing is served.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(values) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise InputError(f"the ready file {path} cannot be written: {error.strerror}. Nothing was served.") from None


def remove_ready(path: Path, values: Mapping[str, object]) -> None:
    """Remove the ready file if it is still this process's."""
    with suppress(OSError, ValueError):
        if json.loads(path.read_text(encoding="utf-8")) == values:
            path.unlink()
