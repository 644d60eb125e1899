"""A process that commits is killed, again and again; the log tells every moment."""

import subprocess
import sys
from pathlib import Path
from random import Random

from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from tests.log.history import SIZE, LogOpener
from tests.log.victim import state_after

KILLS = 3
ROOT = Path(__file__).parents[2]


def run_and_kill(directory: Path, commits: int) -> int:
    """Let a process commit until it told of so many, and kill it; return the last commit it told of."""
    command = [sys.executable, "-m", "tests.log.victim", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(commits)]
        process.kill()
        rest = process.stdout.read().split("\n")[:-1]
    return int(rest[-1]) if rest else told[-1]


def test_every_moment_is_told_whatever_was_killed(
    node: Node, tmp_path: Path, connect: KmsConnector, place: Path
) -> None:
    random, last = Random(1), 0
    node.create_store("db", "a", SIZE).close()
    node.close()
    for _ in range(KILLS):
        last = run_and_kill(tmp_path / "node", random.randrange(3, 60))
    with Node.open(tmp_path / "node", connect) as opened:
        with opened.using_store("db", "a") as store:
            assert store.sequence >= last
        opened.log.flush()
        assert opened.log.info is not None
        assert opened.log.info.status.gaps == ()
        opener = LogOpener(place, opened, connect)
    records = [record for segment in opener.segments() for record in segment.body.records]
    assert [record.sequence for record in records] == list(range(1, records[-1].sequence + 1))
    for record in random.sample(records, 6):
        assert opener.told(record.time_ns, tmp_path) == {"a": state_after(record.sequence)}
