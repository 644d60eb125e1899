"""Counts the states that simulated crashes leave, over all tests of a run; the last line of a run has the sum."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

SEED: Final = os.environ.get("CRASH_SEED", "1")
"""Another one explores other states."""
STATES: Final = int(os.environ.get("CRASH_STATES", "20000"))
"""How many states of a page store are wanted, at least."""


class LostError(AssertionError):
    """Something that was acknowledged is not there."""


class WrongError(AssertionError):
    """Something is there that never was, or two parts of it contradict each other."""


@dataclass
class Crashes:
    """What one test found of `kind`. Every state is counted once: the test tells them apart by their bytes."""

    kind: str = ""
    states: int = 0
    lost: int = 0
    wrong: int = 0

    @contextmanager
    def judged(self, state: str) -> Iterator[None]:
        """Count what an exploration finds; a failure says in which state."""
        try:
            yield
        except Exception as error:
            lost = isinstance(error, LostError)
            self.lost, self.wrong = self.lost + lost, self.wrong + (not lost)
            error.add_note(f"found in {state}")
            raise

    def add(self, other: "Crashes") -> None:
        self.states, self.lost, self.wrong = (
            self.states + other.states,
            self.lost + other.lost,
            self.wrong + other.wrong,
        )

    def told(self) -> str:
        return f"{self.states} crash states, {self.lost} lost, {self.wrong} wrong, seed {SEED}"
