"""A crowd of threads on one store, killed again and again: no error, nothing lost, memory flat."""

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from tests.crashes import SEED
from tests.soak.crowd import PAGE_BYTES, PAGES, SHARED, WRITERS, plan, stamp_of
from tests.soak.life import resident_bytes

SOAK_MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "20"))
LIFE_MIN: Final = {"done": 60, "pin": 1, "reads": 1, "rotation": 1, "checkpoint": 1}
"""What a process has done before it may be killed."""
LIFE_S_MAX: Final = 90.0
"""Seconds from then to its kill."""
RESIDENT_BYTES_MAX: Final = 300_000_000
GROWTH_BYTES_MAX: Final = 32 << 20
"""LIMIT: how much more memory a process may have in the second half of its life than at its most in the first."""
SAMPLES_MIN: Final = 20
"""Measurements of one process from which on its two halves are compared."""
WAIT_MAX_S: Final = 120.0


class Writer:
    """What the lines of one writer say of its pages."""

    def __init__(self, number: int) -> None:
        self.number, self.done, self.begun = number, 0, 0
        self.pages: dict[int, bytes | None] = {}

    def take(self, word: str, number: int) -> None:
        if word == "begin":
            assert number == self.done + 1
            self.begun = number
        else:
            assert number == self.begun
            self.settle()

    def settle(self) -> None:
        """The commit that was begun is there."""
        self.pages, self.done = self.coming(), self.begun

    def coming(self) -> dict[int, bytes | None]:
        return self.pages | (plan(self.number, self.begun) if self.begun > self.done else {})

    def compare(self, found: list[bytes]) -> None:
        """All that was done is there, and what was begun is, or is not, as a whole."""

        def fits(pages: dict[int, bytes | None]) -> bool:
            own = {page_no: page or bytes(PAGE_BYTES) for page_no, page in pages.items() if page_no not in SHARED}
            return all(found[page_no] == page for page_no, page in own.items())

        if not fits(self.pages) or self._last_of_all(found, self.begun):
            assert fits(self.coming()), f"writer {self.number}: neither commit {self.done} nor {self.begun}"
            self.settle()
        self.begun = self.done

    def _last_of_all(self, found: list[bytes], number: int) -> bool:
        return stamp_of(found[0]) == (self.number, number)


class Crowd:
    """The process, and what it said."""

    def __init__(self, directory: Path, writers: list[Writer]) -> None:
        command = [sys.executable, "-m", "tests.soak.crowd", str(directory), *(str(writer.done) for writer in writers)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        self.writers, self.met, self._rest = writers, Counter[str](), b""
        self.samples: list[int] = []

    def follow(self, enough: Callable[[], bool]) -> None:
        """Take its lines, and measure it four times a second, until it is enough; it must not end before."""
        end_s, sample_s = time.monotonic() + WAIT_MAX_S + LIFE_S_MAX, 0.0
        while not enough():
            assert time.monotonic() < end_s, f"too little was done: {self.met}"
            assert self._take(0.1), f"it ended by itself: {self.process.wait(WAIT_MAX_S)}"
            if self.met["done"] and time.monotonic() > sample_s + 0.25:
                self.samples.append(resident_bytes(self.process.pid))
                sample_s = time.monotonic()

    def kill(self) -> None:
        self.process.kill()
        self._end(-signal.SIGKILL)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._end(0)

    def _end(self, status: int) -> None:
        while self._take(WAIT_MAX_S):
            pass
        assert self.process.wait(WAIT_MAX_S) == status
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _take(self, timeout_s: float) -> bool:
        """Take over the lines that came; False at their end."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return True
        said = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            word, *words = line.decode().split(maxsplit=1)
            self.met["".join(words) if word == "did" else word] += 1
            if word != "did":
                writer, number = map(int, words[0].split())
                self.writers[writer].take(word, number)
        return bool(said)


def compare(directory: Path, writers: list[Writer]) -> None:
    with Node.open(directory, connector()) as node:
        with node.using_store("db", "crowd") as store:
            found = store.read_many(range(PAGES))
        assert node.verify().ok
    for writer in writers:
        writer.compare(found)
    stamps = {stamp_of(found[page_no]) for page_no in SHARED}
    assert len(stamps) == 1, "half a commit survived"
    last, number = stamps.pop()
    assert writers[last].done == number


def check_memory(samples: list[int]) -> None:
    assert max(samples) < RESIDENT_BYTES_MAX
    if len(samples) >= SAMPLES_MIN:
        half = len(samples) // 2
        assert max(samples[half:]) < max(samples[:half]) + GROWTH_BYTES_MAX, samples


@pytest.mark.parametrize("seconds", [12, pytest.param(SOAK_MINUTES * 60, marks=pytest.mark.soak)])
def test_a_crowd_on_one_store(tmp_path: Path, tell: Callable[[str], None], seconds: float) -> None:
    directory, random = tmp_path / "node", Random(SEED)
    create_key_file(tmp_path / "cmk")
    with Node.init(directory, f"local://{tmp_path / 'cmk'}", connector()) as node:
        node.create_store("db", "crowd", PAGE_BYTES).commit({0: plan(0, 0)[0]}, page_count=PAGES)
    writers, met, kills, most = [Writer(number) for number in range(WRITERS)], Counter[str](), 0, 0
    end_s, ended = time.monotonic() + seconds, False
    while not ended:
        crowd = Crowd(directory, writers)
        try:
            crowd.follow(lambda: all(crowd.met[what] >= count for what, count in LIFE_MIN.items()))  # noqa: B023
            life_s = time.monotonic() + random.random() * min(LIFE_S_MAX, seconds / 6)
            crowd.follow(lambda: time.monotonic() > life_s)  # noqa: B023
            ended = time.monotonic() > end_s and kills > 1
            if ended:
                crowd.stop()
            else:
                crowd.kill()
                kills += 1
        finally:
            crowd.process.kill()
            crowd.process.wait(WAIT_MAX_S)
        check_memory(crowd.samples)
        most, met = max(most, *crowd.samples), met + crowd.met
        compare(directory, writers)
    what = ", ".join(f"{count} {what}" for what, count in sorted(met.items()))
    tell(f"crowd: {kills} kills, nothing lost; at most {most / 1e6:.0f} MB resident; {what}")
