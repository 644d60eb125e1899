"""What the report measures: groups of cases, each run several times in fresh processes, or said to have failed.

Every process prints a JSON array of results, or an object with `results` and `notes`. What came of a group is kept in a
file of its own as soon as it ends, so that a report which was cut off goes on where it was.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keystore.bench.result import Result, medians

ROOT: Final = Path(__file__).parents[2]
PROCESSES, PROCESSES_QUICK = 5, 1
PROCESS_MAX_S = 600
"""LIMIT: seconds for one process; then its group has failed."""


@dataclass(frozen=True)
class Group:
    """How a group is run.

    Attributes:
        arguments: of Python; `{form}` is quick or full, `{place}` a directory that one process after another has.
        variables: environment variables besides those that are there.
    """

    about: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def _own(name: str, about: str) -> Group:
    return Group(about, ("-m", "keystore.bench", name, "{form}", "{place}"))


GROUPS: Final[Mapping[str, Group]] = {
    "kernel": _own("kernel", "The page kernels, in memory"),
    "store": _own("store", "A page store of 64 MiB, on a file"),
    "portable": Group(
        "Reads of a store with the portable kernel",
        ("-m", "benchmarks.portable_reads", "{form}", "{place}"),
        {"KEYSTORE_KERNEL": "portable"},
    ),
    "node": _own("node", "A node, beside a plain copy"),
    "log": _own("log", "The point-in-time log"),
    "rotation": _own("rotation", "Rotation of the master key, by size of the node"),
    "emulator": Group("The emulator's Encrypt and Decrypt", ("-m", "benchmarks.emulator_calls", "{form}", "{place}")),
    "peers": Group("Other software on the same work", ("-m", "benchmarks.peers.throughput", "--json", "{form}")),
}


@dataclass(frozen=True)
class Found:
    """What came of a group.

    Attributes:
        runs: the results of each process.
        failed: what a process said at last before it failed; the runs before it stand.
        load: the machine's load average before and after.
        quick: whether it was the short form.
        commit: what was measured.
    """

    group: str
    runs: tuple[tuple[Result, ...], ...]
    notes: tuple[str, ...] = ()
    failed: str = ""
    load: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0
    quick: bool = False
    commit: str = ""

    @property
    def results(self) -> list[Result]:
        return medians(self.runs)


def measure(group: str, *, quick: bool, processes: int | None = None) -> Found:
    """Run a group; a process that fails ends it."""
    runs: list[tuple[Result, ...]] = []
    notes: dict[str, None] = {}
    failed, before, start = "", os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as place:
        for _ in range(processes or (PROCESSES_QUICK if quick else PROCESSES)):
            try:
                answer = _run(GROUPS[group], "quick" if quick else "full", place)
                told = answer if isinstance(answer, dict) else {"results": answer, "notes": []}
                runs.append(tuple(Result.decode(values) for values in told["results"]))
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, subprocess.SubprocessError) as error:
                failed = f"{type(error).__name__}: {error}"
                break
            notes |= dict.fromkeys(told["notes"])
    load = (round(before, 2), round(os.getloadavg()[0], 2))
    return Found(group, tuple(runs), tuple(notes), failed, load, round(time.perf_counter() - start, 1), quick)


def _run(group: Group, form: str, place: str) -> Any:
    words = {"{form}": form, "{place}": place}
    command = [sys.executable, *(words.get(each, each) for each in group.arguments)]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PROCESS_MAX_S,
        check=False,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": place} | dict(group.variables),  # what a killed process leaves is removed with it
    )
    if ended.returncode != 0:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return json.loads(ended.stdout)


def keep(found: Found, folder: Path) -> None:
    """Write what came of a group to `folder`, whole or not at all."""
    values = {
        "group": found.group,
        "failed": found.failed,
        "notes": found.notes,
        "load": found.load,
        "seconds": found.seconds,
        "quick": found.quick,
        "commit": found.commit,
        "runs": [[result.encode() for result in run] for run in found.runs],
    }
    part = folder / f"{found.group}.json.part"
    part.write_text(json.dumps(values, indent=1) + "\n")
    part.replace(folder / f"{found.group}.json")


def kept(group: str, folder: Path) -> Found | None:
    """Return what is kept of a group, None where nothing is; a file that cannot be read counts as a failure."""
    path = folder / f"{group}.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        runs = tuple(tuple(Result.decode(each) for each in run) for run in values.pop("runs"))
        return Found(**values | {"runs": runs, "notes": tuple(values["notes"]), "load": tuple(values["load"])})
    except (ValueError, KeyError, TypeError) as error:
        return Found(group, (), failed=f"{path.name} cannot be read: {type(error).__name__}: {error}")
