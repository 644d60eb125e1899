"""400 virtual days of a real control process, every check of them, while it is killed and started again, and the key
goes and comes back: no check is skipped or doubled, and keys are renewed and alerts opened on their days.
"""

import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from keystore.control.clusters import cluster_named
from keystore.control.operation_rows import Kind, operations_of
from keystore.control.rolling import OperationState
from kms_emulator.embedded import KmsEmulator
from tests.mail_server import serve_mail
from tests.projects.served import Served
from tests.projects.ticking import TICKS_OF_A_DAY, TICKS_REVOKED, assert_told_once, run_ticks

DAYS, DAY_NS, ROTATION_DAYS = 400, 86400 * 10**9, 90
KILL_EVERY, REVOCATIONS = 380, 12
"""A kill in four days, each at another time of the day."""


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.row("R26", "R37", "R39", "R56")
def test_400_days_of_checks_none_skipped_or_doubled(tmp_path: Path) -> None:
    run_days(tmp_path, DAYS, REVOCATIONS)


def run_days(folder: Path, days: int, revocations: int) -> None:
    """Let days pass, in some of which the key is disabled for an hour and a quarter."""
    ticks, begun_s = days * TICKS_OF_A_DAY, time.monotonic()
    revoked = set(Random(9).sample(range(TICKS_OF_A_DAY, ticks - TICKS_OF_A_DAY, 2 * TICKS_REVOKED), revocations))
    with (
        KmsEmulator(strict_auth=True) as kms,
        serve_mail() as mailbox,
        closing(Served(folder, kms, f"sqlite:///{folder / 'control.db'}", mailbox.address)) as served,
    ):
        begun_ns = served.clock.now_ns()
        run_ticks(served, ticks, KILL_EVERY, revoked)
        assert_told_once(served, mailbox, revocations)
        assert_renewed(served, begun_ns, days)
        told = served.events()
        assert told.count("AWS_ENCRYPTION_KEY_INVALID") == told.count("AWS_ENCRYPTION_KEY_VALID") == revocations
        assert told.count("AWS_ENCRYPTION_KEY_NEEDS_ROTATION") == (days > ROTATION_DAYS)
        print(f"{ticks} checks, {served.starts} starts: {time.monotonic() - begun_s:.0f} s")


def assert_renewed(served: Served, begun_ns: int, days: int) -> None:
    """Make sure that master keys were renewed every 90 days, and at no other time."""
    cluster_id = cluster_named(served.database, served.cluster()["id"]).id
    with served.database.read() as connection:
        found = operations_of(connection, cluster_id)
    assert {(each.kind, each.state) for each in found} <= {(Kind.ROTATE, OperationState.DONE)}
    started = [((each.started_ns or 0) - begun_ns) // DAY_NS for each in found]
    assert started == list(range(ROTATION_DAYS, days + 1, ROTATION_DAYS))
