"""What a host remembers: who it is, where its processes listen, and which of them an order has stopped.

One small JSON file, replaced as a whole, in a directory that one host at a time has. So a host that was killed, or
whose machine was started again, is the same host, and what was stopped stays stopped.
"""

import fcntl
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from keystore.durable import replace_file
from keystore.errors import InputError, NodeLockedError, PathMissingError

STATE_FILE = "host.json"
FILE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of the file; a process takes about a hundred."""


@dataclass
class ProcessMemory:
    """What is remembered of one process.

    Attributes:
        listen: where it listens; port 0 until it was running once.
        stopped: whether an order has stopped it.
        credentials: whether it starts only with credentials, which are not remembered; None before an order said so.
    """

    listen: str = ""
    stopped: bool = False
    credentials: bool | None = None


@dataclass
class _Content:
    host_id: str
    processes: dict[str, ProcessMemory] = field(default_factory=dict)


class HostState:
    """The memory of one host, in a directory that it locks. Threads may share it."""

    def __init__(self, directory: Path) -> None:
        """Lock the directory, made if missing, and read what is remembered.

        Raises:
            NodeLockedError: another host has the directory.
            PathMissingError, InputError: it cannot be used; nothing was changed.
        """
        self.directory = directory
        self._path, self._lock = directory / STATE_FILE, threading.Lock()
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise PathMissingError.parent_of(directory) from None
        except OSError as error:
            raise InputError(f"{directory} cannot be used: {error.strerror}. Nothing was started.") from None
        try:
            self._take_over()
        except BaseException:
            self.close()
            raise

    @property
    def host_id(self) -> bytes:
        return bytes.fromhex(self._content.host_id)

    def of(self, name: str) -> ProcessMemory:
        """Return a copy of what is remembered of a process."""
        with self._lock:
            found = self._content.processes.get(name, ProcessMemory())
            return replace(found)

    def remember(self, name: str, memory: ProcessMemory) -> None:
        """Remember this of a process; durable on return.

        Raises:
            InputError: it cannot be written; what is remembered is unchanged.
        """
        with self._lock:
            if self._content.processes.get(name) != memory:
                self._save(_Content(self._content.host_id, {**self._content.processes, name: memory}))

    def close(self) -> None:
        """Give the directory up. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _take_over(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NodeLockedError(
                f"the host {self.directory} is served by another process. Nothing was started; end that first."
            ) from None
        if self._path.exists():
            self._content = self._read()
        else:
            self._save(_Content(secrets.token_hex(16)))

    def _read(self) -> _Content:
        try:
            found: Any = json.loads(self._path.read_bytes()[: FILE_BYTES_MAX + 1])
            processes = {name: ProcessMemory(**memory) for name, memory in found["processes"].items()}
            if len(bytes.fromhex(found["host_id"])) != 16:
                raise ValueError
            return _Content(found["host_id"], processes)
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error.strerror}. Nothing was started.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{self._path} is not what a host wrote. Nothing was started; bring it back, or choose another "
                "directory."
            ) from None

    def _save(self, content: _Content) -> None:
        try:
            replace_file(self._path, json.dumps(asdict(content), indent=2).encode())
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written: {error.strerror}. Nothing was changed; make space, or give write "
                "access."
            ) from None
        self._content = content
