"""What other encrypted stores do when somebody changes their files: run where they are installed, results kept.

    python benchmarks/peers/attacks.py            # prints what each does, and which are missing
    python benchmarks/peers/attacks.py --write    # and writes attacks.json beside this file

Each peer that can be imported makes a database of 600 rows, twice: rows are replaced by others of the same length. Then
its file is changed, and a process of its own opens it with the right key and reads every row. *Detected*: an error.
*Silent*: other rows than the last written, without an error. *Unchanged*: the rows are right. *Crash*: it died.
Several pages are tried for each attack; the worst outcome counts. None of the peers is a dependency of ours.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module, metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

ROWS = 600
KEY = "00112233445566778899aabbccddeeff" * 2
SALT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
RESULTS = Path(__file__).with_name("attacks.json")
WORST = ("silent", "crash", "detected", "unchanged")


def value(name: str, number: int) -> bytes:
    return f"{name}-{number:08d}-".encode() * 50


# -- peers ------------------------------------------------------------------------------------------------------------


def sqlcipher(path: Path) -> Any:
    connection = import_module("sqlcipher3").connect(str(path))
    connection.execute(f"PRAGMA key = \"x'{KEY}{SALT}'\"")
    return connection


def sqlite3mc(cipher: str) -> Callable[[Path], Any]:
    def connect(path: Path) -> Any:
        connection = import_module("apsw").Connection(str(path))
        connection.pragma("cipher", cipher)
        connection.pragma("hexkey", KEY)
        return connection

    return connect


def duckdb(path: Path) -> Any:
    connection = import_module("duckdb").connect()
    connection.execute("SET force_mbedtls_unsafe = 'true'")  # its own AES: that of the extension httpfs is not at hand
    connection.execute(f"ATTACH '{path}' AS d (ENCRYPTION_KEY '{KEY}', ENCRYPTION_CIPHER 'GCM')")
    connection.execute("USE d")
    return connection


def turso(cipher: str) -> Callable[[Path], Any]:
    def connect(path: Path) -> Any:
        module = import_module("turso")
        options = module.EncryptionOpts(cipher=cipher, hexkey=KEY)
        return module.connect(str(path), experimental_features="encryption", encryption=options)

    return connect


PEERS: dict[str, tuple[str, int, Callable[[Path], Any]]] = {
    "SQLCipher": ("sqlcipher3-wheels", 4096, sqlcipher),
    "SQLite3MC chacha20": ("apsw-sqlite3mc", 4096, sqlite3mc("chacha20")),
    "SQLite3MC aes256cbc": ("apsw-sqlite3mc", 4096, sqlite3mc("aes256cbc")),
    "SQLite3MC aegis": ("apsw-sqlite3mc", 4096, sqlite3mc("aegis")),
    "Turso aes256gcm": ("pyturso", 4096, turso("aes256gcm")),
    "DuckDB GCM": ("duckdb", 262144, duckdb),
}
"""Distribution, bytes of a page, and how to connect."""
FIRST_BYTES = {"DuckDB GCM": 12288}
"""Where the first page begins, if not at the start of the file."""


def version(peer: str) -> str | None:
    """Return the version of a peer, None where it is not installed."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(PEERS[peer][0])
    return None


def make(peer: str, path: Path, names: tuple[str, ...]) -> list[bytes]:
    """Write the rows of each of `names` in turn; return the file after each."""
    files = []
    for turn, name in enumerate(names):
        connection = PEERS[peer][2](path)
        if turn == 0:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
        connection.execute("BEGIN")
        for number in range(ROWS):
            if turn == 0:
                connection.execute("INSERT INTO t VALUES (?, ?)", (number, value(name, number)))
            else:
                connection.execute("UPDATE t SET v = ? WHERE id = ?", (value(name, number), number))
        connection.execute("COMMIT")
        if peer.startswith("DuckDB"):
            connection.execute("CHECKPOINT")
        connection.close()
        files.append(path.read_bytes())
    return files


def read(peer: str, path: Path, name: str) -> str:
    """Open a file with the right key, read every row, and say what came of it."""
    try:
        connection = PEERS[peer][2](path)
        found = connection.execute("SELECT id, v FROM t ORDER BY id").fetchall()
        rows = [(number, bytes(data)) for number, data in found]
    except Exception:
        return "detected"
    return "unchanged" if rows == [(number, value(name, number)) for number in range(ROWS)] else "silent"


# -- attacks ----------------------------------------------------------------------------------------------------------


def attacks(now: bytes, old: bytes, other: bytes, page: int, first: int) -> dict[str, list[bytes]]:
    """Return the changed files of each attack; pages are counted from `first`."""
    pages = (len(now) - first) // page
    chosen = sorted({1, pages // 4, pages // 2, pages // 2 + 1, 3 * pages // 4, pages - 2} & set(range(1, pages)))

    def at(data: bytes, number: int) -> bytes:
        return data[first + number * page : first + (number + 1) * page]

    def put(number: int, data: bytes) -> bytes:
        start = first + number * page
        return now[:start] + data.ljust(page, b"\0")[:page] + now[start + page :]

    def swap(one: int, two: int) -> bytes:
        data = bytearray(put(one, at(now, two)))
        data[first + two * page : first + (two + 1) * page] = at(now, one)
        return bytes(data)

    def flip(number: int) -> bytes:
        data = bytearray(at(now, number))
        data[page // 3] ^= 1
        return put(number, bytes(data))

    return {
        "bit flip": [flip(number) for number in chosen],
        "two pages exchanged": [swap(one, two) for one, two in pairwise(chosen)],
        "one page put back to an older version": [put(number, at(old, number)) for number in chosen],
        "a page of another file under the same key": [put(number, at(other, number)) for number in chosen],
        "a page zeroed": [put(number, b"") for number in chosen],
        "the last page cut": [now[: first + (pages - 1) * page]],
        "the whole file put back to an older version": [old],
    }


def run(peer: str, directory: Path) -> dict[str, str]:
    old, now = make(peer, directory / "db", ("old", "new"))
    (other,) = make(peer, directory / "other", ("oth",))
    found = {}
    for attack, files in attacks(now, old, other, PEERS[peer][1], FIRST_BYTES.get(peer, 0)).items():
        outcomes = set()
        for data in files:
            if data == now:
                continue
            for path in directory.glob("attacked*"):
                path.unlink()
            (directory / "attacked").write_bytes(data)
            outcomes.add(in_process(peer, directory / "attacked"))
        found[attack] = min(outcomes, key=WORST.index) if outcomes else "not applicable"
    return found


def in_process(peer: str, path: Path) -> str:
    command = [sys.executable, __file__, "--read", peer, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() in WORST else "crash"


def main() -> None:
    if "--read" in sys.argv:
        print(read(sys.argv[2], Path(sys.argv[3]), "new"))
        return
    results: dict[str, Any] = {}
    for peer in PEERS:
        installed = version(peer)
        if installed is None:
            print(f"{peer}: missing (pip install {PEERS[peer][0]})")
            continue
        directory = Path(tempfile.mkdtemp())
        try:
            results[peer] = {"version": installed, "attacks": run(peer, directory)}
        except Exception as error:
            print(f"{peer} {installed}: could not be run: {type(error).__name__}: {error}")
            continue
        finally:
            shutil.rmtree(directory)
        print(f"{peer} {installed}")
        for attack, outcome in results[peer]["attacks"].items():
            print(f"    {attack:45} {outcome}")
    for tool in ("gocryptfs", "cryfs"):
        print(f"{tool}: {'not run here, it needs a mount' if shutil.which(tool) else 'missing'}")
    if "--write" in sys.argv:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
