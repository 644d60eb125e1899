"""The time of one tick of validation, by how many clusters use the key that is checked.

`python -m benchmarks.validation FOLDER` measures and keeps the figures there, as JSON and Markdown, for each count of
clusters: the check itself, at the emulator by AWS's own SDK, and then the transaction that records it, where nothing
changes, where every cluster is stopped, and where every cluster is started again. A project has one check for each
provider, however many clusters it has; what grows with clusters is the transaction that stops or starts them.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.emulator import Figures, folder_parser, keep, machine, machine_line
from keystore.control.database import open_database
from keystore.control.due import Due
from keystore.projects.checks import Outcome
from keystore.projects.outcomes import record_outcome
from keystore.projects.validation import VALIDATION_JOB, Validation
from kms_emulator.embedded import KmsEmulator
from tests.projects.providers import Aws, leading_to
from tests.projects.validating import Validating

VERSIONS = ("cmk-keystore", "sqlalchemy", "boto3", "cryptography")
CLUSTERS = (10, 100, 1000)
REPEATS = 5


def measure(count: int, aws: Aws, folder: Path) -> Figures:
    """Return the times of so many clusters."""
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
    times = {"check_ms": check_ms, "unchanged_ms": same_ms, "stopped_ms": stop_ms, "started_ms": start_ms}
    return {"clusters": count, **{name: round(ms, 1) for name, ms in times.items()}}


def as_markdown(figures: Figures) -> str:
    """Return the figures as a page to read."""
    lines = [
        "# A tick of validation",
        "",
        machine_line(figures["machine"]),
        "",
        "One provider configuration, its key at the emulator by boto3, SQLite. *The check* asks the KMS; the rest is "
        f"the transaction that records its answer, where nothing or everything changes. Medians of {REPEATS}.",
        "",
        "| clusters | the check | recorded, nothing changed | all are stopped | all are started |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    names = ("check_ms", "unchanged_ms", "stopped_ms", "started_ms")
    for run in figures["runs"]:
        lines.append(f"| {run['clusters']:,} | {' | '.join(f'{run[name]} ms' for name in names)} |")
    return "\n".join([*lines, ""])


def _median_ms(act: Callable[[], object]) -> float:
    return statistics.median(_once_ms(act) for _ in range(REPEATS))


def _once_ms(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    folder: Path = folder_parser("validation", __doc__).parse_args().folder
    runs = []
    with KmsEmulator(strict_auth=True) as kms, leading_to(kms):
        aws = Aws(kms)
        for count in CLUSTERS:
            with tempfile.TemporaryDirectory() as place:
                runs.append(measure(count, aws, Path(place)))
    figures = {"machine": machine(VERSIONS), "runs": runs}
    keep(folder, "validation", figures, as_markdown(figures))
    print(as_markdown(figures))


if __name__ == "__main__":
    main()
