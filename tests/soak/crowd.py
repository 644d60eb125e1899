"""A process in which many threads use one store of a node: writers, readers, pins, rotations, checkpoints.

python -m tests.soak.crowd DIRECTORY NUMBER…      the numbers of the writers' last commits

It says what it does, one line each: `begin WRITER NUMBER` and `done WRITER NUMBER` around a commit, `did WHAT` for all
else. It ends when its input does; at the first error of any thread it ends at once, with a traceback.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from keystore.errors import InputError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.pages.store import PageStore

PAGE_BYTES: Final = 4096
WRITERS: Final = 4
SHARED: Final = range(5)
"""Every commit of every writer writes these."""
ZONE: Final = 64
"""Pages of each writer alone."""
PAGES: Final = len(SHARED) + WRITERS * ZONE
ROTATION_COMMITS: Final = 10
DATA_KEY_COMMITS: Final = 200
CHECKPOINT_COMMITS: Final = 10
READS_TOLD: Final = 200


def plan(writer: int, number: int) -> dict[int, bytes | None]:
    """Return what commit `number` of a writer changes."""
    random = Random(writer << 40 | number)
    zone = range(len(SHARED) + writer * ZONE, len(SHARED) + (writer + 1) * ZONE)
    chosen = random.sample(zone, random.choice((1, 3, 40)))
    own = {page_no: None if random.random() < 0.1 else page_of(writer, number) for page_no in chosen}
    return {**dict.fromkeys(SHARED, page_of(writer, number)), **own}


def page_of(writer: int, number: int) -> bytes:
    return (writer.to_bytes(4, "big") + number.to_bytes(12, "big")) * (PAGE_BYTES // 16)


def stamp_of(page: bytes) -> tuple[int, int]:
    """Return writer and number of a page, which has to be whole."""
    assert page == page[:16] * (PAGE_BYTES // 16), "a torn page"
    return int.from_bytes(page[:4], "big"), int.from_bytes(page[4:16], "big")


class Crowd:
    """The threads. Each does its thing again and again until `over`."""

    def __init__(self, node: Node, store: PageStore, numbers: list[int]) -> None:
        self.node, self.store, self.numbers = node, store, numbers
        self.over = threading.Event()

    def run(self) -> None:
        work: list[Callable[[], None]] = [*(self.writer(number) for number in range(WRITERS))]
        work += [self.reader(self.read_shared), self.reader(self.view_shared), self.reader(self.read_shared), self.pin]
        threads = [threading.Thread(target=self.until_over, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self.over.set()
        for thread in threads:
            thread.join()

    def until_over(self, act: Callable[[], None]) -> None:
        try:
            while not self.over.is_set():
                act()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def writer(self, writer: int) -> Callable[[], None]:
        def act() -> None:
            self.numbers[writer] = number = self.numbers[writer] + 1
            tell(f"begin {writer} {number}")
            self.store.commit(dict(plan(writer, number)))
            tell(f"done {writer} {number}")
            if writer == 0 and number % ROTATION_COMMITS == 0:
                self.node.rotate_master()
                tell("did rotation")
            if writer == 0 and number % DATA_KEY_COMMITS == 0:
                self.node.new_data_key("db")
                tell("did data key")
            if writer == 1 and number % CHECKPOINT_COMMITS == 0:
                self.store.checkpoint()
                tell("did checkpoint")

        return act

    def reader(self, look: Callable[[], tuple[int, int]]) -> Callable[[], None]:
        """A reader never sees a writer go back."""
        last: dict[int, int] = {}
        count = 0

        def act() -> None:
            nonlocal count
            writer, number = look()
            assert number >= last.get(writer, 0), "an older commit was read after a newer one"
            last[writer] = number
            count += 1
            if count % READS_TOLD == 0:
                tell("did reads")

        return act

    def read_shared(self) -> tuple[int, int]:
        stamps = {stamp_of(page) for page in self.store.read_many(SHARED)}
        assert len(stamps) == 1, "half a commit was read"
        return stamps.pop()

    def view_shared(self) -> tuple[int, int]:
        with self.store.view(SHARED[-1]) as view:
            return stamp_of(bytes(view))

    def pin(self) -> None:
        with self.store.pin() as pin:
            first = [batch.page_nos.tolist() for batch in pin.sealed(16)]
            again = [batch.page_nos.tolist() for batch in pin.sealed(16)]
        assert first == again
        tell("did pin")


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main(directory: Path, numbers: list[int]) -> None:
    if len(numbers) != WRITERS:
        raise InputError(f"{len(numbers)} numbers for {WRITERS} writers")
    with Node.open(directory, connector()) as node, node.using_store("db", "crowd") as store:
        Crowd(node, store, numbers).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]])
