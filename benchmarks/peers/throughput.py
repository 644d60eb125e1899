"""Other encrypted stores and libraries on the same work as ours, where they are installed; and which are not.

    python -m benchmarks.peers.environment        # installs them, into an environment of their own
    python -m benchmarks.peers.throughput full    # measures; `quick` does less, --json prints an object

Databases write 16 MiB as values of 4 KiB in durable transactions of 256, read values at random and then all of them.
Each does the same without its encryption in turns; the ratio is of these two. Libraries for files seal and open 16 MiB;
beside them a plain file is written and read. Each peer runs in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers.databases import DATABASES
from benchmarks.peers.environment import PYTHON
from benchmarks.peers.files import FILES
from keystore.bench.result import Result

PEER_MAX_S = 120
"""LIMIT: seconds for one peer in one process."""
WORK = {"quick": 4 << 20, "full": 16 << 20}


def distribution(peer: str) -> str:
    return DATABASES[peer].distribution if peer in DATABASES else FILES[peer].distribution


def measure_here(peer: str, form: str) -> list[Result]:
    """Measure a peer in this process."""
    with tempfile.TemporaryDirectory(prefix="keystore-peers-") as place:
        label = f"{peer} {version(peer)}".strip()
        made = DATABASES[peer] if peer in DATABASES else FILES[peer]
        return list(made.measure(Path(place), label, WORK[form]))


def measure(form: str) -> tuple[list[Result], list[str]]:
    """Measure every peer in a process of its own; return the results, and which could not be measured and why."""
    results: list[Result] = []
    notes = []
    for peer in (*DATABASES, *FILES):
        failed: list[str] = []
        for python in _pythons():
            answer = _run(python, peer, form)
            if isinstance(answer, list):
                results += [Result.decode(values) for values in answer]
                break
            failed.append(answer)
        else:
            notes.append(f"{peer}: {_why(peer, failed)}")
    return results, notes


def _pythons() -> list[str]:
    """Return the interpreters to look for a peer in: ours, then that of the peers."""
    return [sys.executable, *([str(PYTHON)] if PYTHON.exists() else [])]


def _run(python: str, peer: str, form: str) -> list[dict[str, Any]] | str:
    """Return a peer's results, or what its process said at last."""
    command = [python, "-m", "benchmarks.peers.throughput", "--peer", peer, form]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_MAX_S, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {PEER_MAX_S} s"
    if done.returncode == 0:
        values: list[dict[str, Any]] = json.loads(done.stdout)
        return values
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def _why(peer: str, failed: Sequence[str]) -> str:
    missing = [answer for answer in failed if "ModuleNotFoundError" in answer]
    if missing == list(failed):
        return f"not installed (`python -m benchmarks.peers.environment` installs {distribution(peer)})"
    return f"failed: {next(answer for answer in reversed(failed) if answer not in missing)}"


def version(peer: str) -> str:
    """Return the version of a peer's library, empty where its package does not say."""
    told = DATABASES[peer].version if peer in DATABASES else None
    if told is not None:
        return told()
    try:
        return metadata.version(distribution(peer))
    except metadata.PackageNotFoundError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.throughput", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("form", choices=tuple(WORK))
    parser.add_argument("--json", action="store_true", help="print an object")
    parser.add_argument(
        "--peer", choices=(*DATABASES, *FILES), help="measure only this one, in this process; prints JSON"
    )
    options = parser.parse_args()
    if options.peer is not None:
        print(json.dumps([result.encode() for result in measure_here(options.peer, options.form)]))
        return
    results, notes = measure(options.form)
    if options.json:
        print(json.dumps({"results": [result.encode() for result in results], "notes": notes}))
        return
    for result in results:
        speed = "" if result.gb_per_s is None else f"{result.gb_per_s * 1000:8.0f} MB/s"
        print(f"{result.name:24} {result.kernel:32} {speed} {result.ratio or 0:6.2f} of plain")
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
