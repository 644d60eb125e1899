"""A control process with many clusters: the time of one day's decisions, and of rotating what is due on it.

`python -m benchmarks.control FOLDER [CLUSTERS …]` measures and keeps the figures there, as JSON and Markdown.

Every cluster has three members. All are answered by one process, over the real gRPC with mutual TLS, which agrees to
everything and keeps nothing: what is measured is the control plane, its database and the calls, not key files. Clusters
come due evenly over 90 days; the clock is moved from day to day. At the end, up to a hundred are due at once.
"""

import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from keystore_api.node.v1 import node_pb2 as pb

from benchmarks.emulator import Figures, folder_parser, keep, machine, machine_line
from keystore.agents.identity import Role
from keystore.agents.service import ALLOWED
from keystore.agents.serving import AgentServer, Call, Service
from keystore.agents.tls import ClusterCa
from keystore.control.clusters import MemberRecord, NewCluster
from keystore.control.creation import ClusterFiles
from keystore.control.database import Database, open_database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.founding import add_cluster
from keystore.control.jobs import ROTATION_INTERVAL_NS, ROTATION_JOB
from keystore.control.plane import Plane
from keystore.control.requests import OPERATION_JOB
from keystore.control.service import ControlService
from keystore.control.tables import due, operations, steps
from keystore.control.workflows import register_jobs
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file

CLUSTERS = (10, 100, 1000)
NAMES = ("n1", "n2", "n3")
DAYS = 5
DAY_NS = 86_400 * 10**9
AT_ONCE_MAX = 100
"""Clusters that are rotated at once at the end; a thousand take many minutes."""
IDLE_LOOKS = 200
WAIT_MAX_S = 3600.0
POLL_S = 0.05
VERSIONS = ("cmk-keystore", "dbos", "sqlalchemy", "grpcio", "cryptography")


class Nodes:
    """A node that agrees: whatever generation is expected, the next one is made."""

    def get_status(self, request: pb.GetStatusRequest, call: Call) -> pb.NodeStatus:
        return pb.NodeStatus(master_key=pb.MasterKeyInfo(generation=1))

    def rotate_master_key(self, request: pb.RotateMasterKeyRequest, call: Call) -> pb.MasterKeyChange:
        return pb.MasterKeyChange(master_key=pb.MasterKeyInfo(generation=request.expected_generation + 1))


class DayClock:
    """A clock that begins at 0, and can be moved."""

    def __init__(self) -> None:
        self._begun_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._begun_ns

    def advance(self, by_ns: int) -> None:
        self._begun_ns -= by_ns


def answer(folder: Path, parent: Connection) -> None:
    """Serve all members of all clusters in this process, until the parent lets go."""
    descriptor = pb.DESCRIPTOR.services_by_name["Node"]
    allowed = {name: ALLOWED[name] for name in ("GetStatus", "RotateMasterKey")}
    servers = []
    for name in NAMES:
        tls = ClusterFiles(folder).tls(Role.NODE, name)
        servers.append(AgentServer("127.0.0.1:0", tls, Role.NODE, Service(descriptor, Nodes(), allowed)))
        servers[-1].start()
    parent.send([server.address for server in servers])
    parent.poll(None)


@contextmanager
def answering(folder: Path) -> Iterator[list[str]]:
    """Give the addresses of the members."""
    authority, files = ClusterCa.create(folder / "authority", "many"), ClusterFiles(folder)
    (folder / "tls").mkdir()
    for role, name in ((Role.CONTROL, "control"), *((Role.NODE, name) for name in NAMES)):
        authority.issue(files.tls(role, name), role, name)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=answer, args=(folder, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.terminate()
        process.join(WAIT_MAX_S)


class Bench:
    """A control process with so many clusters, on a database of its own."""

    def __init__(self, database: Database, folder: Path, addresses: list[str], count: int) -> None:
        self.database, self.clock = database, DayClock()
        key = folder / "key"
        if not key.exists():
            create_key_file(key)
        records = tuple(MemberRecord(name, address, "") for name, address in zip(NAMES, addresses, strict=True))
        for number in range(count):
            new = NewCluster(f"c{number}", str(folder), f"local://{key}", None, NAMES[0], records)
            # The last rotation of each lies so far back that they come due evenly.
            add_cluster(database, new, number * ROTATION_INTERVAL_NS // count - ROTATION_INTERVAL_NS + 1)
        plane = Plane(database, connector(), clock=self.clock)
        self.engine = DbosEngine(database, "bench")
        register_jobs(self.engine, plane.jobs)
        self.engine.launch()
        self.service = ControlService(database, self.engine, self.clock, [ROTATION_JOB, OPERATION_JOB])

    def idle_ms(self) -> float:
        """Return the time of a look where nothing is due."""
        self.move(0)
        times = []
        for _ in range(IDLE_LOOKS):
            begun = time.perf_counter()
            assert self.service.look() == 0
            times.append((time.perf_counter() - begun) * 1e3)
        return statistics.median(times)

    def move(self, by_ns: int) -> Figures:
        """Move the clock and do all that is due then; return what it took."""
        before, cpu, begun = self._rotations(), _cpu_s(), time.perf_counter()
        self.clock.advance(by_ns)
        deciding = 0.0
        while self._left():
            assert time.perf_counter() - begun < WAIT_MAX_S
            looked = time.perf_counter()
            if self.service.look():
                deciding += time.perf_counter() - looked
            time.sleep(POLL_S)
        return {
            "rotations": self._rotations() - before,
            "deciding_s": deciding,
            "all_s": time.perf_counter() - begun,
            "control_cpu_s": _cpu_s() - cpu,
        }

    def _left(self) -> int:
        with self.database.read() as connection:
            waiting = (due.c.state != "done") & (due.c.at_ns <= self.clock.now_ns())
            rows = connection.execute(sa.select(sa.func.count()).select_from(due).where(waiting)).scalar_one()
            still = operations.c.finished_ns.is_(None)
            return (
                rows + connection.execute(sa.select(sa.func.count()).select_from(operations).where(still)).scalar_one()
            )

    def _rotations(self) -> int:
        with self.database.read() as connection:
            done = sa.select(sa.func.count()).select_from(operations).where(operations.c.state == "done")
            found: int = connection.execute(done).scalar_one()
            made = sa.select(sa.func.count()).select_from(steps).where(steps.c.generation_after == 2)
            assert connection.execute(made).scalar_one() == found * len(NAMES)
        return found

    def close(self) -> None:
        self.engine.close()


def measure(url: str, folder: Path, addresses: list[str], count: int) -> Figures:
    """Return the figures for so many clusters."""
    with closing(open_database(url)) as database, closing(Bench(database, folder, addresses, count)) as bench:
        idle = bench.idle_ms()
        days = [bench.move(DAY_NS) for _ in range(DAYS)]
        rest = bench.move(ROTATION_INTERVAL_NS - DAYS * DAY_NS) if count <= AT_ONCE_MAX else {}
    return {
        "clusters": count,
        "idle_look_ms": round(idle, 2),
        "day": {name: round(statistics.median(day[name] for day in days), 2) for name in days[0]},
        "all_at_once": {name: round(value, 2) for name, value in rest.items()},
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def as_markdown(figures: Figures) -> str:
    """Return the figures as a page to read."""
    lines = [
        "# One control process, many clusters",
        "",
        machine_line(figures["machine"]),
        "",
        "Three members each, all answered by one process over gRPC with mutual TLS. A day is the median of "
        f"{DAYS}; clusters come due evenly over 90 days. *Decisions* is finding, claiming and starting what is due; "
        "*done* is the time until every rotation that was due has touched its last member.",
        "",
        "| database | clusters | a look, nothing due, ms | due on a day | its decisions, s | done, s "
        "| due at once | decisions, s | done, s | processor time a rotation, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in figures["runs"]:
        day, rest = row["day"], row["all_at_once"]
        cells = [
            row["database"],
            row["clusters"],
            row["idle_look_ms"],
            day["rotations"],
            day["deciding_s"],
            day["all_s"],
        ]
        cells += [rest.get(name, "-") for name in ("rotations", "deciding_s", "all_s")]
        most = rest or day
        cells.append(round(most["control_cpu_s"] / most["rotations"] * 1e3) if most["rotations"] else "-")
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def databases(folder: Path) -> Iterator[tuple[str, Any]]:
    """Give each kind of database with a function that makes an empty one and returns its URL."""
    from tests.control.postgres import Postgres

    made = iter(range(10**6))
    yield "SQLite", lambda: f"sqlite:///{folder / f'control-{next(made)}.db'}"
    with closing(Postgres(fsync=True)) as server:
        yield "PostgreSQL", server.create_database


def main() -> None:
    parser = folder_parser("control", __doc__)
    parser.add_argument("clusters", nargs="*", type=int, default=CLUSTERS, help="how many clusters, one run for each")
    given = parser.parse_args()
    folder, counts = given.folder, given.clusters
    runs = []
    with tempfile.TemporaryDirectory() as place, answering(Path(place)) as addresses:
        for name, make in databases(Path(place)):
            for count in counts:
                runs.append({"database": name, **measure(make(), Path(place), addresses, count)})
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    figures = {"machine": machine(VERSIONS), "runs": runs}
    keep(folder, "control", figures, as_markdown(figures))
    print(as_markdown(figures))


if __name__ == "__main__":
    main()
