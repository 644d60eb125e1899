"""400 days of a project, from each time that something is due to the next: every check once, whoever is killed,
rotations every 90 days, and a key that goes and comes back.

The control plane is this process, the nodes and the KMS are others. It runs through every check around those at which
the key goes and comes back; otherwise it is off for hours, and does what it missed.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from keystore.control.due import Due, DueTable
from keystore.control.executors import Executor, register, require_alive
from keystore.control.operation_rows import Kind, operations_of
from keystore.control.rolling import OperationState
from keystore.projects.conditions import State
from keystore.projects.deployments import create_deployment
from keystore.projects.shapes import Shape
from keystore.projects.validation import INTERVAL_NS, VALIDATION_JOB
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.living import Living, living

DAYS, TICKS_OF_A_DAY, DAY_NS = 400, 96, 86400 * 10**9
LOOK_EVERY, KILL_EVERY, REVOCATIONS, TICKS_REVOKED, BUSY = 24, 7, 12, 5, 48
SHAPE = Shape("GCP", "EUROPE_WEST_1", "M10", size=1, provider="AWS")


class Checked:
    """Does the checks of a project as control processes do that are killed all the while; knows when each was due."""

    def __init__(self, live: Living) -> None:
        self.live, self.table, self.due_ns = live, DueTable(live.database), list[int]()
        self.executor: Executor = register(live.database, "control")
        self.killed = 0
        (waiting,) = self.table.open_jobs(VALIDATION_JOB)
        self.first_ns = waiting.at_ns

    def tick(self, number: int, *, kill: bool) -> None:
        """Let the check of that number come due, and do it; the process that takes it first may be killed meanwhile."""
        self.live.clock.advance(max(0, self.first_ns + number * INTERVAL_NS - self.live.now_ns()))
        job = self._claim()
        seen = self.live.validation.look(job)
        if kill:
            self.killed += 1
            self.executor = register(self.live.database, "control")
            assert self._claim() == job
            seen = self.live.validation.look(job)
        executor = self.executor
        assert self.live.validation.conclude(job, seen, lambda connection: require_alive(connection, executor))
        self.due_ns.append(job.at_ns)

    def _claim(self) -> Due:
        job = self.table.claim([VALIDATION_JOB], self.live.now_ns(), self.executor)
        assert job is not None
        return job


@pytest.fixture
def live(tmp_path: Path, emulator: Emulator) -> Iterator[Living]:
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as made:
        yield made


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.row("R26", "R37", "R39", "R56")
def test_400_days_of_checks_none_skipped_or_doubled(live: Living, emulator: Emulator) -> None:
    run_days(live, emulator, DAYS, REVOCATIONS)


def run_days(live: Living, emulator: Emulator, days: int, revocations: int) -> None:
    """Let days pass, in some of which the key is disabled for an hour and a quarter."""
    key = emulator.create_key("aws")
    live.save_aws(key)
    with live.database.write() as connection:
        orders = create_deployment(connection, live.owner, live.project_id, "orders", SHAPE, live.now_ns()).id
    live.settle()
    begun_ns, ticks = live.now_ns(), days * TICKS_OF_A_DAY
    revoked = set(Random(9).sample(range(TICKS_OF_A_DAY, ticks - TICKS_OF_A_DAY, 4 * TICKS_REVOKED), revocations))
    restored = {tick + TICKS_REVOKED for tick in revoked}
    busy = {tick + near for tick in revoked for near in range(-BUSY, BUSY)}
    taken = [tick for tick in range(ticks) if tick in busy or tick % LOOK_EVERY == 0]
    checked = Checked(live)
    for number, tick in enumerate(taken):
        if tick in revoked:
            emulator.disable(key)
        if tick in restored:
            emulator.enable(key)
        checked.tick(tick, kill=number % KILL_EVERY == 0)
        if tick in revoked | restored or tick % LOOK_EVERY == 0:
            live.settle()
        if tick in revoked | restored:
            assert live.get(orders).condition.state is (State.DISABLED if tick in revoked else State.IDLE)
            assert set(live.states(orders).values()) == {"stopped" if tick in revoked else "running"}
    # After a stretch in which no process ran, one check is made up for, and the next ones are on the grid again.
    assert checked.due_ns == [checked.first_ns + (former + 1) * INTERVAL_NS for former in [-1, *taken[:-1]]]
    assert checked.killed == len(range(0, len(taken), KILL_EVERY))
    told = live.events(orders)
    assert (told.count("CLUSTER_INSTANCE_DISABLED"), told.count("CLUSTER_INSTANCE_ENABLED")) == (revocations,) * 2
    with live.database.read() as connection:
        rotations = operations_of(connection, live.cluster(orders).id)
    assert [(each.kind, each.state) for each in rotations] == [(Kind.ROTATE, OperationState.DONE)] * (days // 90)
    assert [((each.started_ns or 0) - begun_ns) // DAY_NS for each in rotations] == [
        90 * number for number in range(1, days // 90 + 1)
    ]
    with live.clients(orders)["n1"] as client:
        assert client.status().master_key.generation == days // 90 + 1
