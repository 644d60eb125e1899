"""Our emulator beside moto's server: start, memory, Encrypt and Decrypt per second, in one run on one machine.

`python -m benchmarks.emulator FOLDER` measures and keeps the figures there, as JSON and Markdown.

Both serve at the same time and take turns under load, so that what else the machine does meets both. Figures are the
median of the turns; a ratio is that of two medians. The client takes processor time too, on the same machine.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.emulator_load import GrpcLoad, HttpLoad
from benchmarks.emulator_servers import Server, emulator, moto
from benchmarks.report.machine import commit

STARTS = 5
TURNS = 5
TURN_S = 1.5
CONNECTIONS = (1, 8)
GRPC_CALLS_AT_ONCE = 16
OPERATIONS = ("Encrypt", "Decrypt")
VERSIONS = ("cmk-keystore", "uvicorn", "uvloop", "httptools", "grpcio", "protobuf", "cryptography", "moto", "werkzeug")
AIMS = {"ratio": 20, "ready_s": 0.5, "resident_mb": 120}

Figures = dict[str, Any]


def measure(folder: Path) -> Figures:
    """Return all figures of one run."""
    starts: dict[str, list[float]] = {"emulator": [], "moto": []}
    for _ in range(STARTS):
        for serve in (emulator, moto):
            with serve(folder) as server:
                starts[server.name].append(server.ready_s)
    with emulator(folder) as ours, moto(folder) as theirs:
        at_ready = {server.name: server.resident_mb() for server in (ours, theirs)}
        rates = [_rates(ours, theirs, operation, count) for count in CONNECTIONS for operation in OPERATIONS]
        rates += [_grpc_rate(ours, operation) for operation in OPERATIONS]
        after = {server.name: server.resident_mb() for server in (ours, theirs)}
    return {
        "machine": machine(VERSIONS),
        "ready_s": {name: round(statistics.median(values), 3) for name, values in starts.items()},
        "resident_mb_at_ready": {name: round(value, 1) for name, value in at_ready.items()},
        "resident_mb_after_load": {name: round(value, 1) for name, value in after.items()},
        "calls_per_second": rates,
    }


def _rates(ours: Server, theirs: Server, operation: str, connections: int) -> Figures:
    """Let both take turns at one operation; processor time is the server's alone."""
    turns: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    cpu_us: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    loads = {server.name: HttpLoad(server.port, connections) for server in (ours, theirs)}
    for _ in range(TURNS):
        for server in (ours, theirs):
            before = server.cpu_s()
            rate = loads[server.name].per_second(operation, TURN_S)
            turns[server.name].append(rate)
            cpu_us[server.name].append((server.cpu_s() - before) / (rate * TURN_S) * 1e6)
    for load in loads.values():
        load.close()
    found = {name: statistics.median(values) for name, values in turns.items()}
    cpu = {name: statistics.median(values) for name, values in cpu_us.items()}
    return {
        "wire": "HTTP",
        "operation": operation,
        "connections": connections,
        **{name: round(value) for name, value in found.items()},
        "ratio": round(found[ours.name] / found[theirs.name], 1),
        "server_cpu_us_per_call": {name: round(value) for name, value in cpu.items()},
    }


def _grpc_rate(server: Server, operation: str) -> Figures:
    with closing(GrpcLoad(server.grpc, GRPC_CALLS_AT_ONCE)) as load:
        turns = [load.per_second(operation, TURN_S) for _ in range(TURNS)]
    rate = round(statistics.median(turns))
    return {"wire": "gRPC", "operation": operation, "calls_at_once": GRPC_CALLS_AT_ONCE, server.name: rate}


def machine(versions: Sequence[str]) -> Figures:
    """Return what the figures depend on, without the machine's name."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "load_average_1m": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in versions},
    }


def as_markdown(figures: Figures) -> str:
    """Return the figures as a page to read."""
    lines = [
        "# The emulator beside moto's server",
        "",
        machine_line(figures["machine"]),
        "",
        f"Medians of {TURNS} turns of {TURN_S} s, {STARTS} starts. Client and servers share the machine. moto's server "
        "closes every connection after its answer, so its calls pay for a new one each; the emulator keeps them.",
        "",
        "| | emulator | moto | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, label in (
        ("ready_s", "start to the first answered call, s"),
        ("resident_mb_at_ready", "resident memory then, MB"),
        ("resident_mb_after_load", "resident memory after the load, MB"),
    ):
        ours, theirs = figures[name]["emulator"], figures[name]["moto"]
        lines.append(f"| {label} | {ours} | {theirs} | {theirs / ours:.1f} |")
    for row in figures["calls_per_second"]:
        lines.append(_row(row))
    return "\n".join([*lines, ""])


def _row(row: Figures) -> str:
    if row["wire"] == "gRPC":
        label = f"{row['operation']} per second, gRPC, {row['calls_at_once']} at once"
        return f"| {label} | {row['emulator']:,} | | |"
    cpu = row["server_cpu_us_per_call"]
    label = f"{row['operation']} per second, HTTP, {row['connections']} at once"
    figures = f"| {label} | {row['emulator']:,} | {row['moto']:,} | {row['ratio']} |"
    spent = f"| &nbsp; processor time of the server, µs a call | {cpu['emulator']} | {cpu['moto']:,} | "
    return f"{figures}\n{spent}{cpu['moto'] / cpu['emulator']:.1f} |"


def machine_line(here: Figures) -> str:
    """Return the machine of figures as a line to read."""
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    return (
        f"{here['cpu']}, {here['cpus']} processors, {here['memory_gb']} GB, {here['system']}, Python {here['python']}; "
        f"load average when the run ended {here['load_average_1m']}. {versions}. "
        f"{here['date']}, commit {here['commit']}."
    )


def keep(folder: Path, name: str, figures: Figures, page: str) -> None:
    """Write figures and their page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / f"{name}.md").write_text(page)


def folder_parser(module: str, what: str) -> argparse.ArgumentParser:
    """Return what reads the command line of a measurement that is kept in a folder."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=what.partition("\n")[0])
    parser.add_argument("folder", type=Path, help=f"where {module}.json and {module}.md are written")
    return parser


def main() -> None:
    folder: Path = folder_parser("emulator", __doc__).parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place))
    keep(folder, "emulator", figures, as_markdown(figures))
    print(as_markdown(figures))


if __name__ == "__main__":
    main()
