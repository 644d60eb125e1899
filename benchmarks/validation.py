"""The time of one tick of validation, by how many clusters use the key that is checked.

`python -m benchmarks.validation [CLUSTERS …]` prints a line for each count: the check itself, at the emulator by AWS's
own SDK, and then the transaction that records it, where nothing changes, where every cluster is stopped, and where
every cluster is started again. A project has one check for each provider, however many clusters it has; what grows
with clusters is the transaction that stops or starts them.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from keystore.control.database import open_database
from keystore.control.due import Due
from keystore.projects.checks import Outcome
from keystore.projects.outcomes import record_outcome
from keystore.projects.validation import VALIDATION_JOB, Validation
from kms_emulator.embedded import KmsEmulator
from tests.projects.providers import Aws, leading_to
from tests.projects.validating import Validating

CLUSTERS = (10, 100, 1000)
REPEATS = 5


def measure(count: int, aws: Aws, folder: Path) -> str:
    """Return the line of so many clusters."""
    with closing(open_database(f"sqlite:///{folder / 'control.db'}")) as database:
        world = Validating.on(database, folder)
        world.save(aws)
        for number in range(count):
            world.cluster(f"c{number}", "AWS")
        job = Due(VALIDATION_JOB, f"{world.project_id}/AWS", 0)
        validation = Validation(world.plane)

        def record(outcome: Outcome) -> None:
            with database.write() as connection:
                world.clock.at_ns += 900 * 10**9
                now_ns = world.clock.at_ns
                found = world.configuration("AWS")
                record_outcome(connection, found, outcome, "scheduled", "system", now_ns, due_ns=now_ns)

        valid, invalid = Outcome("valid"), Outcome("invalid", "CODE", "the key is disabled")
        check_ms = _median_ms(lambda: validation.look(job))
        same_ms = _median_ms(lambda: record(valid))
        changes = [(_once_ms(lambda: record(invalid)), _once_ms(lambda: record(valid))) for _ in range(REPEATS)]
        stop_ms, start_ms = (statistics.median(times) for times in zip(*changes, strict=True))
    shown = f"{check_ms:.0f} ms the check, {same_ms:.0f} ms recorded unchanged"
    return f"{count} clusters: {shown}, {stop_ms:.0f} ms all stopped, {start_ms:.0f} ms all started"


def _median_ms(act: Callable[[], object]) -> float:
    return statistics.median(_once_ms(act) for _ in range(REPEATS))


def _once_ms(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    with KmsEmulator(strict_auth=True) as kms, leading_to(kms):
        aws = Aws(kms)
        for count in [int(text) for text in sys.argv[1:]] or CLUSTERS:
            with tempfile.TemporaryDirectory() as folder:
                print(measure(count, aws, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
