"""A process with an engine, for tests that kill it: `python -m tests.control.worker URL NAME DIRECTORY`.

Its workflow `steps` leaves a row for each step that ran, guarded by its run, and waits in one of them for a file.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keystore.control.database import Database, open_database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.engine import Run
from keystore.control.tables import due

WAIT_S = 60.0
POLL_S = 0.02
EFFECT = "effect"


def wait_until(what: Callable[[], object], told: str) -> None:
    """Poll until `what` is true."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, f"{told} did not happen within {WAIT_S} s"
        time.sleep(POLL_S)


def effects(database: Database) -> list[tuple[int, str]]:
    """Return number of step and name of executor, in the order in which they happened."""
    with database.read() as connection:
        rows = connection.execute(sa.select(due.c.at_ns, due.c.subject).where(due.c.kind == EFFECT).order_by(due.c.id))
        return [(row.at_ns, row.subject.split("/")[1]) for row in rows]


def steps_workflow(database: Database, name: str, directory: Path) -> Callable[[Run, Mapping[str, Any]], Any]:
    """Return the workflow: `count` steps; in step `hold` it says so by the file `held` and waits for the file `go`."""

    def workflow(run: Run, arguments: Mapping[str, Any]) -> list[int]:
        def effect(number: int) -> int:
            if number == arguments["hold"] and not (directory / "go").exists():
                (directory / f"held-{name}").touch()
                wait_until((directory / "go").exists, "the file go")
            with database.write() as connection:
                run.guard(connection)
                row = {"kind": EFFECT, "subject": f"{run.key}/{name}/{run.fence}", "at_ns": number, "state": "done"}
                connection.execute(due.insert().values(row))
            return number

        def step(number: int) -> int:
            return run.step(f"step {number}", lambda: effect(number))

        return [step(number) for number in range(1, arguments["count"] + 1)]

    return workflow


def main(url: str, name: str, directory: Path) -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    database = open_database(url)
    engine = DbosEngine(database, name, beat_s=0.1, dead_after_s=2, poll_s=0.05)
    engine.register("steps", steps_workflow(database, name, directory))
    engine.launch()
    (directory / f"ready-{name}").touch()
    while not engine.fenced() and not stop.wait(POLL_S):
        pass
    fenced = engine.fenced()
    engine.close()
    return 3 if fenced else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
