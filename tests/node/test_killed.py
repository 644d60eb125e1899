"""kill -9 on a real process and a real file system, in the middle of everything that a node does; nothing is lost.

A child works on a node and says before and after each act what it is; its parent kills it at a chance moment of an act,
opens the node, and compares it with what was said. The next child goes on with the same node.
"""

import os
import select
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

import pytest

from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.store import PageStore
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.crashes import SEED

PAGE_BYTES: Final = 4096
PAGES: Final = 200
ACTS: Final = ("commit", "checkpoint", "rotation", "data key", "snapshot", "reopening")
ACTS_MAX: Final = 400
"""LIMIT: acts of one child, if nobody kills it; the parent kills it in one of the first 30."""
WAIT_S: Final = (0.0, 0.002, 0.01)
"""How long an act may have been under way when the kill comes: at most one of these."""


def page_of(number: int) -> bytes:
    return number.to_bytes(8, "big") * (PAGE_BYTES // 8)


@dataclass
class Worker:
    """What the child does. Each act is told with a line before it, and `done` after it."""

    node: Node
    store: PageStore
    target: DirectoryPlace
    random: Random
    out: BinaryIO
    number: int

    def run(self, wanted: str) -> None:
        """Do chance acts, those of the `wanted` kind often."""
        acts: dict[str, Callable[[], object]] = {
            "checkpoint": lambda: self.store.checkpoint(),
            "rotation": self.node.rotate_master,
            "data key": lambda: self.node.new_data_key("d"),
            "snapshot": lambda: snapshot(self.node, self.target),
            "reopening": self.reopen,
        }
        for _ in range(ACTS_MAX):
            kind = self.random.choice((wanted, "commit", "commit", *ACTS))
            if kind == "commit":
                self.commit()
            else:
                self.tell(kind, acts[kind])

    def commit(self) -> None:
        self.number += 1
        pages = self.random.sample(range(PAGES), self.random.choice((1, 3, 40)))
        act = {page: page_of(self.number) for page in pages}
        self.tell(f"commit {self.number} {' '.join(map(str, pages))}", lambda: self.store.commit(dict(act)))

    def reopen(self) -> None:
        self.store.close()
        self.store = self.node.open_store("d", "f")

    def tell(self, act: str, do: Callable[[], object]) -> None:
        self.out.write(f"{act}\n".encode())
        do()
        self.out.write(b"done\n")


@dataclass
class Known:
    """What the child's lines say must be there."""

    pages: dict[int, int] = field(default_factory=dict)
    """Number of the act that wrote each page last."""
    coming: dict[int, int] = field(default_factory=dict)
    """As `pages`, if the commit that was under way came through."""
    done: Counter[str] = field(default_factory=Counter)
    under_way: str = ""
    number: int = 0

    def take(self, lines: list[str]) -> None:
        """Take over what one child said."""
        self.done.clear()
        self.under_way = ""
        for line in lines:
            if line == "done":
                self.done[self.under_way] += 1
                self.pages, self.under_way = self.coming, ""
            elif line.startswith("commit"):
                self.under_way, *numbers = line.split()
                self.number, *pages = map(int, numbers)
                self.coming = self.pages | dict.fromkeys(pages, self.number)
            else:
                self.under_way = line


def work(wanted: str, directory: Path, target: Path, connect: KmsConnector, seed: str, number: int) -> tuple[int, int]:
    """Start a child; return its pid and a pipe that has its lines."""
    lines, told = os.pipe()
    child = os.fork()
    if child:
        os.close(told)
        return child, lines
    try:
        with Node.open(directory, connect) as node, os.fdopen(told, "wb", buffering=0) as out:
            Worker(node, node.open_store("d", "f"), DirectoryPlace(target), Random(seed), out, number).run(wanted)
    finally:
        os._exit(1)


def kill_in(wanted: str, child: int, lines: int, random: Random) -> list[str]:
    """Kill the child while it does something of the `wanted` kind; return every line that it said."""
    said, starts = b"", random.randrange(1, 4)
    while said.count(f"\n{wanted}".encode()) < starts:
        part = os.read(lines, 1 << 16)
        assert part, "the child ended by itself"
        said += part if said else b"\n" + part
    select.select([], [], [], random.random() * random.choice(WAIT_S))
    os.kill(child, signal.SIGKILL)
    with os.fdopen(lines, "rb") as rest:
        said += rest.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return said.decode().split("\n")[1:-1]


def compare(
    directory: Path, target: DirectoryPlace, connect: KmsConnector, known: Known, masters: int, keys: int
) -> None:
    """Open the node; all that was done is there, what was under way is whole or absent, and nothing is damaged."""
    with Node.open(directory, connect) as node:
        with node.open_store("d", "f") as store:
            pages = store.read_many(range(PAGES))
        expected = [[page_of(pages.get(page, 0)) for page in range(PAGES)] for pages in (known.pages, known.coming)]
        assert pages in expected, f"killed in {known.under_way}"
        known.pages = known.coming = known.coming if pages == expected[1] else known.pages
        more = node.master_info.generation - masters - known.done["rotation"]
        assert more in ((0, 1) if known.under_way == "rotation" else (0,))
        more = len(node.databases["d"].data_keys) - keys - known.done["data key"]
        assert more in ((0, 1) if known.under_way == "data key" else (0,))
        assert node.verify().ok
    taken = snapshot_ids(target) if target.path.exists() else []
    assert len(taken) - known.done["snapshot"] in ((0, 1) if known.under_way == "snapshot" else (0,))
    for snapshot_id in taken:
        with open_snapshot(target, snapshot_id, connect) as opened:
            read = sum(len(batch.entries) for store in opened.body.stores for batch in opened.batches(store))
        assert read == PAGES
    shutil.rmtree(target.path, ignore_errors=True)


@pytest.mark.parametrize("kills", [50, pytest.param(1000, marks=pytest.mark.soak)])
def test_nothing_acknowledged_is_lost_by_kills(
    directory: Path, cmk: str, connect: KmsConnector, tmp_path: Path, tell: Callable[[str], None], kills: int
) -> None:
    random, known, met = Random(SEED), Known(), Counter[str]()
    target = DirectoryPlace(tmp_path / "snapshots")
    with Node.init(directory, cmk, connect) as node, node.create_store("d", "f", PAGE_BYTES) as store:
        store.commit(dict.fromkeys(range(PAGES), page_of(0)))
    for kill in range(kills):
        with Node.open(directory, connect) as node:
            masters, keys = node.master_info.generation, len(node.databases["d"].data_keys)
        wanted = ACTS[kill % len(ACTS)]
        child, lines = work(wanted, directory, target.path, connect, f"{SEED}/{kill}", known.number)
        known.take(kill_in(wanted, child, lines, random))
        met[known.under_way or "between two acts"] += 1
        compare(directory, target, connect, known, masters, keys)
    tell(f"{kills} kills, nothing lost: " + ", ".join(f"{count} in {act}" for act, count in sorted(met.items())))
    assert known.number > kills
