"""The attack matrix: one cell for each attack on each structure, and what it must come to.

An outcome is `refused: TYPE`, `found: TYPE` where the rest stays readable, `mended` (contents equal, and the opening
says so), `unchanged` (contents equal; `why` tells the reason), or `limit N: …`, which the threat model lists.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One attack on one structure.

    Attributes:
        expected: every outcome that its variants may come to, and each of them must.
        why: for an attack that changes nothing, or that is a limit: the reason.
        run: attacks copies of a scene, one for each variant, and gives what was found.
    """

    structure: str
    attack: str
    expected: frozenset[str]
    why: str
    run: Callable[[Any], Iterable[str]]

    @property
    def name(self) -> str:
        return f"{self.structure}: {self.attack}"


class Cells(list[Cell]):
    """The cells of one scene, in the order of their definition."""

    def add(
        self, structure: str, attack: str, *expected: str, why: str = ""
    ) -> Callable[[Callable[[Any], Iterable[str]]], Callable[[Any], Iterable[str]]]:
        """Make a cell of the function below."""
        if any(outcome.startswith(("unchanged", "mended", "limit")) for outcome in expected) and not why:
            raise ValueError(f"{structure}, {attack}: why is nothing refused?")

        def register(run: Callable[[Any], Iterable[str]]) -> Callable[[Any], Iterable[str]]:
            self.append(Cell(structure, attack, frozenset(expected), why, run))
            return run

        return register
