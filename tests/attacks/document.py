"""Writes the attack matrix into docs/THREAT_MODEL.md: `python -m tests.attacks.document`.

Ours from the cells, the peers' from what `benchmarks/peers/attacks.py` found where they are installed.
"""

import json
from pathlib import Path

from tests.attacks import on_guarded, on_log, on_node, on_outside, on_snapshot, on_store
from tests.attacks.cells import Cell

DOCUMENT = Path(__file__).parents[2] / "docs" / "THREAT_MODEL.md"
BEGIN, END = "<!-- attack matrix: written by tests/attacks/document.py -->\n", "<!-- end of the attack matrix -->\n"
PEERS = Path(__file__).parents[2] / "benchmarks" / "peers" / "attacks.json"
BEGIN_PEERS, END_PEERS = "<!-- peers: written by tests/attacks/document.py -->\n", "<!-- end of peers -->\n"
REPLACED = "page: moved, old, zeroed, of another store under the same key"
SAME = {
    "bit flip": "page: bit flip",
    "two pages exchanged": "page: two exchanged",
    "one page put back to an older version": REPLACED,
    "a page of another file under the same key": REPLACED,
    "a page zeroed": REPLACED,
    "the last page cut": "store file: truncated",
    "the whole file put back to an older version": "store file: an old one, of before an opening or of before commits",
}
"""Attacks on peers, and the cell of ours that has the same."""
ALL = [
    *(*on_store.CELLS, *on_node.CELLS, *on_node.FORGED_CELLS, *on_outside.CELLS, *on_guarded.CELLS),
    *(*on_snapshot.CELLS, *on_log.CELLS),
]


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


def render_peers() -> str:
    """Return our outcomes beside the peers', as a table."""
    peers = json.loads(PEERS.read_text())
    titles = [f"{name} ({peer['version']})" for name, peer in peers.items()]
    rows = [f"| attack | here | {' | '.join(titles)} |", "| --- " * (len(titles) + 2) + "|"]
    for attack, cell in SAME.items():
        outcomes = [peer["attacks"][attack] for peer in peers.values()]
        shown = ["**silent**" if outcome == "silent" else outcome for outcome in (_detected(cell), *outcomes)]
        rows.append(f"| {attack} | {' | '.join(shown)} |")
    return "\n".join(["", *rows, "", ""])


def _detected(name: str) -> str:
    (cell,) = (cell for cell in ALL if cell.name == name)
    return "detected" if all(outcome.startswith(("refused", "found")) for outcome in cell.expected) else "silent"


def written(begin: str, end: str) -> str:
    """Return a table that the document has."""
    return DOCUMENT.read_text().partition(begin)[2].partition(end)[0]


def main() -> None:
    for begin, table, end in ((BEGIN, render(), END), (BEGIN_PEERS, render_peers(), END_PEERS)):
        before, _, rest = DOCUMENT.read_text().partition(begin)
        DOCUMENT.write_text(before + begin + table + end + rest.partition(end)[2])


if __name__ == "__main__":
    main()
