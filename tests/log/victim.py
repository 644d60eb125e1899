"""Commits to a store of a node with a log, tells of each commit, and is killed: `python -m tests.log.victim DIR`."""

import sys
from pathlib import Path
from random import Random

from keystore.kms.connect import connector
from keystore.node import archiver
from keystore.node.directory import Node
from keystore.pages.protocols import Buffer
from tests.log.history import SIZE, State

COMMITS_MAX = 5000
PAGES = 16


def commit_of(sequence: int) -> dict[int, Buffer | None]:
    """Return what commit number `sequence` changes."""
    random = Random(sequence)
    pages = random.sample(range(PAGES), 2)
    content = f"{sequence:9}!".encode() * (SIZE // 10)
    return {pages[0]: content.ljust(SIZE, b"*"), pages[1]: None if sequence % 7 == 0 else content.ljust(SIZE, b"+")}


def state_after(sequence: int) -> State:
    """Return what the store is after that many commits."""
    pages: dict[int, bytes] = {}
    count = 0
    for number in range(1, sequence + 1):
        for page_no, data in commit_of(number).items():
            count = max(count, page_no + 1)
            if data is None:
                pages.pop(page_no, None)
            else:
                pages[page_no] = bytes(data)
    return count, 0, pages


def main(directory: Path) -> None:
    archiver.LIMITS = archiver.ArchiveLimits(segment_s=0.005)
    with Node.open(directory, connector()) as node, node.using_store("db", "a") as store:
        for _ in range(COMMITS_MAX):
            print(store.commit(commit_of(store.sequence + 1)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
