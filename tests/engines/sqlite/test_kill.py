"""kill -9 at any moment of any transaction: nothing that was acknowledged is lost, and nothing is half there."""

import subprocess
import sys
from pathlib import Path

import pytest

from keystore.engines.sqlite import connect

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(50, 1), pytest.param(500, 2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_a_process_is_killed_again_and_again(tmp_path: Path, cmk: str, kills: int, seed: int) -> None:
    db = connect(tmp_path / "db", cmk=cmk)
    db.execute("CREATE TABLE t (n INTEGER, part INTEGER, data BLOB); CREATE INDEX by_n ON t (n)")
    db.execute("CREATE TABLE ends (n INTEGER PRIMARY KEY, parts INTEGER)")
    db.close()
    command = [sys.executable, "-m", "tests.engines.sqlite.victim", str(tmp_path / "db"), str(kills), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert done.stdout.startswith(f"{kills} kills, ")
