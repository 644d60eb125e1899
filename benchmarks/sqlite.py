"""SQLite on page stores beside plain SQLite and its encrypted kin: load, point reads, scan, durable transactions.

`python -m benchmarks.sqlite [DIRECTORY]` prints a table for each page size: medians of all rounds, and what each takes
of the time of plain SQLite in its default journal mode; `--keep FOLDER` writes them there, as JSON and Markdown.
Systems take turns, each in a process of its own. The peers are in the environment that
`python -m benchmarks.peers.environment` makes; those that are not there are left out.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

PEERS: Final = Path(__file__).parent / "peers" / ".venv" / "bin" / "python"
ROUNDS: Final = 5
VERSIONS: Final = ("cmk-keystore", "cmk-keystore-native", "apsw", "cryptography")
ROWS: Final = 200_000
ROWS_IN_TRANSACTION: Final = 1000
POINTS: Final = 100_000
TRANSACTIONS: Final = 1000
CACHE_PAGES: Final = 20
PLAIN: Final = "plain apsw"
OURS: Final = "keystore"
KEY: Final = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
CLOCKS: Final = {"wall": time.perf_counter, "cpu": time.process_time}
ROWS_OF_TABLE: Final = ("load", "points", "scan", "durable")


def ours(place: Path, page_size: int) -> Any:
    """Connect to a database in a page store."""
    from keystore.engines.sqlite import connect
    from keystore.kms.local import create_key_file

    key = place / "cmk.key"
    if not key.exists():
        create_key_file(key)
    return connect(place / "db", cmk=f"local://{key}", page_size=page_size)


def plain(place: Path, page_size: int) -> Any:
    """Connect to a database in a file, in its default journal mode."""
    import apsw

    return _sized(apsw.Connection(str(place / "db")), page_size)


def sqlcipher(place: Path, page_size: int) -> Any:
    """Connect by SQLCipher, with a raw key: without one it derives a key at each opening."""
    import sqlcipher3  # type: ignore[import-not-found]

    connection = sqlcipher3.connect(str(place / "db"), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{KEY}'\"")
    connection.execute(f"PRAGMA cipher_page_size = {page_size}")
    return connection


def sqlite3mc(cipher: str) -> Callable[[Path, int], Any]:
    """Return what connects by SQLite3MultipleCiphers; `apsw` is another one in the peers' environment."""

    def connect(place: Path, page_size: int) -> Any:
        import apsw

        connection = apsw.Connection(str(place / "db"))
        connection.pragma("cipher", cipher)
        connection.pragma("hexkey", KEY)
        return _sized(connection, page_size)

    return connect


def _sized(connection: Any, page_size: int) -> Any:
    connection.execute(f"PRAGMA page_size = {page_size}")
    return connection


SYSTEMS: Final[dict[str, tuple[bool, Callable[[Path, int], Any]]]] = {
    PLAIN: (False, plain),
    OURS: (False, ours),
    "SQLCipher": (True, sqlcipher),
    "sqlite3mc chacha20": (True, sqlite3mc("chacha20")),
    "sqlite3mc aegis": (True, sqlite3mc("aegis")),
}
"""What is measured, whether it is in the peers' environment, and how to connect."""


def work(system: str, page_size: int, place: Path, clock: Callable[[], float]) -> dict[str, float]:
    """Do all of it once; return seconds by row of the table. The system's cache of the file is warm."""
    chance, connect, took = random.Random(1), SYSTEMS[system][1], {}
    texts = [chance.randbytes(50).hex() for _ in range(ROWS_IN_TRANSACTION)]
    connection = connect(place, page_size)
    start = clock()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT)")
    for first in range(0, ROWS, ROWS_IN_TRANSACTION):
        connection.execute("BEGIN")
        rows = [(first + at, at, text) for at, text in enumerate(texts)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    took["load"] = clock() - start
    connection.close()

    connection = connect(place, page_size)
    connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")
    numbers = [chance.randrange(ROWS) for _ in range(POINTS)]
    start = clock()
    for number in numbers:
        (found,) = connection.execute("SELECT n FROM t WHERE id = ?", (number,)).fetchone()
        assert found == number % ROWS_IN_TRANSACTION
    took["points"] = clock() - start
    scans = []
    for _ in range(3):
        start = clock()
        connection.execute("SELECT sum(length(text)) FROM t").fetchone()
        scans.append(clock() - start)
    took["scan"] = statistics.median(scans)
    start = clock()
    for number in numbers[:TRANSACTIONS]:
        connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (number,))
    took["durable"] = clock() - start
    connection.close()
    return took


def measure(parent: Path, page_size: int, rounds: int, clock: str) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of every round, by system and row of the table."""
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        for system, (is_peer, _) in SYSTEMS.items():
            if is_peer and not PEERS.exists():
                continue
            with tempfile.TemporaryDirectory(dir=parent) as place:
                python = str(PEERS if is_peer else sys.executable)
                command = [python, "-m", "benchmarks.sqlite", "--clock", clock, "--work", system, str(page_size), place]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{system}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            for row, seconds in json.loads(done.stdout).items():
                found.setdefault(system, {}).setdefault(row, []).append(seconds)
            print(f"{page_size} {turn + 1}/{rounds} {system}", file=sys.stderr)
    return found


def table(page_size: int, found: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians as a table in Markdown."""
    heads = ("load, s", "100,000 points, s", "scan, s", "1,000 durable, s")
    lines = [f"| {page_size} bytes | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    plain_s = {row: statistics.median(seconds) for row, seconds in found[PLAIN].items()}
    for system, rows in found.items():
        cells = []
        for row in ROWS_OF_TABLE:
            seconds = statistics.median(rows[row])
            cells.append(f"{seconds:.3f} ({seconds / plain_s[row]:.2f})")
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure all of it, or in a process of its own one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sqlite", description=__doc__)
    parser.add_argument(
        "directory", nargs="?", type=Path, help="where the databases are made: it decides what a sync costs"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="`cpu` says something on a busy machine too")
    parser.add_argument("--keep", type=Path, help="a folder for sqlite.json and sqlite.md")
    parser.add_argument("--work", nargs=3, metavar=("SYSTEM", "PAGE_SIZE", "PLACE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        system, page_size, place = given.work
        print(json.dumps(work(system, int(page_size), Path(place), CLOCKS[given.clock])))
        return
    seconds, tables = {}, []
    for page_size in (4096, 16384):
        seconds[page_size] = measure(
            given.directory or Path(tempfile.gettempdir()), page_size, given.rounds, given.clock
        )
        tables.append(table(page_size, seconds[page_size]))
        print(tables[-1], flush=True)
    if given.keep:
        from benchmarks.emulator import keep, machine, machine_line

        figures = {"machine": machine(VERSIONS), "clock": given.clock, "rounds": given.rounds, "seconds": seconds}
        text = (
            f"Medians of {given.rounds} rounds by {given.clock} clock, {ROWS:,} rows; in brackets as a multiple of "
            "plain SQLite's time."
        )
        page = "\n\n".join(["# SQLite on page stores", machine_line(figures["machine"]), text, *tables])
        keep(given.keep, "sqlite", figures, page + "\n")


if __name__ == "__main__":
    main()
