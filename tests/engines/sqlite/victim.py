"""A database whose process is killed at any moment, again and again: `python victim.py DIRECTORY KILLS SEED`.

Each round is a child of its own: it opens the database, checks everything that was acknowledged before, writes, and
tells of every transaction that is durable. It is killed after as many of them as chance says, somewhere in the next.
The last line says how many rounds there were.
"""

import os
import signal
import sys
from pathlib import Path
from random import Random

import apsw

from keystore.engines.sqlite import connect, node_of
from tests.engines.sqlite.opened import store_of

TOLD_MAX = 12
"""Transactions of one round."""


def write(path: Path, acknowledged: int, random: Random, tell: int) -> None:
    """Check, then commit until somebody kills this process."""
    db = connect(path)
    db.pragma("cache_size", 5)
    check(db, acknowledged)
    last = int(db.execute("SELECT coalesce(max(n), 0) FROM ends").get)
    os.write(tell, last.to_bytes(8, "little"))
    while True:
        last += 1
        db.execute("BEGIN")
        for part in range(random.choice([1, 3, 200])):
            db.execute("INSERT INTO t (n, part, data) VALUES (?, ?, ?)", (last, part, random.randbytes(500)))
        db.execute("DELETE FROM t WHERE n < ? AND part > 0", (last - 3,))
        db.execute("INSERT INTO ends VALUES (?, (SELECT count(*) FROM t WHERE n = ?))", (last, last))
        db.execute("COMMIT")
        os.write(tell, last.to_bytes(8, "little"))
        if random.random() < 0.1:
            db.execute("BEGIN; DELETE FROM t; DELETE FROM ends; ROLLBACK")
        if random.random() < 0.1:
            db.execute("VACUUM")


def check(db: apsw.Connection, acknowledged: int) -> None:
    """Require what was acknowledged, at most one more transaction, and each of them whole."""
    assert db.pragma("integrity_check") == "ok"
    numbers = [number for (number,) in db.execute("SELECT n FROM ends ORDER BY n")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert acknowledged <= len(numbers) <= acknowledged + 1, f"{acknowledged} acknowledged, {len(numbers)} there"
    for number, count in db.execute("SELECT n, parts FROM ends WHERE n > ?", (len(numbers) - 3,)):
        assert db.execute("SELECT count(*) FROM t WHERE n = ?", (number,)).get == count
    assert not store_of(db)._state.stages


def round_of(path: Path, acknowledged: int, random: Random) -> int:
    """Let a child write, and kill it; return the last number that it told."""
    seed, kill_after = random.random(), random.randrange(TOLD_MAX)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read_end)
            write(path, acknowledged, Random(seed), write_end)
        finally:
            sys.stderr.flush()
            os._exit(1)
    os.close(write_end)
    told: list[int] = []
    while len(told) <= kill_after and (data := os.read(read_end, 8)):
        told.append(int.from_bytes(data, "little"))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while data := os.read(read_end, 8):  # what it told before the kill came
        told.append(int.from_bytes(data, "little"))
    os.close(read_end)
    assert os.WIFSIGNALED(status), "a round ended by itself"
    return told[-1]


def main() -> None:
    path, kills, random = Path(sys.argv[1]), int(sys.argv[2]), Random(int(sys.argv[3]))
    last = 0
    for _ in range(kills):
        last = round_of(path, last, random)
    db = connect(path)
    check(db, last)
    assert node_of(db).verify().ok
    db.close()
    print(f"{kills} kills, {last} transactions")


if __name__ == "__main__":
    main()
