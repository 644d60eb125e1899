"""Writes the attack matrix into docs/THREAT_MODEL.md, from the cells: `python -m tests.attacks.document`."""

from pathlib import Path

from tests.attacks import on_node, on_snapshot, on_store
from tests.attacks.cells import Cell

DOCUMENT = Path(__file__).parents[2] / "docs" / "THREAT_MODEL.md"
BEGIN, END = "<!-- attack matrix: written by tests/attacks/document.py -->\n", "<!-- end of the attack matrix -->\n"
ALL = [*on_store.CELLS, *on_node.CELLS, *on_node.FORGED_CELLS, *on_snapshot.CELLS]


def render() -> str:
    """Return the matrix as a table."""
    rows = ["| structure | attack | outcome |", "| --------- | ------ | ------- |", *map(_row, ALL)]
    return "\n".join(["", *rows, "", ""])


def _row(cell: Cell) -> str:
    outcomes = " or ".join(_words(outcome) for outcome in sorted(cell.expected))
    return f"| {cell.structure} | {cell.attack} | {outcomes}{f': {cell.why}' if cell.why else ''} |"


def _words(outcome: str) -> str:
    kind, colon, what = outcome.partition(": ")
    return f"{kind}: `{what}`" if kind in ("refused", "found") else f"**{kind}**, {what}" if colon else kind


def written() -> str:
    """Return the table that the document has."""
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + render() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
