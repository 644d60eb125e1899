"""The directory in which a restored node is built, beside its place, and what an interruption leaves of it.

    .NAME.restoring-HEX/            a node directory that is not complete
    .NAME.restoring-HEX/restoring   what is being restored into it, and the stores that are done: a line each

Invariants:
1. The node appears in its place when it is complete, by one rename, and never before (S-11).
2. A store is noted as done when all of it is durable. What is not noted is made again.
3. One process builds in a directory, by a lock on it. Only the process that began removes what it made: a child that
   was forked meanwhile leaves it alone.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystore.errors import NodeError, NodeExistsError, NodeIOError, SnapshotDamagedError, StoreFullError
from keystore.keys.files import Files
from keystore.node.layout import Layout
from keystore.node.lock import DirectoryLock

JOURNAL = "restoring"
JOURNAL_BYTES_MAX = 1 << 27
"""LIMIT: bytes of the list of stores that are done; a line is 33, and a node has at most 2^20 stores."""


class Building:
    """One directory in which a node is built.

    Attributes:
        done: ids of the stores that are complete.
    """

    def __init__(self, root: Path, lock: DirectoryLock) -> None:
        self.layout, self.files, self._lock = Layout(root), Files(), lock
        self._journal = root / JOURNAL
        self.done = {bytes.fromhex(line) for line in _lines(root)[1:]}

    @classmethod
    def begin(cls, root: Path, purpose: str) -> "Building":
        """Make the directory, for its owner only, and note what it is for."""
        root.mkdir(mode=0o700)
        building = cls(root, DirectoryLock(root))
        building._append(purpose)
        return building

    @classmethod
    def resume(cls, destination: Path, purpose: str) -> "Building | None":
        """Return the directory in which an earlier restore of the same stopped; None where there is none."""
        pattern = re.compile(re.escape(f".{destination.name}.restoring-") + "[0-9a-f]{8}")
        for root in sorted(destination.parent.iterdir()):
            if not pattern.fullmatch(root.name) or _lines(root)[:1] != [purpose]:
                continue
            try:
                return cls(root, DirectoryLock(root))
            except NodeError:
                continue  # another process builds in it
        return None

    def note_done(self, store_id: bytes) -> None:
        """Note that a store is complete; durable on return."""
        self._append(store_id.hex())
        self.done.add(store_id)

    def publish(self, destination: Path) -> None:
        """Put the node into its place; durable on return.

        Raises:
            NodeExistsError: something came there meanwhile; it is unchanged.
        """
        self.files.remove(self._journal)
        for directory, _, _ in os.walk(self.layout.root):
            self.files.sync_directory(Path(directory))
        require_free(destination)
        self.files.rename(self.layout.root, destination)
        self.files.sync_directory(destination.parent)

    def close(self) -> None:
        """Give the lock up."""
        self._lock.release()

    def _append(self, line: str) -> None:
        fd = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.files.write(fd, os.fstat(fd).st_size, f"{line}\n".encode())
            self.files.sync(fd)
        finally:
            self.files.close(fd)


def _lines(root: Path) -> list[str]:
    """Return the whole lines of a journal; none where there is no journal, or none that we may read."""
    try:
        text = Files().read(root / JOURNAL, JOURNAL_BYTES_MAX).decode(errors="replace")
    except OSError:
        return []
    purpose, *done = text.split("\n")[:-1] or [""]
    return [purpose, *(line for line in done if re.fullmatch("[0-9a-f]{32}", line))]


@contextmanager
def building(destination: Path, purpose: str, found: Building | None, *, keep: bool) -> Iterator[Building]:
    """Give a directory beside `destination` that takes its place when the block ends well; `found`, or a new one.

    Otherwise it is removed, or, with `keep`, left for the next restore of the same, once a store in it is done.

    CRASH: leaves the directory, under a name that nothing opens as a node by mistake.
    """
    place, process = destination.absolute(), os.getpid()
    root = found.layout.root if found else place.parent / f".{place.name}.restoring-{secrets.token_hex(4)}"
    work = found
    try:
        work = work or Building.begin(root, purpose)
        yield work
        work.publish(place)
    except BaseException as error:
        kept = keep and work is not None and bool(work.done) and not isinstance(error, SnapshotDamagedError)
        if os.getpid() == process and not kept:
            shutil.rmtree(root, ignore_errors=True)
        left = "What is done stays" if kept else "Nothing was restored"
        again = "restore again (--resume)" if kept else "restore again"
        if isinstance(error, StoreFullError):
            raise StoreFullError(
                f"no space for {destination} on its device. {left}; make space, and {again}."
            ) from error
        if isinstance(error, OSError):
            raise NodeIOError(
                f"{destination} could not be restored: {error.strerror or error}. {left}; make space or give write "
                f"access, and {again}."
            ) from error
        raise
    finally:
        if work is not None:
            work.close()


def require_free(destination: Path) -> None:
    """Refuse to restore over anything.

    Raises:
        NodeExistsError: something is there; it is unchanged.
    """
    if os.path.lexists(destination):
        raise NodeExistsError(
            f"{destination} exists and is unchanged. A restore makes a new node; choose a path where nothing is, or "
            "restore into that node (--into)."
        )
