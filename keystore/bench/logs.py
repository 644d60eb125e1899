"""The point-in-time log: what it costs a commit, and a restore of a node as it was at a time."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keystore.bench.result import Result
from keystore.bench.stores import PIECE_BYTES, fill
from keystore.bench.timing import in_turns, timed
from keystore.crypto.kernel import KERNEL
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.store import PageStore
from keystore.snapshots.at_time import PointInTime

STORE_BYTES, STORE_QUICK_BYTES = 256 << 20, 8 << 20
COMMITS, COMMITS_QUICK = 500, 20
COMMIT_PAGES = 16
PAGE_BYTES = 16384


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield commits with a log beside the same without one; and a restore to the time of the last commit."""
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as root:
        yield from _measure(Path(root), quick, budget_s)


def _measure(root: Path, quick: bool, budget_s: float) -> Iterator[Result]:
    total = STORE_QUICK_BYTES if quick else STORE_BYTES
    connect, known = connector(None), KnownNodes(root / "known_nodes")
    key = root / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(32))
    target = DirectoryPlace(root / "log")
    with (
        Node.init(root / "logged", f"local://{key}", connect, known_nodes=known) as logged,
        Node.init(root / "other", f"local://{key}", connect, known_nodes=known) as other,
    ):
        logged.log.enable(root / "log")
        with (
            logged.create_store("db", "file", PAGE_BYTES) as with_log,
            other.create_store("db", "file", PAGE_BYTES) as without,
        ):
            for store in (with_log, without):
                fill(store, total)
            snapshot_id = snapshot(logged, target).snapshot_id
            yield _commits(with_log, without, budget_s)
            content = secrets.token_bytes(PAGE_BYTES)
            for turn in range(COMMITS_QUICK if quick else COMMITS):
                with_log.commit(_changed(with_log, turn, content))
        logged.log.flush()
    copy = timed(lambda: _copy(root / "logged" / "databases", root / "copy"))
    trust = Trust(known)
    restored = timed(
        lambda: restore(target, snapshot_id, root / "restored", connect, at=PointInTime(None), trust=trust)
    )
    copy_s, restore_s = copy(), restored()
    yield Result(
        "restore to a time", KERNEL.name, PAGE_BYTES, 1, restore_s, total / restore_s / 1e9,
        of_plain=copy_s / restore_s,
    )  # fmt: skip


def _commits(with_log: PageStore, without: PageStore, budget_s: float) -> Result:
    content, at = secrets.token_bytes(PAGE_BYTES), 0

    def ours() -> float:
        nonlocal at
        at += 1
        changed = _changed(with_log, at, content)
        return timed(lambda: with_log.commit(changed))()

    def other() -> float:
        changed = _changed(without, at, content)
        return timed(lambda: without.commit(changed))()

    found = in_turns({"ours": ours, "plain": other}, budget_s)
    seconds, total = found.median_s("ours"), COMMIT_PAGES * PAGE_BYTES
    return Result(
        f"commit {COMMIT_PAGES} pages, with a log", KERNEL.name, PAGE_BYTES, 1, seconds, total / seconds / 1e9,
        of_plain=found.ratio("ours", "plain"), plain="one without a log",
    )  # fmt: skip


def _changed(store: PageStore, turn: int, content: bytes) -> dict[int, bytes]:
    stride = (store.page_count // 2) | 1
    return {((turn * COMMIT_PAGES + i) * stride) % store.page_count: content for i in range(COMMIT_PAGES)}


def _copy(source: Path, target: Path) -> None:
    """Copy every file through user space, and sync it."""
    for path in sorted(source.rglob("*.store")):
        target.mkdir(parents=True, exist_ok=True)
        with path.open("rb", buffering=0) as file, (target / path.name).open("wb", buffering=0) as out:
            shutil.copyfileobj(file, out, PIECE_BYTES)
            os.fsync(out.fileno())
