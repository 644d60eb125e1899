"""What is done to a whole node, each between two plain copies: import, export, snapshot, restore.

What was written and removed before is settled first, outside the time. Still a disk may be slower the more was written
to it lately, so each is compared with the mean of the copies before and after it.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from keystore.bench.result import Result
from keystore.crypto.kernel import KERNEL
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.create import CreatedSnapshot

FILE_BYTES, FILE_QUICK_BYTES = 1 << 30, 16 << 20
PAGE_BYTES = 16384
COPY_BYTES = 1 << 20


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield one measurement of each; `budget_s` is not used, because each is long by itself."""
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as place:
        yield from _Bench(Path(place), FILE_QUICK_BYTES if quick else FILE_BYTES).run()


class _Bench:
    def __init__(self, root: Path, byte_length: int) -> None:
        self._root, self._bytes = root, byte_length
        self._connect = connector(None)
        self._known = KnownNodes(root / "known_nodes")
        key_file = root / "key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(secrets.token_bytes(32))
        self._key = f"local://{key_file}"
        self._source = root / "source"
        with self._source.open("wb") as file:
            for _ in range(byte_length // COPY_BYTES):
                file.write(secrets.token_bytes(COPY_BYTES))
            os.fsync(file.fileno())

    def run(self) -> Iterator[Result]:
        self._copy_s()  # the first one pays for what the later ones find in memory
        with Node.init(self._root / "node", self._key, self._connect, known_nodes=self._known) as node:
            yield self._result("import", lambda: node.import_file("db", "file", self._source))
            yield self._result("export", lambda: node.export_file("db", "file", self._root / "out"))
            (self._root / "out").unlink()
            yield from self._snapshots(node)

    def _snapshots(self, node: Node) -> Iterator[Result]:
        """A full snapshot, one after a hundredth of the pages changed, and a restore of that."""
        target, trust = DirectoryPlace(self._root / "snapshots"), Trust(self._known)
        yield self._result("snapshot", lambda: snapshot(node, target))
        with node.using_store("db", "file") as store:
            store.commit({page_no: secrets.token_bytes(PAGE_BYTES) for page_no in range(0, store.page_count, 100)})
        made: list[CreatedSnapshot] = []
        yield self._result("increment, 1 % changed", lambda: made.append(snapshot(node, target)))
        latest, restored = made[0].snapshot_id, self._root / "restored"
        yield self._result("restore, verified", lambda: restore(target, latest, restored, self._connect, trust=trust))
        shutil.rmtree(restored)
        yield self._result(
            "restore, read back",
            lambda: restore(target, latest, restored, self._connect, trust=trust, read_back=True),
        )

    def _copy_s(self) -> float:
        """Copy the file through user space, as sealing must, and sync; return the seconds that took."""
        target = self._root / "copy"

        def copy() -> None:
            with self._source.open("rb", buffering=0) as file, target.open("wb", buffering=0) as out:
                shutil.copyfileobj(file, out, COPY_BYTES)
                os.fsync(out.fileno())

        seconds = _settled_s(copy)
        target.unlink()
        return seconds

    def _result(self, name: str, call: Callable[[], object]) -> Result:
        before_s, seconds, after_s = self._copy_s(), _settled_s(call), self._copy_s()
        speed = self._bytes / seconds / 1e9
        plain_s = (before_s + after_s) / 2
        return Result(name, KERNEL.name, PAGE_BYTES, 1, seconds, speed, of_plain=plain_s / seconds)


def _settled_s(call: Callable[[], object]) -> float:
    """Return how long a call takes, once the disk is done with what was before."""
    os.sync()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
